"""Volumes as Pyneal's own scanner programs send them."""

import hashlib
import json
import logging
import math
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import numpy as np
import pytest
import zmq

from calibration.data.acquire import read_run
from rtdecode.adapters.pyneal_message import repetition_time
from rtdecode.errors import ConfigError
from rtdecode.types import Decision, Skipped, SkipReason

SOURCE = "pyneal://127.0.0.1:*"
AFFINE = [[3.0, 0, 0, -12], [0, 3.0, 0, -12], [0, 0, 3.0, 0], [0, 0, 0, 1]]


class Sender:
    """Sends like `pynealScanner_sim.py` and `Siemens_utils.py`: hello, then wait each time."""

    def __init__(self, socket: zmq.Socket) -> None:
        self.socket = socket

    def hello(self, text: str = "hello from pyneal_scanner") -> None:
        """Send the greeting until it is echoed."""
        while True:
            self.socket.send_string(text)
            if self.socket.recv_string() == text:
                return

    def post(self, index: int, voxels: np.ndarray, **changes: object) -> None:
        """Send a volume in two frames."""
        header = {
            "volIdx": index,
            "dtype": str(voxels.dtype),
            "shape": voxels.shape,
            "affine": json.dumps(AFFINE),
            "TR": "1.5",
            **changes,
        }
        self.socket.send_json(header, zmq.SNDMORE)
        self.socket.send(np.ascontiguousarray(voxels), copy=False)

    def put(self, index: int, voxels: np.ndarray, **changes: object) -> str:
        """Send a volume and return the answer."""
        self.post(index, voxels, **changes)
        return self.socket.recv_string()


@contextmanager
def sender(endpoint: str) -> Iterator[Sender]:
    """Connect as one of Pyneal's programs."""
    with zmq.Context() as context, context.socket(zmq.PAIR) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.RCVTIMEO, 30_000)
        socket.connect(endpoint)
        yield Sender(socket)


@pytest.fixture
def voxels(rng: np.random.Generator):
    """Return a function that gives volume `index` as floats, as Siemens' and GE's senders do."""
    drawn = rng.integers(0, 300, (40, 8, 8, 4)).astype(np.float64)
    return lambda index: drawn[index]


def test_a_run_from_pyneals_sender_is_decided(start, voxels):
    """Hello is echoed, each volume is answered, and each has its outcome."""
    service = start(source=SOURCE, volumes=5)
    with service.outcomes() as outcomes, sender(service.endpoints.ingest) as scanner:
        scanner.hello()
        answers = [scanner.put(index, voxels(index)) for index in range(5)]
        came = list(outcomes)
    assert answers == [f"received volIdx {index}" for index in range(5)]
    assert [o.index for o in came] == list(range(5))
    assert all(isinstance(o.outcome, Decision) for o in came)
    assert came[3].outcome.acquired_s == 4.5
    assert service.finish().decisions == 5


def test_gaps_repeats_and_a_wrong_order_are_corrected(start, voxels):
    """`volIdx` numbers the volumes in any order of arrival."""
    service = start(source=SOURCE, volumes=5)
    with service.outcomes() as outcomes, sender(service.endpoints.ingest) as scanner:
        scanner.hello()
        for index in (1, 0, 0, 2, 1, 4):  # 3 never comes
            assert scanner.put(index, voxels(index)) == f"received volIdx {index}"
        came = list(outcomes)
    assert [o.index for o in came] == list(range(5))
    assert isinstance(came[3].outcome, Skipped)
    assert came[3].outcome.reason is SkipReason.GAP
    assert service.finish().objects == 4


def test_a_restarted_sender_continues(start, voxels):
    """A second hello, on a second connection, belongs to the same run."""
    service = start(source=SOURCE, volumes=4)
    with service.outcomes() as outcomes:
        for first in (0, 1):
            with sender(service.endpoints.ingest) as scanner:
                scanner.hello(f"hello {first}")
                scanner.hello("once more")
                for index in range(2 * first, 2 * first + 2):
                    scanner.put(index, voxels(index))
        assert [o.index for o in outcomes] == [0, 1, 2, 3]
    service.finish()


def test_a_second_sender_is_served_after_the_first(start, voxels):
    """A PAIR socket of ZeroMQ has one peer, and would never accept the second one."""
    service = start(source=SOURCE, volumes=4)
    with ExitStack() as second_open:
        with sender(service.endpoints.ingest) as first:
            first.hello()
            second = second_open.enter_context(sender(service.endpoints.ingest))
            second.socket.send_string("hello, too early")
            for index in range(3):
                first.put(index, voxels(index))
        second.hello()
        second.put(3, voxels(3))
    assert service.finish().decisions == 4


def test_the_next_run_is_another_series(start, voxels, tmp_path):
    """Repeated numbers with other voxels belong to the next run, also after a restart."""
    service = start(source=SOURCE)
    with sender(service.endpoints.ingest) as scanner, service.outcomes() as outcomes:
        for index in range(3):
            scanner.put(index, voxels(index))
        assert [next(outcomes).index for _ in range(3)] == [0, 1, 2]
    assert service.shut().state == "stopped"
    service = start(source=SOURCE)
    with sender(service.endpoints.ingest) as scanner, service.outcomes() as outcomes:
        scanner.put(2, voxels(2))  # again: still the first run's
        scanner.put(3, voxels(3))
        assert [next(outcomes).index for _ in range(4)] == [0, 1, 2, 3]
        with service.control() as control:
            control.end()
            assert list(outcomes) == []
            control.start()
        for index in range(3):
            scanner.put(index, voxels(10 + index))
        came = [next(outcomes) for _ in range(3)]
        assert [(o.run, o.index) for o in came] == [(2, 0), (2, 1), (2, 2)]
    service.shut()
    pack = (tmp_path / "session" / "objects.pack").read_bytes()
    assert (pack.count(b'"pyneal-1"'), pack.count(b'"pyneal-2"')) == (4, 3)


@pytest.mark.parametrize("seed", range(6))
def test_faults_during_transfer_do_not_change_the_outcomes(start, voxels, tmp_path, seed, until):
    """Volumes are lost, repeated and swapped; sender and service restart; garbage arrives."""
    rng = np.random.default_rng(seed)
    sent = [index for index in range(20) if index in (0, 19) or rng.random() < 0.85]

    def ended(service) -> str:
        with service.control() as control:
            until(lambda: control.status().objects >= len(sent))
            control.end()
            until(lambda: control.status().state != "running")
        return service.shut().outcomes_sha256

    unbroken = start(source=SOURCE, session=tmp_path / "unbroken", patience_s=60.0)
    with sender(unbroken.endpoints.ingest) as scanner:
        for index in sent:
            scanner.put(index, voxels(index))
    service = start(source=SOURCE, patience_s=60.0)
    fixed = service.endpoints.ingest.replace("tcp://", "pyneal://")
    came: list[int] = []
    order = sorted(sent, key=lambda index: index + rng.uniform(0, 3))
    with ExitStack() as connected:
        scanner = connected.enter_context(sender(service.endpoints.ingest))
        while order:
            match rng.integers(12):
                case 0:
                    scanner.socket.send_multipart([rng.bytes(30), rng.bytes(100)])
                    assert scanner.socket.recv_string().startswith("refused")
                case 1 if came:
                    again = int(rng.choice(came))
                    assert scanner.put(again, voxels(again)) == f"received volIdx {again}"
                case 2:
                    connected.close()
                    scanner = connected.enter_context(sender(service.endpoints.ingest))
                    scanner.hello()
                case 3:
                    assert service.shut().state == "stopped"
                    service = start(source=fixed, patience_s=60.0)
                case _:
                    came.append(order.pop(0))
                    scanner.put(came[-1], voxels(came[-1]))
    assert ended(service) == ended(unbroken)


BAD = {
    "no header": {"header": b"\x80\x04pickle"},
    "negative index": {"volIdx": -1},
    "fraction": {"volIdx": 1.5},
    "an index of text": {"volIdx": "1; rm"},
    "objects": {"dtype": "O"},
    "records": {"dtype": "f4,f4"},
    "negative axis": {"shape": [-8, 8, -4]},
    "10 GB": {"shape": [1024, 1024, 1024]},
    "too few voxels": {"shape": [8, 8, 5]},
    "no affine": {"affine": "None"},
    "an affine of NaN": {"affine": "[[NaN]]"},
    "affine missing": {"affine": None},
}


def test_unusable_volumes_are_refused_and_the_sender_continues(start, voxels, caplog):
    """Everything gets an answer, because a sender without one would wait for ever."""
    service = start(source=SOURCE, volumes=1)
    with sender(service.endpoints.ingest) as scanner:
        scanner.hello()
        for changes in BAD.values():
            header = changes.pop("header", None)
            if header is None:
                answer = scanner.put(0, voxels(0), **changes)
            else:
                scanner.socket.send_multipart([header, b"x"])
                answer = scanner.socket.recv_string()
            assert answer.startswith("refused volIdx "), changes
            assert "STOP" not in answer  # would end Pyneal's sender
        for frames in ([b"a", b"b", b"c"], [b"x" * 5000], [b""]):
            scanner.socket.send_multipart(frames)
            assert scanner.socket.recv().startswith(b"refused" if frames != [b""] else b"")
        assert scanner.put(0, np.full((8, 8, 4), np.nan)).startswith("refused volIdx 0")
        assert scanner.put(0, voxels(0)) == "received volIdx 0"
    assert service.finish().decisions == 1
    assert "not finite" in caplog.text


@pytest.mark.parametrize("dtype", ["uint16", ">i2", ">f8", "float16", "int64", "uint8"])
def test_all_voxel_types_give_the_same_outcomes(start, voxels, dtype):
    """Philips sends uint16; the type of the voxels changes nothing."""
    service = start(source=SOURCE, volumes=1)
    small = np.minimum(voxels(0), 255)
    with service.outcomes() as outcomes, sender(service.endpoints.ingest) as scanner:
        scanner.put(0, small.astype(dtype))
        (came,) = outcomes
    service.finish()
    means = [part.mean() for part in np.array_split(small.ravel(), 4)]
    assert came.label == ("rest", "left hand", "right hand", "tongue")[int(np.argmax(means))]


def test_a_recorded_run_replays_and_a_repeat_is_reported(start, voxels, tmp_path, caplog):
    """The log has Pyneal's volumes like any object."""
    service = start(source=SOURCE, volumes=3)
    with sender(service.endpoints.ingest) as scanner:
        for index in (0, 1, 1, 2):
            scanner.put(index, voxels(index))
    digest = service.finish().outcomes_sha256
    assert "volume 1 was received before" in caplog.text
    assert [v.index for v in read_run(tmp_path / "session")] == [0, 1, 2]
    again = start(session=tmp_path / "again", source=f"recording:{tmp_path / 'session'}")
    assert again.finish().outcomes_sha256 == digest


def test_after_a_kill_the_sender_continues_and_nothing_is_lost(
    start, voxels, tmp_path, stand_in_script
):
    """The sender waits during the crash, and the outcomes are those of an unbroken run."""
    unbroken = start(source=SOURCE, volumes=6)
    with sender(unbroken.endpoints.ingest) as scanner:
        for index in range(6):
            scanner.put(index, voxels(index))
    digest = unbroken.finish().outcomes_sha256

    def serve(endpoint: str, *more: str) -> subprocess.Popen[str]:
        source = endpoint.replace("tcp://", "pyneal://")
        command = [sys.executable, str(stand_in_script), str(tmp_path / "killed"), source, "6"]
        return subprocess.Popen([*command, *more], stdout=subprocess.PIPE, text=True)

    with serve(SOURCE, "3") as dying:
        endpoint = json.loads(dying.stdout.readline())["ingest"]
        with sender(endpoint) as scanner:
            scanner.hello()
            for index in range(4):
                assert scanner.put(index, voxels(index)) == f"received volIdx {index}"
            dying.wait(timeout=60)
            scanner.post(4, voxels(4))  # to a service that is gone
            with serve(endpoint) as living:
                living.stdout.readline()
                assert scanner.socket.recv_string().startswith("received")
                scanner.put(5, voxels(5))
                reported = json.loads(living.stdout.readline())
    assert (reported["state"], reported["sha256"]) == ("ended", digest)


def test_a_sender_continues_after_a_lost_answer(start, voxels):
    """The next service tells the sender to continue, and the lost volume is a gap."""
    with zmq.Context() as context, context.socket(zmq.PAIR) as died:
        port = died.bind_to_random_port("tcp://127.0.0.1")
        with sender(f"tcp://127.0.0.1:{port}") as scanner:
            scanner.post(0, voxels(0))
            died.recv_multipart()  # received, and never answered
            died.close()
            service = start(source=f"pyneal://127.0.0.1:{port}", volumes=2)
            with service.outcomes() as outcomes:
                assert scanner.socket.recv_string().startswith("received")
                scanner.put(1, voxels(1))
                came = list(outcomes)
    assert [getattr(o.outcome, "reason", None) for o in came] == [SkipReason.GAP, None]
    service.finish()


def test_a_used_port_and_a_wrong_address_are_reported(start, tmp_path):
    """The errors give the remedy; an address of another interface is used with a warning."""
    service = start(source=SOURCE)
    used = service.endpoints.ingest.replace("tcp://", "pyneal://")
    with pytest.raises(ConfigError, match="another program"):
        start(session=tmp_path / "other", source=used)
    for address in ("nowhere:1", "127.0.0.1", "127.0.0.1:99999", "::1:5"):
        with pytest.raises(ConfigError, match="HOST:PORT"):
            start(session=tmp_path / "other", source=f"pyneal://{address}")
    service.shut()


def test_an_address_that_other_machines_reach_gives_a_warning(start, caplog):
    """Pyneal's protocol has no protection, and the log warns."""
    with caplog.at_level(logging.WARNING):
        start(source="pyneal://*:*").shut()
    assert "has no protection" in caplog.text


@pytest.mark.parametrize(
    ("stated", "expected_s", "seconds"),
    [
        ("2.0", 2.0, 2.0),
        ("2000", 2.0, 2.0),
        ("1000.0", math.nan, 1.0),
        ("720", math.nan, 0.72),
        ("0.72", math.nan, 0.72),
        ("50", 0.05, 0.05),
        ("50", 40.0, 50.0),
        ("30", math.nan, 30.0),
        ("None", 2.0, None),
        ("0", 2.0, None),
        ("-2", 2.0, None),
        ("nan", 2.0, None),
        ("1e999", 2.0, None),
    ],
)
def test_the_unit_of_tr_is_inferred_from_its_value(stated, expected_s, seconds):
    """Pyneal's senders disagree about the unit."""
    assert repetition_time(stated, expected_s)[0] == seconds


def test_tr_in_milliseconds_and_in_seconds_is_one_run(start, voxels, caplog):
    """The log has the unit, once for each value of a sender."""
    service = start(source=SOURCE, volumes=2)
    with caplog.at_level(logging.INFO), sender(service.endpoints.ingest) as scanner:
        scanner.put(0, voxels(0), TR="1500")
        scanner.put(1, voxels(1), TR="1.5")
        assert service.finish().decisions == 2
    assert "1500 is read as milliseconds: 1.5 s" in caplog.text


def test_a_sender_may_disconnect_at_any_time(start, voxels):
    """After half a volume, garbage, or a lost connection the next sender is served."""
    service = start(source=SOURCE, volumes=1)
    for _ in range(5):
        with sender(service.endpoints.ingest) as scanner:
            scanner.hello()
            scanner.socket.send_json({"volIdx": 0}, zmq.SNDMORE)
        with sender(service.endpoints.ingest) as scanner:
            scanner.hello()
            with suppress(zmq.Again):
                scanner.socket.send_multipart([b"{}", b""], zmq.NOBLOCK)
    with sender(service.endpoints.ingest) as scanner:
        scanner.hello()
        assert scanner.put(0, voxels(0)) == "received volIdx 0"
    assert service.finish().decisions == 1


def test_raw_volumes_over_the_ingest_socket(start, voxels):
    """A ZeroMQ program pushes volumes without DICOM; invalid ones are refused with a reason."""

    def message(content: bytes, kind: str = "volume") -> list[bytes]:
        digest = hashlib.sha256(content).hexdigest()
        header = {"schema": 1, "kind": kind, "name": "v", "sha256": digest}
        return [json.dumps(header).encode(), content]

    def volume(index: int, **changes: object) -> bytes:
        header = {
            "series": "run-1",
            "index": index,
            "shape": [8, 8, 4],
            "dtype": "float32",
            "affine": AFFINE,
            **changes,
        }
        line = json.dumps(header).encode()
        return b"rtdecode volume 1\n" + line + b"\n" + voxels(index).astype("<f4").tobytes()

    service = start(source="zmq:", volumes=3)
    with (
        service.outcomes() as outcomes,
        zmq.Context() as context,
        context.socket(zmq.REQ) as socket,
    ):
        socket.setsockopt(zmq.RCVTIMEO, 20_000)
        socket.connect(service.endpoints.ingest)

        def put(frames: list[bytes]) -> dict[str, str]:
            socket.send_multipart(frames)
            return json.loads(socket.recv())

        assert "shape" in put(message(volume(0, shape=[8, -8, 4])))["error"]
        assert "kind" in put(message(volume(0), "dicom"))["error"]
        assert "rtdecode volume 1" in put(message(b"rubbish"))["error"]
        for index in (0, 2, 1):
            assert put(message(volume(index)))["receipt"] == "journalled"
        assert put(message(volume(1)))["receipt"] == "duplicate"
        assert [o.index for o in outcomes] == [0, 1, 2]
    assert service.finish().decisions == 3
