"""The log of a session."""

import json
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtdecode.errors import RunError
from rtdecode.journal.pack import Entry, Kind
from rtdecode.journal.pack_writer import PackWriter


def entry(body: bytes, name: str = "a.dcm") -> Entry:
    return Entry(Kind.OBJECT, {"name": name}, body)


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> tuple[bytes, list[int]]:
    """Return a pack of three records, and where each ends."""
    path = tmp_path_factory.mktemp("pack") / "objects.pack"
    pack = PackWriter(path)
    ends = []
    for body in (b"first", b"", b"third" * 100):
        pack.append([entry(body)])
        ends.append(path.stat().st_size)
    pack.close()
    return path.read_bytes(), ends


def test_what_was_appended_is_read_again(tmp_path: Path):
    """Kinds, headers and bodies survive closing, in their order."""
    path = tmp_path / "objects.pack"
    pack = PackWriter(path)
    pack.append([entry(b"one"), Entry(Kind.GIVE_UP, {"index": 4})])
    pack.append([entry(b"two", name="zwei.dcm")])
    pack.close()
    again = PackWriter(path)
    assert [(r.number, r.kind, r.header) for r in again.records] == [
        (0, Kind.OBJECT, {"name": "a.dcm"}),
        (1, Kind.GIVE_UP, {"index": 4}),
        (2, Kind.OBJECT, {"name": "zwei.dcm"}),
    ]
    assert [again.body(r) for r in again.records] == [b"one", b"", b"two"]
    again.close()


@given(st.data())
def test_cut_anywhere_it_keeps_every_whole_record_and_goes_on(tmp_path_factory, written, data):
    """No byte position at which writing stops loses a whole record or stops the next one."""
    content, ends = written
    cut = data.draw(st.integers(0, len(content)))
    path = tmp_path_factory.mktemp("cut") / "objects.pack"
    path.write_bytes(content[:cut])
    pack = PackWriter(path)
    whole = sum(end <= cut for end in ends)
    assert len(pack.records) == whole
    pack.append([entry(b"next")])
    pack.close()
    again = PackWriter(path)
    assert len(again.records) == whole + 1
    assert again.body(again.records[-1]) == b"next"
    again.close()


@given(st.data())
def test_a_flipped_bit_is_noticed_and_nothing_is_thrown_away(tmp_path_factory, written, data):
    """Records from the damaged one on are set aside in a file of their own."""
    content, ends = written
    at = data.draw(st.integers(0, len(content) - 1))
    bit = data.draw(st.integers(0, 7))
    damaged = bytearray(content)
    damaged[at] ^= 1 << bit
    folder = tmp_path_factory.mktemp("flip")
    (folder / "objects.pack").write_bytes(damaged)
    pack = PackWriter(folder / "objects.pack")
    whole = sum(end <= at for end in ends)
    assert len(pack.records) == whole
    kept = (folder / "objects.pack").read_bytes()
    aside = b"".join(p.read_bytes() for p in sorted(folder.glob("*.torn-*")))
    assert kept + aside == bytes(damaged)
    pack.close()


def test_a_record_of_an_unknown_kind_refuses_to_be_read(tmp_path: Path):
    """A newer version's log is neither misread nor cut."""
    path = tmp_path / "objects.pack"
    pack = PackWriter(path)
    pack.append([entry(b"one")])
    pack.close()
    content = bytearray(path.read_bytes())
    content[4] = 99
    head = json.dumps({"name": "a.dcm"}, separators=(",", ":")).encode()
    content[17:21] = zlib.crc32(head + b"one", 99).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(RunError, match="kind 99"):
        PackWriter(path)
    assert path.read_bytes() == bytes(content)


def test_a_record_that_is_too_large_is_refused(tmp_path: Path):
    """Nothing is written that could not be read again."""
    pack = PackWriter(tmp_path / "objects.pack")
    with pytest.raises(RunError, match="larger"):
        pack.append([Entry(Kind.OBJECT, {"name": "x" * 70_000})])
    assert not pack.records
    pack.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a disk that is full")
def test_a_full_disk_stops_the_run_with_advice(tmp_path: Path):
    """The error says what to do."""
    pack = PackWriter(tmp_path / "objects.pack")
    pack._file.close()
    with Path("/dev/full").open("wb", buffering=0) as full:
        pack._file = full
        with pytest.raises(RunError, match="make room"):
            pack.append([entry(b"one")])
