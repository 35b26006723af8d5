"""The loop that ties source, journal, decoder and sockets together."""

import hashlib
import logging
import math
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
import zmq

from rtdecode.clock import Clock, SystemClock
from rtdecode.errors import ConfigError, RtdecodeError
from rtdecode.journal import Checkpoint, Journal, write_checkpoint
from rtdecode.service.intake import Intake
from rtdecode.service.runner import Runner
from rtdecode.service.settings import (
    Decoder,
    Endpoints,
    ExitSummary,
    OnReady,
    ServiceSettings,
    check,
    open_source,
)
from rtdecode.service.signals import stopped_by_signals
from rtdecode.service.sockets import Sockets
from rtdecode.sources import Context
from rtdecode.wire import (
    SNAPSHOT_LIMIT,
    Done,
    EndRequest,
    MarkRequest,
    Refused,
    Reply,
    Request,
    ShutdownRequest,
    Snapshot,
    SnapshotRequest,
    StartRequest,
    Status,
    StatusRequest,
    deterministic,
    to_message,
)

POLL_MS = 50
"""How often deadlines are judged while nothing happens."""
MAX_MARK = 1000
ENDPOINTS = "endpoints.json"

log = logging.getLogger(__name__)


def serve(
    settings: ServiceSettings,
    decoder: Decoder,
    clock: Clock | None = None,
    on_ready: OnReady | None = None,
    stop: threading.Event | None = None,
) -> ExitSummary:
    """Decode what the source brings until the run is complete or the service is told to stop.

    Ctrl-C and SIGTERM stop it cleanly where it runs in a program's main thread: the run stays
    unfinished and goes on when the same session folder is served again.

    Parameters
    ----------
    settings
        How.
    decoder
        What decides; in its initial state.
    clock
        For the stamps and the deadlines.
    on_ready
        Called from this thread once objects are accepted and requests answered.
    stop
        Set from elsewhere to stop the service as Ctrl-C does.

    Raises
    ------
    ConfigError
        It refuses to start.
    """
    check(settings)
    clock = clock or SystemClock()
    stop = stop or threading.Event()
    with (
        zmq.Context() as context,
        Journal(settings.session) as journal,
        Sockets(context, settings.outcomes, settings.control) as sockets,
        stopped_by_signals(stop),
    ):
        service = _Service(settings, journal, decoder, clock, sockets, stop)
        try:
            service.run(context, on_ready)
        except ConfigError:
            raise
        except Exception as error:  # noqa: BLE001 - the loop's boundary: a fault is told
            service.fault(error)
        service.linger()
        return service.summary()


class _Service:
    def __init__(
        self,
        settings: ServiceSettings,
        journal: Journal,
        decoder: Decoder,
        clock: Clock,
        sockets: Sockets,
        stop: threading.Event,
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._decoder = decoder
        self._clock = clock
        self._sockets = sockets
        self._stop = stop
        self._ending = False
        self._fault = ""
        self._writing: Future[Path] | None = None
        self._pool: ThreadPoolExecutor
        self._runner = Runner(
            journal,
            decoder,
            clock,
            sockets.publish,
            self._keep,
            volumes=settings.volumes,
            checkpoint_volumes=settings.checkpoint_volumes,
            patience_s=settings.patience_s,
        )

    def run(self, context: Context, on_ready: OnReady | None) -> None:
        """Warm up, catch up, announce, then decode."""
        settings = self._settings
        with ThreadPoolExecutor(1, thread_name_prefix="recorder") as self._pool:
            self._decoder.warm_up()
            with open_source(settings, context, self._clock) as source:
                self._runner.open()
                endpoints = Endpoints(
                    self._sockets.outcomes, self._sockets.control, source.endpoint
                )
                content = msgspec.json.encode(endpoints)
                (self._journal.folder / ENDPOINTS).write_bytes(content)
                with Intake(source, self._journal, context, self._clock) as intake:
                    self._tell()
                    if on_ready is not None:
                        on_ready(endpoints)
                    self._loop(intake)
            if self._runner.state == "running":
                self._runner.checkpoint()
                self._runner.state = "stopped"
                self._tell()

    def linger(self) -> None:
        """Leave clients a moment to catch up, after a run's end or a fault."""
        if self._runner.state not in {"ended", "faulted"}:
            return
        poller = zmq.Poller()
        self._sockets.register(poller)
        until_ns = self._clock.monotonic_ns() + int(self._settings.linger_s * 1e9)
        while (left_ns := until_ns - self._clock.monotonic_ns()) > 0 and not self._stop.is_set():
            poller.poll(min(POLL_MS, left_ns // 1_000_000 + 1))
            self._sockets.answer(self._handle)

    def fault(self, error: Exception) -> None:
        """Tell everyone what stopped the run."""
        if isinstance(error, RtdecodeError):
            self._fault = str(error)
        else:
            self._fault = f"internal error: {type(error).__name__}: {error}"
        log.error("%s", self._fault, exc_info=not isinstance(error, RtdecodeError))
        self._runner.state = "faulted"
        self._runner.detail = self._fault
        self._tell()

    def summary(self) -> ExitSummary:
        """Return how it went."""
        runner = self._runner
        since = self._journal.sequence_before(runner.run)
        digest = hashlib.sha256()
        for numbered in self._journal.outcomes(since):
            digest.update(deterministic(numbered.outcome))
        p50, p95 = (
            np.percentile(runner.latencies_ms, (50, 95))
            if runner.latencies_ms
            else (math.nan, math.nan)
        )
        return ExitSummary(
            exit_code=1 if self._fault else 0,
            session=self._journal.folder,
            run=runner.run,
            state=runner.state,
            objects=runner.objects,
            unreadable=runner.unreadable,
            decisions=runner.decisions,
            skipped=runner.skipped,
            latency_p50_ms=float(p50),
            latency_p95_ms=float(p95),
            outcomes_sha256=digest.hexdigest(),
            fault=self._fault,
        )

    def _loop(self, intake: Intake) -> None:
        runner = self._runner
        poller = zmq.Poller()
        self._sockets.register(poller)
        intake.register(poller)
        while not self._stop.is_set():
            poller.poll(0 if not intake.empty else POLL_MS)
            self._sockets.answer(self._handle)
            received = intake.take()
            if received is not None:
                unreadable = runner.unreadable
                runner.apply(received.record, received.content, received.journalled_ns)
                if runner.unreadable != unreadable:
                    self._tell()
            elif not intake.waiting:
                runner.judge_deadlines()
            exhausted = intake.exhausted
            if (runner.complete or exhausted or (self._ending and not received)) and runner.end():
                self._ending = False
                self._tell()
            if runner.state == "ended" and (runner.complete or exhausted):
                return

    def _keep(self, checkpoint: Checkpoint) -> None:
        """Have a checkpoint written, unless the last one still is."""
        if self._writing is not None:
            if not self._writing.done():
                return
            try:
                self._writing.result()
            except OSError as error:
                # The log alone is enough to go on from; it only takes longer.
                log.warning("a checkpoint could not be written: %s", error)
        self._writing = self._pool.submit(write_checkpoint, self._journal.checkpoints, checkpoint)

    def _handle(self, request: Request) -> Reply:
        runner = self._runner
        match request:
            case StartRequest():
                if runner.start():
                    self._tell()
                    return Done(detail=f"run {runner.run} has begun")
                return Refused(error=f"run {runner.run} is {runner.state}; end it first")
            case EndRequest():
                if runner.state != "running":
                    return Refused(
                        error=f"run {runner.run} is {runner.state}; there is none to end"
                    )
                self._ending = True
                return Done(detail=f"run {runner.run} ends once what has come is decided")
            case MarkRequest(text=text):
                if len(text) > MAX_MARK or not text.isprintable():
                    return Refused(error=f"a mark is at most {MAX_MARK} printable characters")
                self._journal.mark(runner.run, runner.sequence, text)
                return Done(detail=f"marked after outcome {runner.sequence}")
            case SnapshotRequest(since=since):
                return self._snapshot(since)
            case ShutdownRequest():
                self._stop.set()
                return Done(detail="the service stops")
            case StatusRequest():
                return self._status()

    def _snapshot(self, since: int | None) -> Snapshot:
        if since is None:
            since = self._journal.sequence_before(self._runner.run)
        outcomes = self._journal.outcomes(since, SNAPSHOT_LIMIT)
        return Snapshot(
            session=self._journal.session,
            run=self._runner.run,
            state=self._runner.state,
            last=self._runner.sequence,
            outcomes=tuple(map(to_message, outcomes)),
        )

    def _status(self) -> Status:
        runner = self._runner
        return Status(
            session=self._journal.session,
            run=runner.run,
            state=runner.state,
            sequence=runner.sequence,
            decisions=runner.decisions,
            skipped=runner.skipped,
            objects=runner.objects,
            unreadable=runner.unreadable,
            classes=self._decoder.classes,
            bundle=self._decoder.bundle_digest,
            repetition_time_s=self._decoder.repetition_time_s,
            provider=self._settings.provider,
            subscribers=self._sockets.subscribers,
            detail=runner.detail,
        )

    def _tell(self) -> None:
        self._sockets.publish_status(self._status())
