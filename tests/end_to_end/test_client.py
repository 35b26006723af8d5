"""A stimulus program and faults of the network or the service."""

import pytest
import zmq

from rtdecode.client import Control, Outcomes, session_endpoints
from rtdecode.errors import ConfigError
from rtdecode.service.sockets import Sockets
from rtdecode.types import Skipped, SkipReason
from rtdecode.wire import Numbered, Snapshot, SnapshotRequest, to_message

ANY = "tcp://127.0.0.1:*"


def numbered(sequence: int, session: str = "s") -> Numbered:
    return Numbered(session, 1, sequence, Skipped(sequence - 1, SkipReason.GAP))


def snapshot(sequences: list[int], last: int, session: str = "s") -> Snapshot:
    messages = tuple(to_message(numbered(n, session)) for n in sequences)
    return Snapshot(session=session, run=1, state="running", last=last, outcomes=messages)


def test_lost_repeated_and_reordered_messages_are_corrected():
    """Every outcome arrives once and in order, whatever happens to the messages."""
    asked: list[int | None] = []

    def handle(request):
        assert isinstance(request, SnapshotRequest)
        asked.append(request.since)
        since = request.since or 0
        return snapshot([n for n in range(1, 6) if n > since][:2], last=5)

    with (
        zmq.Context() as context,
        Sockets(context, ANY, ANY) as sockets,
        Outcomes(sockets.outcomes, sockets.control) as outcomes,
    ):
        while not sockets.subscribers:
            outcomes.poll(0.01)
            sockets.answer(lambda _: snapshot([], last=0))
        came = []
        for sequence in (1, 1, 5, 3):  # 2 and 4 are lost
            sockets.publish(numbered(sequence))
        while len(came) < 5:
            came += [o.sequence for o in [outcomes.poll(0.01)] if o is not None]
            sockets.answer(handle)
        assert outcomes.poll(0.05) is None
    assert came == [1, 2, 3, 4, 5]
    assert asked


def test_a_new_session_at_the_same_address_starts_from_its_beginning():
    """The client distinguishes a new service from the old one."""
    with (
        zmq.Context() as context,
        Sockets(context, ANY, ANY) as sockets,
        Outcomes(sockets.outcomes, sockets.control) as outcomes,
    ):
        came: list[tuple[str, int]] = []
        for session, reply in (("s", snapshot([1, 2], 2)), ("t", snapshot([1], 1, "t"))):
            while not any(s == session for s, _ in came):
                if sockets.subscribers:
                    sockets.publish(numbered(1, session))
                came += [(o.session, o.sequence) for o in [outcomes.poll(0.01)] if o is not None]
                sockets.answer(lambda _, reply=reply: reply)
            while (o := outcomes.poll(0.05)) is not None:
                came.append((o.session, o.sequence))
    assert sorted(set(came)) == came


def test_a_client_continues_after_a_restart_of_the_service(start, export, scanner):
    """The service is stopped and started again; the client continues and misses nothing."""
    service = start(volumes=4)
    where = {"outcomes": service.endpoints.outcomes, "control": service.endpoints.control}
    with service.outcomes() as outcomes:
        for index in (0, 1):
            export(f"{index}.dcm", scanner.mosaic(index))
        assert [next(outcomes).index for _ in range(2)] == [0, 1]
        assert service.shut().state == "stopped"
        export("2.dcm", scanner.mosaic(2))
        service = start(volumes=4, **where)
        assert next(outcomes).index == 2
        export("3.dcm", scanner.mosaic(3))
        assert [o.index for o in outcomes] == [3]
    assert service.shut().decisions == 4


def test_an_absent_service_is_an_error(tmp_path):
    """Waiting ends with an error that says what to do."""
    with Outcomes("tcp://127.0.0.1:9", timeout_s=0.05) as outcomes:
        assert outcomes.poll() is None
        with pytest.raises(TimeoutError):
            next(outcomes)
    with (
        Control("tcp://127.0.0.1:9", timeout_s=0.05) as control,
        pytest.raises(ConfigError, match="no service answers"),
    ):
        control.status()
    with pytest.raises(ConfigError, match="is not an endpoint"):
        Outcomes("7801")
    with pytest.raises(ConfigError, match="session that is being served"):
        session_endpoints(tmp_path)


def test_a_session_folder_has_the_addresses_of_its_service(start, export, scanner, settings):
    """A client needs only the folder."""
    service = start(volumes=1)
    with Outcomes.of_session(settings.session, timeout_s=20.0) as outcomes:
        export("0.dcm", scanner.mosaic(0))
        assert [o.label is not None for o in outcomes] == [True]
    service.shut()


def test_the_end_of_a_run_is_reported_once():
    """A repeated report of an old end does not end the next run."""

    def handle(_request):
        first = to_message(numbered(1))
        return Snapshot(session="s", run=1, state="ended", last=1, outcomes=(first,))

    with (
        zmq.Context() as context,
        Sockets(context, ANY, ANY) as sockets,
        Outcomes(sockets.outcomes, sockets.control) as outcomes,
    ):
        came = []
        while not outcomes.ended:
            came += [o.sequence for o in [outcomes.poll(0.01)] if o is not None]
            sockets.answer(handle)
        assert list(outcomes) == []
        answered = 0

        def again(request):
            nonlocal answered
            answered += 1
            return handle(request)

        while answered < 2:
            outcomes.poll(0.01)
            sockets.answer(again)
        outcomes.poll(0.1)
        assert not outcomes.ended
        while len(came) < 2:
            sockets.publish(numbered(2))
            came += [o.sequence for o in [outcomes.poll(0.01)] if o is not None]
        assert came == [1, 2]


def test_a_message_that_disappears_after_the_poll_does_not_block():
    """A reconnection may discard it; the client must go on waiting for the next one."""
    with Outcomes("tcp://127.0.0.1:9", "tcp://127.0.0.1:9") as outcomes:
        outcomes._receive()
        outcomes._catch_up()
        assert outcomes.poll(0.05) is None
