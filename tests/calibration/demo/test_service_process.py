"""The service's process and the player's thread."""

import subprocess
import sys
import time

import pytest

from calibration.demo import service_process
from calibration.demo.service_process import serve_and_play
from rtdecode.errors import RunError


def test_a_service_that_does_not_start_says_why(tmp_path):
    """A bundle that is not there is named in the error, and no process stays."""
    with pytest.raises(RunError, match="does not start") as caught:
        serve_and_play(tmp_path / "no-bundle", tmp_path, tmp_path, 10, "max", print)
    assert "no-bundle" in str(caught.value)


def test_a_stopped_clock_wakes_its_sleeper():
    """A player that waits for its next file does not outlive the run."""
    clock = service_process._StoppableClock()
    clock.stop.set()
    with pytest.raises(RunError, match="stopped"):
        clock.sleep_until(clock.monotonic_ns() + 3_600_000_000_000)


def test_a_process_is_ended():
    """Whatever happens, the service's process is gone."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    start_s = time.monotonic()
    service_process._end(process)
    assert process.returncode is not None
    assert time.monotonic() - start_s < 60
