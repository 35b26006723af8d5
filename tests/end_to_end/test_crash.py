"""After a kill at any point, the service continues to the outcomes of an unbroken run."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

VOLUMES = 9


def serve(script: Path, session: Path, source: str, *more: object) -> subprocess.CompletedProcess:
    """Run the service until it ends or is killed."""
    command = [sys.executable, str(script), str(session), source, *map(str, more)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)


def digest(done: subprocess.CompletedProcess) -> str:
    """Return the digest that a finished service prints for its outcomes."""
    assert done.returncode == 0, done.stderr
    reported = json.loads(done.stdout.splitlines()[-1])
    assert reported["state"] == "ended"
    return reported["sha256"]


@pytest.fixture
def exported(tmp_path: Path, export, scanner) -> str:
    """Return a folder with a run of slices in which one volume is missing, and one slice."""
    for index in range(VOLUMES):
        for at in range(4):
            if index != 4 and (index, at) != (6, 2):
                export(f"IM_{index:03d}_{at}.dcm", scanner.slice(index, at))
    return f"folder:{tmp_path / 'export'}"


@pytest.fixture
def unbroken(tmp_path: Path, exported: str, stand_in_script: Path) -> str:
    """Return the digest of an unbroken run."""
    return digest(serve(stand_in_script, tmp_path / "unbroken", exported, VOLUMES))


def test_after_a_kill_in_any_volume_the_outcomes_are_the_same(
    tmp_path: Path, exported: str, unbroken: str, stand_in_script: Path
):
    """Kills before the first checkpoint, at one, in a gap and at the end change nothing."""
    session = tmp_path / "killed"
    for die_at in (0, 2, 4, 8):
        died = serve(stand_in_script, session, exported, VOLUMES, die_at)
        assert died.returncode != 0
        assert "sha256" not in died.stdout
    assert digest(serve(stand_in_script, session, exported, VOLUMES)) == unbroken


def test_a_torn_log_and_a_torn_checkpoint_change_nothing(
    tmp_path: Path, exported: str, unbroken: str, stand_in_script: Path
):
    """Data that a power cut left half-written are moved away, and read again from the source."""
    session = tmp_path / "torn"
    serve(stand_in_script, session, exported, VOLUMES, 7)
    pack = session / "objects.pack"
    pack.write_bytes(pack.read_bytes() + b"RTDr\x01half a record")
    newest = sorted((session / "checkpoints").glob("*.npz"))[-1]
    newest.write_bytes(newest.read_bytes()[:-50])
    assert digest(serve(stand_in_script, session, exported, VOLUMES)) == unbroken
    assert len(list(session.glob("objects.pack.torn-*"))) == 1


def test_a_recorded_session_replays_to_the_same_outcomes(
    tmp_path: Path, unbroken: str, stand_in_script: Path
):
    """The recording also has the moments at which missing volumes were skipped."""
    source = f"recording:{tmp_path / 'unbroken'}"
    for again in ("first", "second"):
        assert digest(serve(stand_in_script, tmp_path / again, source, 0)) == unbroken


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to send")
def test_sigterm_stops_the_service_and_the_run_continues(
    tmp_path: Path, exported: str, unbroken: str, stand_in_script: Path
):
    """A stop during a run leaves an unfinished run, and no error."""
    session = tmp_path / "stopped"
    command = [sys.executable, str(stand_in_script), str(session), exported, str(VOLUMES + 1)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as service:
        assert service.stdout is not None
        assert "outcomes" in service.stdout.readline()
        service.terminate()
        reported = json.loads(service.stdout.readline())
    assert (service.returncode, reported["state"]) == (0, "stopped")
    assert digest(serve(stand_in_script, session, exported, VOLUMES)) == unbroken
