"""Files of a console computer reach the service, also after either side was restarted."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Event

import pytest
import zmq

from rtdecode.cli import main
from rtdecode.errors import ConfigError, RunError
from rtdecode.player import IngestSink, default_record, forward
from rtdecode.player.forward import Acknowledged
from rtdecode.wire import IngestHeader, IngestReply, decode, encode

VOLUMES = 9


def forward_until(folder: Path, to: str, record: Path, count: int) -> list[str]:
    """Forward until there are `count` answers, and return their receipts."""
    receipts: list[str] = []
    stop = Event()

    def note(reply: IngestReply) -> None:
        receipts.append(reply.receipt)
        if len(receipts) == count:
            stop.set()

    forward(folder, to, record, stop=stop, on_answer=note)
    return receipts


def test_a_service_killed_in_mid_run_and_started_again_misses_nothing(
    tmp_path: Path, export, scanner, stand_in_script: Path
):
    """Files that arrive meanwhile wait; the outcomes equal those of an uninterrupted run."""
    outside = tmp_path / "outside"

    def serve(session: str, source: str, *more: object) -> subprocess.Popen:
        command = [sys.executable, str(stand_in_script), str(tmp_path / session), source]
        return subprocess.Popen(
            [*command, str(VOLUMES), *map(str, more)], stdout=subprocess.PIPE, text=True
        )

    for volume in range(5):
        for position in range(4):
            export(f"{volume}_{position}.dcm", scanner.slice(volume, position))
    with serve("killed", "zmq:", 4) as dying:
        assert dying.stdout is not None
        ingest = json.loads(dying.stdout.readline())["ingest"]
        command = [sys.executable, "-m", "rtdecode", "forward", str(tmp_path / "export")]
        forwarder = subprocess.Popen(
            [*command, "--to", ingest, "--record", str(outside / "record.txt")],
            stderr=subprocess.DEVNULL,
        )
    try:
        assert dying.returncode != 0
        for volume in range(5, VOLUMES):
            for position in range(4):
                export(f"{volume}_{position}.dcm", scanner.slice(volume, position))
        with serve("killed", "zmq:", -1, ingest) as service:
            assert service.stdout is not None
            resumed = json.loads(service.stdout.readlines()[-1])
    finally:
        forwarder.terminate()
        forwarder.wait(timeout=20)
    with serve("uninterrupted", f"folder:{tmp_path / 'export'}") as whole:
        assert whole.stdout is not None
        uninterrupted = json.loads(whole.stdout.readlines()[-1])
    assert resumed == uninterrupted
    assert resumed["state"] == "ended"


def test_what_was_acknowledged_is_not_sent_again_after_a_restart(
    start, tmp_path: Path, export, scanner
):
    """Without the record it is sent again, and the service recognises it."""
    service = start(source="zmq:")
    folder, record = tmp_path / "export", tmp_path / "outside" / "record.txt"
    for volume in range(3):
        export(f"{volume}.dcm", scanner.mosaic(volume))
    assert forward_until(folder, service.endpoints.ingest, record, 3) == ["journalled"] * 3
    export("3.dcm", scanner.mosaic(3))
    assert forward_until(folder, service.endpoints.ingest, record, 1) == ["journalled"]
    record.write_text(record.read_text()[:70])  # power was lost: one line and a part are left
    again = forward_until(folder, service.endpoints.ingest, record, 3)
    assert again == ["duplicate"] * 3
    assert len(set(record.read_text().split())) == 5  # four, and the torn line
    with service.control() as control:
        while control.status().objects < 4:
            pass
    assert service.shut().objects == 4


def test_ctrl_c_ends_the_command_with_a_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """The exit code is 0, and the options arrive."""

    def interrupted(folder, to, record, *, on_answer, force_polling, keys):
        assert (folder, to, record) == (tmp_path, "tcp://a:1", tmp_path / "record.txt")
        assert (force_polling, keys) == (True, tmp_path / "keys")
        on_answer(IngestReply(sha256="0", receipt="journalled"))
        on_answer(IngestReply(sha256="1", receipt="refused", error="no name"))
        raise KeyboardInterrupt

    monkeypatch.setattr("rtdecode.player.forward", interrupted)
    record, keys = str(tmp_path / "record.txt"), str(tmp_path / "keys")
    options = ["--to", "tcp://a:1", "--record", record, "--keys", keys, "--polling"]
    assert main(["forward", str(tmp_path), *options]) == 0
    assert "1 delivered, 0 were there already, 1 refused" in capsys.readouterr().err


def test_names_of_files_never_leave_the_console(start, tmp_path: Path, export, scanner):
    """File names may contain the names of people."""
    service = start(source="zmq:", volumes=1)
    export("Doe^Jane/0.dcm", scanner.mosaic(0))
    record = tmp_path / "record.txt"
    forward_until(tmp_path / "export", service.endpoints.ingest, record, 1)
    service.finish()
    assert b"Doe" not in (tmp_path / "session" / "objects.pack").read_bytes()
    assert "Doe" not in record.read_text()


def test_a_refused_object_is_reported_and_the_others_continue(start, scanner):
    """The answer has the digest, so that the sender knows which object it was."""
    service = start(source="zmq:")
    replies: list[IngestReply] = []
    with IngestSink(service.endpoints.ingest, on_reply=replies.append) as sink:
        sink.put("\x1b[2J", b"content")
        sink.put("0.dcm", scanner.mosaic(0))
        sink.flush()
    assert [reply.receipt for reply in replies] == ["refused", "journalled"]
    assert replies[0].error
    assert replies[0].sha256 != replies[1].sha256 != ""
    with IngestSink(service.endpoints.ingest) as strict:
        strict.put("\x1b[2J", b"content")
        with pytest.raises(RunError, match="refuses an object"):
            strict.flush()


def test_pending_objects_stay_within_the_window(monkeypatch: pytest.MonkeyPatch):
    """A large object waits until earlier ones are acknowledged."""
    monkeypatch.setattr("rtdecode.player.sinks.WINDOW_BYTES", 100)
    monkeypatch.setattr("rtdecode.player.sinks.SILENCE_S", 0.05)
    with zmq.Context() as context, context.socket(zmq.ROUTER) as mute:
        mute.setsockopt(zmq.LINGER, 0)
        port = mute.bind_to_random_port("tcp://127.0.0.1")
        with IngestSink(f"tcp://127.0.0.1:{port}") as sink:
            sink.put("a", bytes(60))
            with pytest.raises(RunError, match="2 objects not acknowledged"):
                sink.put("b", bytes(61))


def test_a_record_that_cannot_be_written_is_refused(tmp_path: Path):
    """It is refused before anything is sent."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match="cannot be written"):
        Acknowledged(tmp_path / "file" / "record.txt").__enter__()


def test_each_folder_and_service_has_its_own_record(tmp_path: Path):
    """The name of the record contains neither."""
    folder = tmp_path / "Doe"
    records = {default_record(folder, "tcp://a:1"), default_record(folder, "tcp://b:1")}
    assert len(records | {default_record(tmp_path, "tcp://a:1")}) == 3
    assert all("Doe" not in str(record) for record in records)


def test_what_a_service_lost_is_sent_to_the_next_one(scanner):
    """It is sent on the new connection, without waiting for the time limit of an answer."""
    content = scanner.mosaic(0)
    replies: list[IngestReply] = []
    with ThreadPoolExecutor(1) as pool, zmq.Context() as context:
        with context.socket(zmq.ROUTER) as first:
            first.setsockopt(zmq.LINGER, 0)
            port = first.bind_to_random_port("tcp://127.0.0.1")
            endpoint = f"tcp://127.0.0.1:{port}"

            def send() -> None:
                with IngestSink(endpoint, on_reply=replies.append) as sink:
                    sink.put("0.dcm", content)
                    sink.flush()

            sent = pool.submit(send)
            assert first.recv_multipart()[-1] == content
            first.unbind(endpoint)
        with context.socket(zmq.ROUTER) as second:
            second.setsockopt(zmq.RCVTIMEO, 20_000)
            bound = False
            while not bound:
                with suppress(zmq.ZMQError):  # a thread of the first one releases the port
                    second.bind(endpoint)
                    bound = True
            route, header, again = second.recv_multipart()
            digest = decode(header, IngestHeader).sha256
            second.send_multipart([route, encode(IngestReply(sha256=digest, receipt="journalled"))])
            sent.result(timeout=20)
    assert again == content
    assert [reply.receipt for reply in replies] == ["journalled"]
