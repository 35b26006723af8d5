"""Raw volumes: what is read, and what is refused before it costs anything."""

import json
import math
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtdecode import raw
from rtdecode.errors import VolumeError
from rtdecode.ledger import Ledger, LedgerReceipt
from rtdecode.types import Stamps

AFFINE = ((-3.0, 0.0, 0.0, 90.0), (0.0, 3.0, 0.0, -80.0), (0.0, 0.0, 3.5, -60.0), (0, 0, 0, 1))


def facts(**changes: object) -> dict[str, object]:
    return {
        "series": "run 1",
        "index": 7,
        "shape": [2, 3, 4],
        "dtype": "int16",
        "affine": AFFINE,
        "repetition_time_s": 2.0,
        **changes,
    }


def volume(voxels: np.ndarray | None = None, **changes: object) -> bytes:
    """Write a volume as any program would: by hand."""
    voxels = np.arange(24).reshape(2, 3, 4) if voxels is None else voxels
    header = facts(**changes)
    line = json.dumps(header, allow_nan=True).encode()
    try:
        content = voxels.astype(np.dtype(str(header["dtype"])).newbyteorder("<")).tobytes("C")
    except TypeError:
        content = b""
    return b"rtdecode volume 1\n" + line + b"\n" + content


@pytest.mark.parametrize("dtype", raw.DTYPES)
def test_voxels_of_each_type_are_read_as_they_are(dtype: str) -> None:
    """Every type gives the same numbers, in C order, with the sender's affine."""
    parsed = raw.parse_object(volume(dtype=dtype), "a")
    (slab,) = parsed.slabs
    assert slab.data.dtype == np.float32
    assert np.array_equal(slab.data, np.arange(24).reshape(2, 3, 4))
    assert np.array_equal(slab.affine, np.array(AFFINE))
    assert (slab.temporal, slab.slices) == (8, 4)
    assert parsed.series.repetition_time_s == 2.0


def test_what_is_encoded_is_read() -> None:
    """Python senders need not write the lines themselves."""
    header = raw.RawHeader(series="s", index=0, shape=(1, 1, 2), dtype="uint8", affine=AFFINE)
    parsed = raw.parse(raw.encode(header, b"\x07\x09"), "a")
    assert parsed.slabs[0].data.ravel().tolist() == [7, 9]
    assert math.isnan(parsed.series.repetition_time_s)


def test_the_ledger_places_volumes_by_their_index_and_series() -> None:
    """Order, repeats and other series are judged as DICOM's are."""
    ledger = Ledger()

    def add(**changes: object):
        receipt, out = ledger.add(raw.parse_object(volume(**changes), "a"), Stamps(), 0)
        return receipt, [v.index for v in out]

    assert add(index=1) == (LedgerReceipt.COMPLETED, [])
    assert add(index=0) == (LedgerReceipt.COMPLETED, [0, 1])
    assert add(index=1) == (LedgerReceipt.DUPLICATE, [])
    assert add(index=2, series="run 2") == (LedgerReceipt.WRONG_SERIES, [])


NAN = np.full((2, 3, 4), np.nan)
REFUSED = {
    "negative index": (volume(index=-1), "index"),
    "index beyond a day": (volume(index=1 << 17), "index"),
    "negative axis": (volume(shape=[-2, 3, -4]), "shape"),
    "no voxels": (volume(shape=[0, 3, 4]), "shape"),
    "10 GB": (volume(shape=[1024, 1024, 1024]), "shape"),
    "an axis too many": (volume(shape=[2, 3, 4, 1]), "not understood"),
    "objects": (volume(dtype="object"), "of type"),
    "big endian": (volume(dtype=">i2"), "of type"),
    "too few": (volume()[:-1], "bytes of voxels"),
    "too many": (volume() + b"x", "bytes of voxels"),
    "not a number": (volume(NAN, dtype="float32"), "not finite"),
    "infinite": (volume(np.full((2, 3, 4), np.inf), dtype="float64"), "not finite"),
    "infinite as float32": (volume(np.full((2, 3, 4), 1e300), dtype="float64"), "not finite"),
    "no affine": (volume(affine=[]), "four rows"),
    "flat affine": (volume(affine=[*AFFINE[:2], [0, 0, 0, 1], AFFINE[3]]), "mm3"),
    "wild affine": (volume(affine=[[1e9, 0, 0, 0], *AFFINE[1:]]), "beyond"),
    "affine of NaN": (volume(affine=[[math.nan] * 4, *AFFINE[1:]]), "not understood"),
    "ragged affine": (volume(affine=[[1, 2], *AFFINE[1:]]), "not understood"),
    "negative TR": (volume(repetition_time_s=-1), "repetition time"),
    "no series": (volume(series=""), "series"),
    "control characters": (volume(series="\x1b[2J"), "series"),
    "misspelt field": (volume(TR=2), "TR"),
    "no header": (raw.MAGIC, "no line of JSON"),
    "long header": (raw.MAGIC + b" " * 5000 + b"\n", "no line of JSON"),
    "no JSON": (raw.MAGIC + b"\xff\xfe\n", "not understood"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_makes_no_sense_is_refused_by_name(case: str) -> None:
    """The error names the object and what is wrong."""
    content, why = REFUSED[case]
    with pytest.raises(VolumeError, match=why) as refused:
        raw.parse_object(content, "the thing")
    assert str(refused.value).startswith("the thing ")


@given(st.data())
def test_no_mutation_does_more_than_be_refused(data: st.DataObject) -> None:
    """Whatever bytes come, they are a volume or a `VolumeError`."""
    content = bytearray(volume())
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    del content[data.draw(st.integers(0, len(content))) :]
    with suppress(VolumeError):
        raw.parse(bytes(content), "a")
