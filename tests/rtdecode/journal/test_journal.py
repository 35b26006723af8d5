"""A session's folder."""

import threading
from pathlib import Path

import numpy as np
import pytest

from rtdecode.errors import ConfigError, RunError
from rtdecode.journal import Checkpoint, Journal, newest_checkpoint, write_checkpoint
from rtdecode.journal.pack import Entry, Kind
from rtdecode.types import Decision, Motion, Quality, Skipped, SkipReason, Stamps
from rtdecode.wire import Numbered, deterministic


def objects(*bodies: bytes) -> list[Entry]:
    return [Entry(Kind.OBJECT, {"name": "a.dcm", "received_ns": 1}, body) for body in bodies]


def decision(index: int, probability: float = 0.75) -> Decision:
    quality = Quality(0.1, 1.0, float("nan"), 0.0, usable=True)
    motion = Motion(rot_z=0.1 + 0.2)
    chances = (probability, 1 - probability)
    return Decision(
        index, chances, chances, "a", 3, motion, quality, "b" * 12, 1.5, Stamps(received_ns=7)
    )


def test_bytes_that_are_there_already_are_duplicates(tmp_path: Path):
    """Within a batch, between batches, and after opening again."""
    with Journal(tmp_path) as journal:
        records = journal.append_objects(objects(b"a", b"b", b"a"))
        assert [r and r.number for r in records] == [0, 1, None]
    with Journal(tmp_path) as journal:
        records = journal.append_objects(objects(b"c", b"b"))
        assert [r and r.number for r in records] == [2, None]
        assert [journal.body(r) for r in journal.records] == [b"a", b"b", b"c"]


def test_an_event_waits_until_everything_before_it_is_applied(tmp_path: Path):
    """So the log's order is the order in which things took effect."""
    with Journal(tmp_path) as journal:
        journal.append_objects(objects(b"a", b"b"))
        assert journal.append_event(Kind.GIVE_UP, {"index": 0}, applied=1) is None
        record = journal.append_event(Kind.GIVE_UP, {"index": 0}, applied=2)
        assert record is not None
        assert record.number == 2


def test_threads_may_append_at_the_same_time(tmp_path: Path):
    """Every record is whole and numbered once."""
    with Journal(tmp_path) as journal:
        threads = [
            threading.Thread(
                target=lambda n=n: [
                    journal.append_objects(objects(f"{n} {i}".encode())) for i in range(20)
                ]
            )
            for n in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [r.number for r in journal.records] == list(range(80))
        assert len({journal.body(r) for r in journal.records}) == 80


def test_outcomes_are_kept_to_the_last_bit(tmp_path: Path):
    """What is read after opening again is what was recorded, not-a-numbers and stamps included."""
    skipped = Skipped(1, SkipReason.GAP, "no image of it arrived")
    with Journal(tmp_path) as journal:
        journal.begin_run(1, "b" * 12, ("a", "b"), 1.5)
        session = journal.session
        journal.record(Numbered(session, 1, 1, decision(0, 1 / 3)))
        journal.stamp(1, 99)
        journal.record(Numbered(session, 1, 2, skipped))
    with Journal(tmp_path) as journal:
        assert journal.session == session
        first, second = journal.outcomes()
        assert deterministic(first.outcome) == deterministic(decision(0, 1 / 3))
        assert first.outcome.stamps == Stamps(received_ns=7, recorded_ns=99)
        assert second == Numbered(session, 1, 2, skipped)
        assert (journal.last_sequence(), journal.sequence_before(1)) == (2, 0)
        assert journal.sequence_before(2) == 2


def test_an_outcome_is_recorded_once(tmp_path: Path):
    """A second outcome for a volume is an error, not an overwriting."""
    with Journal(tmp_path) as journal:
        journal.begin_run(1, "b" * 12, ("a", "b"), 1.5)
        journal.record(Numbered(journal.session, 1, 1, decision(0)))
        with pytest.raises(RunError, match="UNIQUE"):
            journal.record(Numbered(journal.session, 1, 2, decision(0)))


def test_a_session_has_one_owner(tmp_path: Path):
    """A second opener is refused while the first has it, and admitted afterwards."""
    with Journal(tmp_path), pytest.raises(ConfigError, match="in use"):
        Journal(tmp_path)
    Journal(tmp_path).close()


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path):
    """With the reason, and without the advice for a full disk."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match="cannot be created"):
        Journal(tmp_path / "file" / "session")
    (tmp_path / "session" / "session.lock").mkdir(parents=True)
    with pytest.raises(ConfigError, match="cannot be written"):
        Journal(tmp_path / "session")


def test_checkpoints_come_back_equal_and_old_ones_go(tmp_path: Path):
    """State and ledger survive; the newest of the run is found."""
    for sequence in (3, 6, 9):
        state = {"stage/mean": np.full(4, sequence, np.float32), "file": np.array(sequence)}
        write_checkpoint(tmp_path / "c", Checkpoint(1, "b", sequence, 2, {"next": sequence}, state))
    newest = newest_checkpoint(tmp_path / "c", 1)
    assert newest is not None
    assert (newest.sequence, newest.feed_from, newest.ledger) == (9, 2, {"next": 9})
    np.testing.assert_array_equal(newest.pipeline["stage/mean"], np.full(4, 9, np.float32))
    assert newest.pipeline["stage/mean"].dtype == np.float32
    assert int(newest.pipeline["file"]) == 9
    assert len(list((tmp_path / "c").iterdir())) == 2
    assert newest_checkpoint(tmp_path / "c", 2) is None


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path: Path, damage: str):
    """Whatever is wrong with the newest, the older one is used."""
    for sequence in (3, 6):
        state = {"mean": np.arange(1000.0)}
        path = write_checkpoint(tmp_path, Checkpoint(1, "b", sequence, 0, {}, state))
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(
        {
            "cut": content[:middle],
            "flip": content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :],
            "empty": b"",
        }[damage]
    )
    newest = newest_checkpoint(tmp_path, 1)
    assert newest is not None
    assert newest.sequence == 3
