"""The feedback run: the service in a separate process, a player as the scanner, and a client."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from rtdecode.client import Outcomes
from rtdecode.clock import SystemClock
from rtdecode.errors import ConfigError, RunError
from rtdecode.player import PlayReport, play
from rtdecode.player.play import Speed
from rtdecode.types import Outcome
from rtdecode.wire import ANY_PORT

START_S = 120.0
"""Time limit for the start; in its first run on a machine the service compiles first."""
SILENCE_S = 30.0
"""Maximum time without an outcome after the last image."""
POLL_S = 0.05
_TAIL = 2000


class _StoppableClock(SystemClock):
    """A clock whose sleeping callers can be stopped."""

    def __init__(self) -> None:
        self.stop = threading.Event()

    def sleep_until(self, monotonic_ns: int) -> None:
        remaining_ns = monotonic_ns - self.monotonic_ns()
        if self.stop.wait(max(0.0, remaining_ns / 1e9)):
            raise RunError("the player was stopped")


def serve_and_play(
    bundle: Path,
    recording: Path,
    work: Path,
    volumes: int,
    speed: Speed,
    on_outcome: Callable[[Outcome], None],
) -> list[Outcome]:
    """Play a recorded run to `rtdecode serve`, and receive its outcomes.

    Parameters
    ----------
    bundle
        The decoder's bundle.
    recording
        Folder of the run's DICOM files.
    work
        Folder for the source folder `export`, the service's `session` and its `serve.log`.
    volumes
        Number of volumes of the run.
    speed
        Speed of the player.
    on_outcome
        Called with each outcome.

    Returns
    -------
    One outcome per volume, in order.

    Raises
    ------
    RunError
        The service or the player failed; the error has its message.
    """
    export = work / "export"
    export.mkdir()
    clock = _StoppableClock()
    with (
        _service(bundle, export, work, volumes) as service,
        Outcomes.of_session(work / "session") as client,
        ThreadPoolExecutor(1, thread_name_prefix="player") as pool,
    ):
        try:
            player = pool.submit(play, [recording], str(export), speed, clock)
            return list(_receive(client, service, player, on_outcome))
        finally:
            clock.stop.set()


def _receive(
    client: Outcomes,
    service: "_Service",
    player: "Future[PlayReport]",
    on_outcome: Callable[[Outcome], None],
) -> Iterator[Outcome]:
    """Yield outcomes until the run ends; raise the error of the service or the player."""
    last_s = time.monotonic()
    while True:
        numbered = client.poll(POLL_S)
        now_s = time.monotonic()
        if numbered is not None:
            last_s = now_s
            on_outcome(numbered.outcome)
            yield numbered.outcome
            continue
        if client.ended:
            return
        if client.fault:
            raise RunError(f"the service stopped: {client.fault}")
        if player.done():
            player.result()  # raises the player's error
            if not service.alive or now_s - last_s > SILENCE_S:
                raise RunError(f"the service sends no outcomes; its output:\n{service.output()}")
        elif not service.alive:
            raise RunError(f"the service stopped during the run; its output:\n{service.output()}")
        else:
            last_s = now_s


class _Service:
    """A running `rtdecode serve`."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def output(self) -> str:
        """Return the end of its output."""
        return self._log.read_text(encoding="utf-8", errors="replace")[-_TAIL:].strip()


@contextmanager
def _service(bundle: Path, export: Path, work: Path, volumes: int) -> Iterator[_Service]:
    """Run the service until the context closes; it is ready when the context opens."""
    session, log = work / "session", work / "serve.log"
    command = [sys.executable, "-m", "rtdecode", "serve", "--bundle", str(bundle)]
    command += ["--source", f"folder:{export}", "--session", str(session)]
    command += ["--volumes", str(volumes), "--provider", "cpu"]
    command += ["--outcomes", ANY_PORT, "--control", ANY_PORT]
    with log.open("wb") as output:
        # A fixed program with our arguments, without a shell.
        process = subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        )
    service = _Service(process, log)
    try:
        _wait_until_ready(service, session)
        yield service
        # The service ends after the run's last volume, when its clients had time to catch up.
        try:
            process.wait(SILENCE_S)
        except subprocess.TimeoutExpired as error:
            raise RunError(f"the service does not end; its output:\n{service.output()}") from error
        if process.returncode:
            raise RunError(f"the service failed ({process.returncode}):\n{service.output()}")
    finally:
        _end(process)


def _wait_until_ready(service: _Service, session: Path) -> None:
    """Wait until the service accepts images, shown by `endpoints.json` and its output."""
    deadline_s = time.monotonic() + START_S
    while "ready:" not in service.output():
        if not service.alive:
            raise RunError(f"the service does not start:\n{service.output()}")
        if time.monotonic() > deadline_s:
            raise RunError(f"the service is not ready after {START_S:g} s:\n{service.output()}")
        time.sleep(POLL_S)
    if not (session / "endpoints.json").is_file():
        raise ConfigError(f"{session}: the service left no endpoints.json")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
