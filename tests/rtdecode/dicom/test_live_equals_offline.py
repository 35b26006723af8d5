"""The live ledger gives the volumes of `assemble` for any order of arrival."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtdecode.dicom import assemble, parse
from rtdecode.ledger import Ledger
from rtdecode.types import Skipped, Stamps, Volume

KINDS = {
    "mosaic": lambda b, run: [b.mosaic(run[t], t + 1) for t in range(4)],
    "ge": lambda b, run: [b.ge(run[t], t + 1, z) for t in range(4) for z in range(5)],
    "philips": lambda b, run: [b.philips(run[t], t + 1, z) for t in range(4) for z in range(5)],
    "enhanced": lambda b, run: [b.enhanced(run[t : t + 1], first=t + 1) for t in range(4)],
}


@pytest.fixture(scope="module")
def recorded(builder, run):
    """Return the objects of each kind in the scanner's order."""
    return {kind: build(builder, run) for kind, build in KINDS.items()}


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_any_order_of_arrival_gives_the_volumes_of_the_finished_folder(
    recorded, tmp_path_factory, kind, data
):
    """Each index has one outcome, in order, despite lost, repeated and unordered objects."""
    objects = recorded[kind]
    kept = data.draw(
        st.lists(st.sampled_from(range(len(objects))), min_size=1, max_size=2 * len(objects))
    )
    folder = tmp_path_factory.mktemp("run")
    for at in set(kept):
        (folder / f"{at:03d}").write_bytes(objects[at])
    expected = {v.index: v for v in assemble([folder])}

    ledger, out = Ledger(), []
    for now, at in enumerate(kept):
        out += ledger.add(parse(objects[at], str(at)), Stamps(), now)[1]
    out += ledger.close()

    assert [o.index for o in out] == list(range(len(out)))
    assert {o.index for o in out if isinstance(o, Volume)} == set(expected)
    for volume in (o for o in out if isinstance(o, Volume)):
        same = expected[volume.index]
        assert volume.data.tobytes() == same.data.tobytes()
        assert volume.affine.tobytes() == same.affine.tobytes()
        assert volume.acquired_s == same.acquired_s


def test_ge_without_slice_count_needs_the_next_volumes_first_slice(builder, run):
    """If no header gives the slices of a volume, it is whole when the next one begins."""
    ledger, sizes = Ledger(), []
    order = itertools.product(range(3), range(5))
    for now, (t, z) in enumerate(order):
        content = builder.ge(run[t], t + 1, z, count_in="nowhere")
        sizes.append(len(ledger.add(parse(content, "g"), Stamps(received_ns=now), now)[1]))
    out = ledger.close()
    assert sizes == [0] * 5 + [1] + [0] * 3 + [1] + [0] * 4 + [1]
    assert out == []


def test_ge_last_volume_without_slice_count_is_whole_at_close(builder, run):
    """A run of a single volume is whole at its end."""
    ledger = Ledger()
    for z in range(5):
        content = builder.ge(run[0], 1, z, count_in="nowhere")
        assert ledger.add(parse(content, "g"), Stamps(), z)[1] == []
    (volume,) = ledger.close()
    np.testing.assert_array_equal(volume.data, run[0][:, ::-1].transpose(2, 1, 0))


def test_unevenly_spaced_slices_are_corrupt(builder, run):
    """A volume with a missing slice between others is skipped as corrupt; the run continues."""
    ledger, out = Ledger(), []
    for t in range(2):
        for z in range(5):
            ds = builder.slice_dataset(run[t][z], z + (z > 2 and t == 0), 0, "Philips")
            ds.InstanceNumber = z * 2 + t + 1
            ds.TemporalPositionIdentifier = t + 1
            ds.add_new(0x20010010, "LO", "Philips Imaging DD 001")
            ds.add_new(0x20011018, "SL", 5)
            out += ledger.add(parse(builder.write(ds), "p"), Stamps(), 0)[1]
    assert isinstance(out[0], Skipped)
    assert out[0].reason == "corrupt"
    assert "do not make one volume" in out[0].detail
    assert isinstance(out[1], Volume)
