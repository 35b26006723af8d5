"""The main loop of a service: source, journal, runner and sockets."""

import logging
import threading
import traceback
from collections import deque
from collections.abc import Iterable
from dataclasses import replace

import msgspec
import zmq

from rtdecode.clock import Clock
from rtdecode.errors import RtdecodeError
from rtdecode.journal import Journal, StimulusEvent
from rtdecode.keys import ServiceKeys
from rtdecode.lifecycle import LifecycleEvent, after, refusal
from rtdecode.pipeline import Decoder, skip
from rtdecode.service.checkpoint_writer import CheckpointWriter
from rtdecode.service.intake import Intake
from rtdecode.service.latency import Latencies
from rtdecode.service.open_source import open_source
from rtdecode.service.resume import service_start
from rtdecode.service.runner import Output, Runner
from rtdecode.service.settings import (
    Endpoints,
    ExitSummary,
    OnReady,
    ServiceSettings,
)
from rtdecode.service.sockets import Sockets
from rtdecode.service.status import snapshot, status, summary
from rtdecode.sources import Context, RecordingSource
from rtdecode.types import Skipped, SkipReason
from rtdecode.wire import (
    MAX_MARK,
    Done,
    EchoRequest,
    EndRequest,
    EventRequest,
    MarkRequest,
    Numbered,
    PauseRequest,
    Refused,
    Reply,
    Request,
    ResumeRequest,
    ShutdownRequest,
    SnapshotRequest,
    StartRequest,
    Status,
    StatusRequest,
)

POLL_MS = 50
"""Interval of the deadline checks while no record arrives."""
ENDPOINTS = "endpoints.json"

log = logging.getLogger(__name__)


class MainLoop:
    """The main loop of a service, with its commands, answers and faults.

    Parameters
    ----------
    settings, journal, decoder, clock, sockets
        The service's.
    stop
        Set to stop the service.
    """

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
        self._commands: deque[LifecycleEvent] = deque()
        self._fault = ""
        self._checkpoints = CheckpointWriter(journal.checkpoints)
        self._latencies = Latencies()
        self._runner = Runner(journal, decoder, clock, settings.run_options)

    def run(
        self, context: Context, on_ready: OnReady | None, keys: ServiceKeys | None = None
    ) -> None:
        """Open the source, warm up, resume the run, announce the addresses, then decode."""
        settings = self._settings
        with self._checkpoints:
            with open_source(
                settings,
                context,
                self._clock,
                self._decoder.repetition_time_s,
                self._journal.records,
                keys,
            ) as source:
                # Objects and requests that arrive meanwhile wait in the source and the sockets.
                self._decoder.warm_up()
                start = service_start(
                    settings, self._decoder.bundle_digest, self._journal.last_sequence()
                )
                recorded = source.start if isinstance(source, RecordingSource) else None
                self._send(self._runner.open(recorded))
                self._journal.add_service_start(start)
                endpoints = Endpoints(
                    self._sockets.outcomes, self._sockets.control, source.endpoint
                )
                content = msgspec.json.encode(endpoints)
                (self._journal.folder / ENDPOINTS).write_bytes(content)
                with Intake(source, self._journal, context, self._clock) as intake:
                    self._publish_status()
                    if on_ready is not None:
                        on_ready(endpoints)
                    self._loop(intake)
            if self._runner.run.is_open:
                checkpoint = self._runner.stop()
                if checkpoint is not None:
                    self._checkpoints.write(checkpoint)
                self._publish_status()

    def linger(self) -> None:
        """Answer clients for a short time after a run's end or a fault."""
        if self._runner.run.state not in {"ended", "faulted"}:
            return
        poller = zmq.Poller()
        self._sockets.register(poller)
        until_ns = self._clock.monotonic_ns() + int(self._settings.linger_s * 1e9)
        while (left_ns := until_ns - self._clock.monotonic_ns()) > 0 and not self._stop.is_set():
            poller.poll(min(POLL_MS, left_ns // 1_000_000 + 1))
            self._sockets.answer(self._handle)

    def fault(self, error: Exception) -> None:
        """Report the error that stopped the run."""
        if isinstance(error, RtdecodeError):
            self._fault = str(error)
        else:
            # A system error names a file, and scanners name files after participants.
            reason = error.strerror if isinstance(error, OSError) else error
            self._fault = f"internal error: {type(error).__name__}: {reason}"
            log.error("at:\n%s", "".join(traceback.format_tb(error.__traceback__)))
        log.error("%s", self._fault)
        self._runner.fault(self._fault)
        self._publish_status()

    def summary(self) -> ExitSummary:
        """Return the summary of the newest run."""
        return summary(self._journal, self._runner, self._fault)

    def _loop(self, intake: Intake) -> None:
        runner, run = self._runner, self._runner.run
        poller = zmq.Poller()
        self._sockets.register(poller)
        intake.register(poller)
        while not self._stop.is_set():
            poller.poll(0 if not intake.empty else POLL_MS)
            self._sockets.answer(self._handle)
            reported = (run.number, run.state, runner.objects.detail)
            received = intake.take()
            if received is not None:
                self._send(runner.apply(received.record, received.content, received.journalled_ns))
                if run.number != reported[0]:
                    self._commands.clear()  # they were for the previous run
            elif not intake.waiting:
                self._send(runner.judge_deadlines())
            exhausted = intake.exhausted  # raises the error of the source's thread
            over = runner.complete or exhausted
            if over and run.is_open and not self._commands:
                self._commands.append(LifecycleEvent.END)
            if not received or over:
                self._carry_out()
            if (run.number, run.state, runner.objects.detail) != reported:
                self._publish_status()
            if over and not run.is_open:
                return

    def _carry_out(self) -> None:
        """Carry out the commands that wait, as far as the log allows."""
        run = self._runner.run
        while self._commands:
            event = self._commands[0]
            if not refusal(run.number, run.state, event):
                outputs = self._runner.carry_out(event)
                if outputs is None:
                    return
                self._send(outputs)
            self._commands.popleft()

    def _send(self, outputs: Iterable[Output]) -> None:
        """Publish outcomes and write checkpoints, one by one as the runner makes them."""
        for output in outputs:
            if isinstance(output, Numbered):
                self._publish(output)
            else:
                self._checkpoints.write(output)

    def _handle(self, request: Request) -> Reply:
        runner = self._runner
        match request:
            case StartRequest():
                return self._command(LifecycleEvent.START)
            case EndRequest():
                return self._command(LifecycleEvent.END)
            case PauseRequest():
                return self._command(LifecycleEvent.PAUSE)
            case ResumeRequest():
                return self._command(LifecycleEvent.RESUME)
            case MarkRequest(text=text):
                if len(text) > MAX_MARK or not text.isprintable():
                    return Refused(error=f"a mark is at most {MAX_MARK} printable characters")
                sequence = runner.outcomes.sequence
                self._journal.add_mark(runner.run.number, sequence, text)
                return Done(detail=f"marked after outcome {sequence}")
            case EventRequest():
                return self._add_event(request)
            case SnapshotRequest(since=since):
                return snapshot(self._journal, runner, since, self._for_clients)
            case EchoRequest():
                return Done(detail="no test is under way")
            case ShutdownRequest():
                self._stop.set()
                return Done(detail="the service stops")
            case StatusRequest():
                return self._status()

    def _add_event(self, event: EventRequest) -> Reply:
        """Record an event of the stimulus program."""
        if not event.trial_type.isprintable():
            return Refused(error=f"trial_type ({event.trial_type!r}) must be printable characters")
        self._journal.add_event(
            StimulusEvent(
                self._runner.run.number,
                self._runner.outcomes.sequence,
                self._clock.monotonic_ns(),
                event.trial_type,
                event.onset_s,
                event.duration_s,
            )
        )
        if event.onset_s is None:
            return Done(detail=f"{event.trial_type}: recorded as presented now")
        return Done(detail=f"{event.trial_type}: recorded as presented at {event.onset_s:g} s")

    def _command(self, event: LifecycleEvent) -> Reply:
        """Carry out a command, or let it wait for the records before it."""
        run = self._runner.run
        reason = refusal(run.number, after(run.state, self._commands), event)
        if reason:
            return Refused(error=reason)
        self._commands.append(event)
        before = run.state
        self._carry_out()
        if run.state != before:
            self._publish_status()
        if self._commands:
            return Done(detail=f"{event} follows when the records before it are decided")
        return Done(detail=f"run {run.number} is {run.state}")

    def _status(self) -> Status:
        return status(
            self._journal.session,
            self._runner,
            self._decoder,
            provider=self._settings.runs_on,
            subscribers=self._sockets.subscribers,
            latency=self._latencies.percentiles(),
        )

    def _publish(self, numbered: Numbered) -> None:
        self._sockets.publish(self._for_clients(numbered))
        self._latencies.add(numbered.outcome.stamps)

    def _for_clients(self, numbered: Numbered) -> Numbered:
        """Return what clients get for an outcome."""
        outcome = numbered.outcome
        if self._settings.late == "publish" or isinstance(outcome, Skipped) or not outcome.late:
            return numbered
        detail = (
            f"decided more than {self._runner.deadline_s:g} s after it came; the decision is in "
            "the record"
        )
        return replace(numbered, outcome=skip(outcome, SkipReason.LATE, detail))

    def _publish_status(self) -> None:
        self._sockets.publish_status(self._status())
