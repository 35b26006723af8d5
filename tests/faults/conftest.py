"""The small scanner and decoder of the end-to-end tests, in processes that can be killed."""

import hashlib
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import pytest
import zmq

from rtdecode.client import Control, session_endpoints
from rtdecode.errors import ConfigError
from rtdecode.wire import IngestHeader, IngestReply, decode, encode

END_TO_END = Path(__file__).resolve().parents[1] / "end_to_end"


def load(path: Path) -> ModuleType:
    """Import a file that is in no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def stand_in_module() -> ModuleType:
    """Return the module of the tiny decoder and scanner."""
    return load(END_TO_END / "stand_in.py")


@pytest.fixture(scope="session")
def disk() -> ModuleType:
    """Return the module that simulates power cuts."""
    return load(Path(__file__).with_name("disk.py"))


@pytest.fixture(scope="session")
def objects(stand_in_module) -> list[bytes]:
    """Return the run's objects: some volumes whole, some in slices."""
    scanner = stand_in_module.Scanner()
    whole = [scanner.mosaic(index) for index in (0, 1)]
    return whole + [scanner.slice(index, at) for index in range(2, 6) for at in range(4)]


VOLUMES = 6


class ServiceStart:
    """A service in a separate process that gets objects over its ingest socket.

    Parameters
    ----------
    command
        The command that starts the service and prints its endpoints.
    session
        Its folder.
    """

    def __init__(self, command: list[str], session: Path) -> None:
        self.acknowledged: list[bytes] = []
        self._session = session
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        reported = self.process.stdout.readline()
        self.ingest = json.loads(reported).get("ingest", "") if reported else ""
        self._context = zmq.Context()
        self._outcomes = self._context.socket(zmq.SUB)

    def listen(self) -> None:
        """Subscribe, so that outcomes are sent."""
        if not self.ingest:
            return
        endpoints = session_endpoints(self._session)
        self._outcomes.subscribe(b"outcome")
        self._outcomes.connect(endpoints["outcomes"])
        with Control(endpoints["control"], timeout_s=1.0) as control:
            # The service may be busy, or may have ended.
            while self.process.poll() is None:
                with suppress(ConfigError):
                    if control.status().subscribers:
                        return

    def send(self, objects: list[bytes]) -> None:
        """Send objects one after the other, each once the one before is acknowledged."""
        if not self.ingest:
            return
        with self.connected() as socket:
            for content in objects:
                self.push(socket, content)
                if not self.answered(socket, content):
                    return

    def connected(self) -> zmq.Socket[bytes]:
        """Return a socket for `push`; the caller closes it."""
        socket = self._context.socket(zmq.DEALER)
        socket.setsockopt(zmq.LINGER, 0)
        socket.connect(self.ingest)
        return socket

    def push(self, socket: zmq.Socket[bytes], content: bytes) -> None:
        """Send an object."""
        digest = hashlib.sha256(content).hexdigest()
        header = IngestHeader(kind="dicom", name="o.dcm", sha256=digest)
        socket.send_multipart([encode(header), content])

    def answered(self, socket: zmq.Socket[bytes], content: bytes) -> bool:
        """Wait for an object's acknowledgement; say whether it arrived before the service's end."""
        while not socket.poll(100):
            if self.process.poll() is not None:
                return False
        reply = decode(socket.recv_multipart()[-1], IngestReply)
        assert reply.receipt in {"journalled", "duplicate"}
        self.acknowledged.append(content)
        return True

    def finish(self) -> tuple[int, dict[str, str], str]:
        """Wait for its end; return its exit code, its last output and its errors."""
        out, err = self.process.communicate(timeout=60)
        self.close()
        lines = out.splitlines()
        return self.process.returncode, json.loads(lines[-1]) if lines else {}, err

    def close(self) -> None:
        """Close the sockets and end the process."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
        self._outcomes.close()
        self._context.term()


@pytest.fixture
def serve() -> Iterator[object]:
    """Return a function that starts a service; all are ended after the test."""
    begun = []

    def begin(session: Path, *before: str) -> ServiceStart:
        script = [str(END_TO_END / "stand_in.py"), str(session), "zmq:", str(VOLUMES)]
        begun.append(ServiceStart([*(before or (sys.executable,)), *script], session))
        begun[-1].listen()
        return begun[-1]

    yield begin
    for serving in begun:
        serving.close()


@pytest.fixture
def unbroken(serve, tmp_path, objects) -> str:
    """Return the digest of an unbroken run's outcomes."""
    serving = serve(tmp_path / "unbroken")
    serving.send(objects)
    code, reported, err = serving.finish()
    assert (code, reported.get("state")) == (0, "ended"), err
    return reported["sha256"]
