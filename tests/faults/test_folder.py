"""A full disk, a read-only folder, and a missing folder."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rtdecode.errors import ConfigError
from rtdecode.journal import Journal

LIMITED = (
    "import resource, runpy, sys; limit = int(sys.argv[1]); del sys.argv[:2]; "
    "resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY)); "
    "runpy.run_path(sys.argv[0], run_name='__main__')"
)
needs_limits = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows has no limit on the size of a process's files"
)
needs_unix_files = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows lets nobody move or delete files that are open"
)


def contains_all(session: Path, acknowledged: list[bytes]) -> bool:
    """Say whether every acknowledged object is in a session."""
    if not acknowledged:
        return True
    with Journal(session) as journal:
        bodies = {journal.body(r) for r in journal.records if "name" in r.header}
    return set(acknowledged) <= bodies


@needs_limits
@pytest.mark.parametrize("limit", [0, 600, 5_000, 20_000, 70_000, 100_000, 110_000, 130_000])
def test_a_limit_on_files_stops_the_run_and_loses_nothing(
    tmp_path, serve, objects, unbroken, limit
):
    """No file may exceed a limit: log, record, checkpoint or list of sockets."""
    session = tmp_path / "session"
    serving = serve(session, sys.executable, "-c", LIMITED, str(limit))
    serving.send(objects)
    code, _, err = serving.finish()
    assert contains_all(session, serving.acknowledged)
    if code:
        assert "make room" in err, err
    again = serve(session)
    again.send(objects)
    code, reported, err = again.finish()
    assert (code, reported.get("state"), reported.get("sha256")) == (0, "ended", unbroken), err


@needs_limits
def test_a_log_without_room_loses_nothing(tmp_path, serve, objects, unbroken):
    """An object for which there is no room is not acknowledged, and leaves nothing half-written."""
    session = tmp_path / "session"
    large = bytes(300_000)  # no image; in the end it is counted as unreadable
    serving = serve(session, sys.executable, "-c", LIMITED, "200000")
    serving.send([*objects[:4], large, *objects[4:]])
    code, reported, err = serving.finish()
    assert (code, reported.get("state")) == (1, "faulted")
    assert "session's log cannot be written" in err
    assert "make room" in err
    assert serving.acknowledged == objects[:4]
    assert contains_all(session, serving.acknowledged)
    assert not list(session.glob("*.torn-*"))
    again = serve(session)
    again.send([large, *objects])
    code, reported, err = again.finish()
    assert (code, reported.get("sha256")) == (0, unbroken), err


@pytest.fixture
def small_disk(tmp_path):
    """Return a function that mounts a disk of a given size."""
    mounted = []

    def mount(size_bytes: int) -> Path:
        path = tmp_path / "disk"
        path.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(path)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            pytest.skip("there is no mount here to make a small disk with")
        if done.returncode:
            pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
        mounted.append(path)
        return path

    yield mount
    for path in mounted:
        subprocess.run(["umount", str(path)], check=True)


@pytest.mark.parametrize("size_bytes", [40_960, 131_072, 163_840, 180_224])
def test_a_full_disk_stops_the_run_and_more_room_continues_it(
    serve, objects, unbroken, small_disk, size_bytes
):
    """A real disk is full; after it is enlarged, the run continues to the same outcomes."""
    disk = small_disk(size_bytes)
    serving = serve(disk / "session")
    serving.send(objects)
    code, _, err = serving.finish()
    assert code, "the disk was large enough"
    assert "make room" in err, err
    grow = ["mount", "-o", "remount,size=16m", "tmpfs", str(disk)]
    subprocess.run(grow, check=True)
    assert contains_all(disk / "session", serving.acknowledged)
    again = serve(disk / "session")
    again.send(objects)
    code, reported, err = again.finish()
    assert (code, reported.get("sha256")) == (0, unbroken), err


def test_a_read_only_folder_is_refused(tmp_path, serve, small_disk):
    """It is refused before any acknowledgement; the message names the folder."""
    if os.name == "posix" and os.geteuid() == 0:
        folder = small_disk(1 << 20)
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    else:
        folder = tmp_path / "read-only"
        folder.mkdir()
        folder.chmod(0o500)
        if os.access(folder, os.W_OK):
            pytest.skip("folders cannot be made read-only here")
    for session in (folder, folder / "session"):
        serving = serve(session)
        code, reported, err = serving.finish()
        assert (code, reported) == (1, {})
        assert f"ConfigError: session folder {session} cannot be" in err, err
    with pytest.raises(ConfigError, match="cannot be"):
        Journal(folder / "session")


@pytest.fixture
def failing_disk(tmp_path):
    """Return a mounted disk, a function that makes it read-only, and one that repairs it."""
    image, path = tmp_path / "disk.img", tmp_path / "disk"
    path.mkdir()
    image.write_bytes(bytes(16 << 20))
    for command in (
        ["mkfs.ext4", "-q", str(image)],
        ["mount", "-o", "loop", str(image), str(path)],
    ):
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            pytest.skip(f"there is no {command[0]} here to make a disk with")
        if done.returncode:
            pytest.skip(f"a disk cannot be mounted here: {done.stderr.strip()}")

    def fail() -> None:
        # The kernel does this if it finds the disk damaged.
        subprocess.run(["mount", "-o", "remount,abort", str(path)], check=True)

    def repair() -> None:
        subprocess.run(["umount", str(path)], check=True)
        subprocess.run(["fsck.ext4", "-p", str(image)], capture_output=True, check=False)
        subprocess.run(["mount", "-o", "loop", str(image), str(path)], check=True)

    yield path, fail, repair
    subprocess.run(["umount", str(path)], check=True)


@pytest.mark.parametrize("before", [1, 3, 10])
def test_a_disk_that_becomes_read_only_stops_the_run_and_loses_nothing(
    serve, objects, unbroken, failing_disk, before
):
    """Nothing more is acknowledged; on the repaired disk the run continues to the same outcomes."""
    disk, fail, repair = failing_disk
    serving = serve(disk / "session")
    serving.send(objects[:before])
    fail()
    serving.send(objects[before:])
    code, reported, err = serving.finish()
    assert (code, reported.get("state")) == (1, "faulted"), err
    assert "cannot be written" in err, err
    assert serving.acknowledged == objects[:before]
    repair()
    assert contains_all(disk / "session", serving.acknowledged)
    again = serve(disk / "session")
    again.send(objects)
    code, reported, err = again.finish()
    assert (code, reported.get("sha256")) == (0, unbroken), err


@needs_unix_files
def test_a_deleted_folder_stops_all_acknowledgements(tmp_path, serve, objects):
    """Data written to a deleted file are lost, so nothing more is acknowledged."""
    session = tmp_path / "session"
    serving = serve(session)
    serving.send(objects[:3])
    shutil.rmtree(session)
    serving.send(objects[3:])
    code, _, err = serving.finish()
    assert code == 1
    assert "was moved or deleted" in err
    assert len(serving.acknowledged) == 3


@needs_unix_files
def test_a_moved_folder_continues_when_it_is_back(tmp_path, serve, objects, unbroken):
    """The run stops, and the moved folder has all acknowledged data."""
    session, elsewhere = tmp_path / "session", tmp_path / "elsewhere"
    serving = serve(session)
    serving.send(objects[:3])
    session.rename(elsewhere)
    serving.send(objects[3:])
    code, _, err = serving.finish()
    assert code == 1
    assert "was moved or deleted" in err
    assert contains_all(elsewhere, serving.acknowledged)
    elsewhere.rename(session)
    again = serve(session)
    again.send(objects)
    code, reported, err = again.finish()
    assert (code, reported.get("sha256")) == (0, unbroken), err


def test_a_run_continues_without_checkpoints(tmp_path, serve, objects, unbroken):
    """Checkpoints only save time; the log is sufficient."""
    session = tmp_path / "session"
    session.mkdir()
    (session / "checkpoints").write_bytes(b"a file where their folder should be")
    serving = serve(session)
    serving.send(objects)
    code, reported, err = serving.finish()
    assert (code, reported.get("sha256")) == (0, unbroken), err
