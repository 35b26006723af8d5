"""The newest volume of a growing log."""

import numpy as np
import pytest

from rtdecode import raw
from rtdecode.dashboard.volumes import NewestVolume
from rtdecode.journal.pack import Entry, Kind
from rtdecode.journal.pack_writer import PackWriter

SHAPE = (6, 5, 4)


def content(index, series="run-1", shape=SHAPE):
    """Return a raw volume whose voxels are its index."""
    header = raw.RawHeader(
        series=series,
        index=index,
        shape=shape,
        dtype="float32",
        affine=tuple(map(tuple, np.eye(4).tolist())),
        repetition_time_s=2.0,
    )
    return raw.encode(header, np.full(shape, index, np.float32).tobytes())


def entry(*arguments, **named):
    """Return an object's entry in the log."""
    return Entry(Kind.OBJECT, {"name": "x"}, content(*arguments, **named))


@pytest.fixture
def pack(tmp_path):
    """Return an open log in which a run has begun."""
    log = PackWriter(tmp_path / "objects.pack")
    log.append([Entry(Kind.START, {"run": 1})])
    yield log
    log.close()


def test_the_newest_volume_is_returned_once(pack):
    newest = NewestVolume(pack.path, SHAPE[:2])
    assert newest.update() is None
    pack.append([entry(0), entry(1)])
    volume = newest.update()
    assert volume is not None
    assert (volume.index, volume.data.max()) == (1, 1.0)
    assert newest.update() is None
    pack.append([entry(2)])
    volume = newest.update()
    assert volume is not None
    assert volume.index == 2


def test_other_series_and_damaged_objects_are_passed_over(pack):
    newest = NewestVolume(pack.path, SHAPE[:2])
    pack.append([entry(0), entry(7, "localiser", (8, 8, 2))])
    pack.append([Entry(Kind.OBJECT, {"name": "x"}, b"not an image")])
    volume = newest.update()
    assert volume is not None
    assert volume.index == 0


def test_a_run_that_takes_its_first_objects_from_before_it_shows_them(pack):
    """A restarted series is noticed after its first object is in the log."""
    newest = NewestVolume(pack.path, None)
    pack.append([entry(0), entry(1)])
    assert newest.update().index == 1
    pack.append([entry(0, "run-2")])
    assert newest.update() is None  # it is not of this run
    pack.append([Entry(Kind.START, {"run": 2, "from": 3})])
    volume = newest.update()
    assert volume is not None
    assert volume.index == 0


def test_a_torn_record_waits_until_it_is_whole(pack):
    newest = NewestVolume(pack.path, None)
    pack.append([entry(0)])
    whole = pack.path.read_bytes()
    pack.append([entry(1)])
    full = pack.path.read_bytes()
    pack.path.write_bytes(full[:-10])
    assert newest.update().index == 0
    pack.path.write_bytes(full)
    assert len(full) > len(whole)
    assert newest.update().index == 1
