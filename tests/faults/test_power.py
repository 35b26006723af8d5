"""A kill or a power cut at any system call loses no acknowledged or published data.

The service runs under strace. From its calls it is known at each of them what the disk is sure to
hold, what it may hold, and what went out over the sockets: acknowledgements and outcomes.
"""

import hashlib
import re
import shutil
import sys
import tempfile
from pathlib import Path
from random import Random

import pytest

from rtdecode.clock import SystemClock
from rtdecode.journal import Checkpoint, Journal, write_checkpoint
from rtdecode.journal.pack import Entry, Kind
from rtdecode.lifecycle import LifecycleEvent
from rtdecode.service.runner import Runner
from rtdecode.service.settings import RunOptions
from rtdecode.wire import deterministic

ACKNOWLEDGED = re.compile(rb'"sha256":"([0-9a-f]{64})","receipt":"journalled"')
PUBLISHED = re.compile(rb'"sequence":(\d+),"outcome"')

pytestmark = pytest.mark.skipif(
    shutil.which("strace") is None, reason="needs strace, which records system calls"
)


@pytest.fixture(scope="module")
def fast_folder():
    """Return a folder in memory if there is one: many sessions are written into it."""
    shared = Path("/dev/shm")  # noqa: S108 - a folder of our own below it
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture
def traced(tmp_path, serve, disk, objects):
    """Return the calls of an unbroken run, its session's folder, and its digests in order."""
    log = tmp_path / "calls"
    session = tmp_path / "disk" / "home" / "session"
    (tmp_path / "disk").mkdir()
    serving = serve(session, *disk.command(log, sys.executable))
    if not serving.ingest:
        pytest.skip(f"strace may not trace here: {serving.finish()[2]}")
    serving.send(objects)
    code, reported, err = serving.finish()
    assert (code, reported.get("state")) == (0, "ended"), err
    with Journal(session) as journal:
        outcomes = [deterministic(numbered.outcome) for numbered in journal.outcomes()]
    return list(disk.calls(log)), tmp_path / "disk", outcomes


def promised(disk) -> tuple[set[str], set[int]]:
    """Return the objects acknowledged and the outcomes published so far."""
    reported = b"".join(disk.said)
    acknowledged = {found.decode() for found in ACKNOWLEDGED.findall(reported)}
    return acknowledged, {int(found) for found in PUBLISHED.findall(reported)}


def finish_run(
    session: Path, decoder, objects: list[bytes], acknowledged, published, outcomes
) -> None:
    """Open the remaining files, check that they have all promised data, and finish the run."""
    with Journal(session) as journal:
        stored = {
            r.header["sha256"]: journal.body(r) for r in journal.records if "name" in r.header
        }
        assert acknowledged <= stored.keys()
        assert all(hashlib.sha256(body).hexdigest() == digest for digest, body in stored.items())
        recorded = {n.sequence: deterministic(n.outcome) for n in journal.outcomes()}
        assert published <= recorded.keys()
        assert all(reported == outcomes[sequence - 1] for sequence, reported in recorded.items())
        runner = Runner(
            journal,
            decoder,
            SystemClock(),
            RunOptions(volumes=6),
        )

        def take(outputs):
            for output in outputs:
                if isinstance(output, Checkpoint):
                    write_checkpoint(journal.checkpoints, output)

        take(runner.open())
        # A sender without an answer does this.
        for content in objects:
            header = {"name": "o.dcm", "received_ns": 1}
            (made,) = journal.append_objects([Entry(Kind.OBJECT, header, content)])
            if made is not None:
                take(runner.apply(made, content))
        if runner.run.is_open:
            ending = runner.carry_out(LifecycleEvent.END)
            assert ending is not None
            take(ending)
        assert [deterministic(n.outcome) for n in journal.outcomes()] == outcomes


@pytest.mark.timeout(600)
def test_nothing_acknowledged_is_lost_at_any_system_call(
    traced, fast_folder, disk, objects, stand_in_module
):
    """After each call there is a kill, a worst-case power cut, and a random power cut."""
    made, root, outcomes = traced
    random = Random(5)  # noqa: S311 - chance, and no secret
    here = disk.Disk(str(root))
    points = 0
    for call in made:
        if not here.take(call):
            continue
        points += 1
        acknowledged, published = promised(here)
        lefts = [here.after_kill(), here.after_strict_power_cut()]
        lefts += [here.after_power_cut(random) for _ in range(3)]
        for number, left in enumerate(lefts):
            folder = fast_folder / f"{points}-{number}"
            folder.mkdir()
            disk.write_files(left, str(root), folder)
            session = folder / "home" / "session"
            finish_run(
                session, stand_in_module.StandIn(), objects, acknowledged, published, outcomes
            )
            shutil.rmtree(folder)
    acknowledged, published = promised(here)
    assert len(acknowledged) == len(objects)
    assert published == set(range(1, 7))
    assert points > 100
