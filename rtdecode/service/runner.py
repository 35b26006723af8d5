"""One session's runs: records of the log in, outcomes out; no threads and no sockets."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from rtdecode.clock import Clock
from rtdecode.errors import RunError
from rtdecode.journal import Checkpoint, Journal, RunInfo, newest_checkpoint
from rtdecode.journal.pack import Kind, Record, first_of
from rtdecode.ledger import Ledger, LedgerReceipt
from rtdecode.lifecycle import OPEN, LifecycleEvent, after
from rtdecode.pipeline import Decoder, decide
from rtdecode.service.objects import Counts, Objects
from rtdecode.service.recorder import Recorder
from rtdecode.service.resume import check_same
from rtdecode.service.settings import Rules
from rtdecode.types import Decision, Outcome, Skipped, SkipReason, Volume
from rtdecode.wire import Numbered, RunState

log = logging.getLogger(__name__)

_BEGINS = (LedgerReceipt.PLACED, LedgerReceipt.COMPLETED)


class Runner:
    """Applies the log, record by record, to the ledger and the decoder.

    What it does depends on the log alone, so that applying it again after a crash, from a
    checkpoint on, gives the same outcomes; those that were recorded before are compared.

    Parameters
    ----------
    journal, decoder, clock
        What it works with; the decoder is in its initial state.
    publish
        Called with each outcome once it is durable.
    keep
        Called with a checkpoint now and then; it may be dropped.
    rules
        How runs begin; a run that was begun before keeps its own.
    volumes
        The run is complete after this many; 0: never.
    checkpoint_volumes
        A checkpoint after this many.
    patience_s
        The ledger's.
    deadline_s
        The recorder's; one repetition time by default.
    """

    def __init__(
        self,
        journal: Journal,
        decoder: Decoder,
        clock: Clock,
        publish: Callable[[Numbered], None],
        keep: Callable[[Checkpoint], None],
        *,
        rules: Rules | None = None,
        volumes: int = 0,
        checkpoint_volumes: int = 10,
        patience_s: float | None = None,
        deadline_s: float | None = None,
    ) -> None:
        self.state: RunState = "idle"
        self.run = 0
        self.objects = Objects(journal, clock)
        self.deadline_s = decoder.repetition_time_s if deadline_s is None else deadline_s
        self.outcomes = Recorder(journal, clock, publish, self.deadline_s)
        self._journal = journal
        self._decoder = decoder
        self._clock = clock
        self._keep = keep
        self._next_rules = rules or Rules()
        self._volumes = volumes
        self._checkpoint_volumes = checkpoint_volumes
        self._patience_s = patience_s
        self._initial = decoder.state()
        self._rules = self._next_rules
        self._ledger = Ledger(patience_s)
        self._door: Ledger | None = None
        """Between runs: judges what may begin the next one, where volumes may."""
        self._applied = 0
        self._ahead: set[int] = set()
        """Records that took effect before the last ones ahead of them in the log."""
        self._feed_from = 0
        self._fed = Counts()
        self._kept = self.outcomes.sequence

    @property
    def is_open(self) -> bool:
        """Whether there is a run that has not ended."""
        return self.state in OPEN

    @property
    def complete(self) -> bool:
        """Whether the run has all its volumes."""
        return 0 < self._volumes <= self._ledger.next_index

    def open(self, recorded: Mapping[str, Any] | None = None) -> None:
        """Go on with the session's unfinished run, or make ready for the next one.

        Parameters
        ----------
        recorded
            The start of the run that is played again, where one is: its rules hold.

        Raises
        ------
        ConfigError
            The unfinished run was decided by another bundle.
        RunError
            Its recomputed outcomes are not the recorded ones.
        """
        if recorded is not None:
            self._next_rules = replace(Rules.from_header(recorded), runs="volume")
        newest = self._journal.newest_run()
        if newest is not None and newest.ended:
            self._look_at_the_rest(newest)
        elif newest is not None:
            self._resume(newest)
        else:
            self._applied = len(self._journal.records)
        # A run whose end was in the log already has ended only now, as it would have then.
        fresh = newest is None or newest.ended
        if fresh and not self.is_open and self._next_rules.runs != "command":
            self.carry_out(LifecycleEvent.START)

    def carry_out(self, event: LifecycleEvent) -> bool:
        """Carry out a command that is possible; `False` while records wait to be applied."""
        if event is LifecycleEvent.START:
            return self._start()
        kind = {
            LifecycleEvent.END: Kind.END,
            LifecycleEvent.PAUSE: Kind.PAUSE,
            LifecycleEvent.RESUME: Kind.RESUME,
        }[event]
        facts: dict[str, Any] = {"run": self.run}
        if event is LifecycleEvent.END:
            facts |= {"series": self._ledger.series, "rivals": self._ledger.rivals}
        record = self._journal.append_event(kind, facts, self._applied)
        if record is None:
            return False
        self.apply(record, b"")
        return True

    def stop(self) -> None:
        """Leave an open run as it is, to be gone on with."""
        if self.is_open:
            self.checkpoint()
            self._journal.tally(self.run, **asdict(self.objects.counts))
        self._go(LifecycleEvent.SHUTDOWN)

    def fault(self, what: str) -> None:
        """Note what stopped the service."""
        self._go(LifecycleEvent.FAULT)
        self.objects.detail = what

    def apply(self, record: Record, content: bytes, journalled_ns: int = 0) -> None:
        """Let one record of the log take effect."""
        self._advance(record.number + 1)
        if record.kind is Kind.OBJECT:
            self._add(record, content, journalled_ns)
        elif not self.is_open:
            return
        elif record.kind is Kind.GIVE_UP and record.header["index"] >= self._ledger.next_index:
            self._emit(self._ledger.give_up(record.header["index"]))
        elif record.kind is Kind.PAUSE:
            self._go(LifecycleEvent.PAUSE)
        elif record.kind is Kind.RESUME:
            self._go(LifecycleEvent.RESUME)
        elif record.kind is Kind.END:
            self._close()
            self._journal.tally(self.run, **asdict(self.objects.counts))
            self._journal.run_ended(self.run)
            self._go(LifecycleEvent.END)
        if not self._ledger.pending:
            self._feed_from, self._fed = self._applied, replace(self.objects.counts)
        if self.outcomes.sequence - self._kept >= self._checkpoint_volumes:
            self.checkpoint()

    def judge_deadlines(self) -> None:
        """Give up volumes that were waited for in vain, unless records wait to be applied."""
        if not self.is_open:
            return
        for index in self._ledger.overdue(self._clock.monotonic_ns()):
            if index < self._ledger.next_index:
                continue
            record = self._journal.append_event(Kind.GIVE_UP, {"index": index}, self._applied)
            if record is None:
                return
            self.apply(record, b"")

    def checkpoint(self) -> None:
        """Offer a checkpoint of the run as it stands."""
        if not self.is_open or self.outcomes.behind:
            return
        self._kept = self.outcomes.sequence
        self._keep(
            Checkpoint(
                self.run,
                self._decoder.bundle_digest,
                self.outcomes.sequence,
                self._feed_from,
                self._ledger.state(),
                self._decoder.state(),
                self.state == "paused",
                asdict(self._fed),
            )
        )

    def _advance(self, applied: int) -> None:
        self._applied = applied
        while self._applied in self._ahead:
            self._applied += 1

    def _go(self, event: LifecycleEvent) -> None:
        self.state = after(self.state, [event])

    def _start(self, first: Record | None = None) -> bool:
        """Open the next run, with a record that came or with the next one."""
        former = dict.fromkeys((*self._next_rules.former, *self._rules.former))
        rules = replace(self._next_rules, former=tuple(former))
        protocol = self._decoder.protocol
        facts = {
            "run": self.run + 1,
            "bundle": self._decoder.bundle_digest,
            "classes": self._decoder.classes,
            "expected": None if protocol is None else protocol.facts(),
            **rules.header(),
        }
        if first is None:
            record = self._journal.append_event(Kind.START, facts, self._applied)
            if record is None:
                return False
        else:
            record = self._journal.append_start(facts, first.number)
        # A crash before the start was in the log leaves the run before it to be gone on with.
        self._journal.run_ended(self.run)
        self._ahead.add(record.number)
        self._advance(self._applied)
        self._decoder.restore(self._initial)
        self._begin(self.run + 1, rules)
        self._feed_from = first_of(record)
        return True

    def _begin(self, run: int, rules: Rules) -> None:
        self._go(LifecycleEvent.NEXT if self.is_open else LifecycleEvent.START)
        self.run = run
        self.objects.counts, self._fed = Counts(), Counts()
        self.outcomes.begin()
        self._rules = rules
        self._ledger, self._door = self._new_ledger(rules), None
        self._kept = self.outcomes.sequence
        self._journal.run_began(
            run,
            self._decoder.bundle_digest,
            self._decoder.classes,
            self._decoder.repetition_time_s,
        )

    def _new_ledger(self, rules: Rules) -> Ledger:
        return Ledger(
            self._patience_s,
            self._decoder.protocol,
            follow=rules.runs == "series",
            former=rules.former,
        )

    def _close(self) -> None:
        """Give every volume of the run its outcome, and wait for what begins the next one."""
        self._emit(self._ledger.close())
        self._between(self._rules, self._ledger.series, self._ledger.rivals)

    def _between(self, rules: Rules, series: str | None, rivals: Sequence[str]) -> None:
        former = rules.former if series is None else (*rules.former, series)
        self._rules = replace(rules, former=former)
        # What had come second to the run does not begin one by what is left of it.
        waiting = replace(self._rules, former=(*former, *rivals))
        self._door = None if rules.runs == "command" else self._new_ledger(waiting)

    def _look_at_the_rest(self, newest: RunInfo) -> None:
        """Judge what came after the end of the last run, as it was judged when it came."""
        ended = self._journal.records.events(Kind.END)
        ends = [record for record in ended if record.header["run"] == newest.run]
        self.run, self.state = newest.run, "ended"
        header = ends[-1].header
        rules = Rules.from_header(newest.start.header)
        self._between(rules, header.get("series"), header.get("rivals", ()))
        self._applied = ends[-1].number + 1
        self._feed()
        if not self.is_open:
            self.state, self._door = "idle", None

    def _resume(self, unfinished: RunInfo) -> None:
        header = unfinished.start.header
        check_same(self._journal.folder, str(header["bundle"]), self._decoder.bundle_digest)
        self._journal.run_ended(unfinished.run - 1)  # where a crash came between the two
        self._begin(unfinished.run, Rules.from_header(header))
        before = self._journal.sequence_before(self.run)
        recorded = self._journal.outcomes(since=before)
        newest = newest_checkpoint(self._journal.checkpoints, self.run)
        self._applied = first_of(unfinished.start)
        if newest is None:
            self._decoder.restore(self._initial)
            self.outcomes.resume(before, recorded)
        else:
            self._decoder.restore(newest.pipeline)
            self._ledger = Ledger.restore(newest.ledger)
            self.outcomes.resume(newest.sequence, recorded)
            self._applied = newest.feed_from
            self.objects.counts = Counts(**newest.counts)
            for numbered in recorded:
                if numbered.sequence <= newest.sequence:
                    self.state = after(self.state, lifecycle_events(numbered.outcome))
            if newest.paused:
                self._go(LifecycleEvent.PAUSE)
        self._feed_from, self._fed = self._applied, replace(self.objects.counts)
        self._kept = self.outcomes.sequence
        log.info("going on with run %d after %d outcomes", self.run, len(recorded))
        self._feed()
        if self.outcomes.behind and not self.complete:
            raise RunError(_damaged(self.run, self.outcomes))

    def _feed(self) -> None:
        records = self._journal.records
        # What takes effect may add records; they have taken effect, then.
        for number in range(self._applied, len(records)):
            record = records[number]
            content = self._journal.body(record) if record.kind is Kind.OBJECT else b""
            self.apply(record, content)

    def _add(self, record: Record, content: bytes, journalled_ns: int) -> None:
        ledger = self._ledger if self.is_open else self._door
        if ledger is None:
            log.info("object %d came outside a run; it is kept, and not decoded", record.number)
            return
        series, counts = self._ledger.series, replace(self.objects.counts)
        receipt, items = self.objects.add(ledger, self.run, record, content, journalled_ns)
        if ledger is self._door:
            self.objects.counts = counts  # those of the run that is over
            if receipt not in _BEGINS:
                return
        if ledger is self._door or receipt is LedgerReceipt.NEXT_RUN:
            self._follow(record)
            _, items = self.objects.add(self._ledger, self.run, record, content, journalled_ns)
        self._emit(items)
        if self._ledger.series != series:
            log.info(
                "run %d is series %d; a volume that is overtaken is waited for %.3g s",
                self.run,
                self._ledger.series_number,
                self._ledger.patience_s,
            )

    def _follow(self, record: Record) -> None:
        """Begin the next run with an object, and end the one before it."""
        if self.is_open:
            self._close()
            if self.outcomes.behind:
                raise RunError(_damaged(self.run, self.outcomes))
            self._journal.tally(self.run, **asdict(self.objects.counts))
        self._start(record)
        log.warning("another series has begun: run %d", self.run)

    def _emit(self, items: list[Volume | Skipped]) -> None:
        for item in items:
            if 0 < self._volumes <= item.index:
                return
            dummies, paused = self._rules.dummies, self.state == "paused"
            outcome = decide(self._decoder, item, dummies, paused=paused)
            self.outcomes.take(self.run, outcome)
            self.state = after(self.state, lifecycle_events(outcome))
        if self.complete:  # it only waits for its end
            self._ledger.settle()


def _damaged(run: int, outcomes: Recorder) -> str:
    return (
        f"run {run} has recorded outcomes up to {outcomes.behind}, but its objects give outcomes "
        f"up to {outcomes.sequence} only; the session's log is damaged, and what is in the folder "
        "is kept as it is"
    )


def lifecycle_events(outcome: Outcome) -> tuple[LifecycleEvent, ...]:
    """Return the events of a run that an outcome causes."""
    if isinstance(outcome, Decision):
        return (LifecycleEvent.DECISION,)
    gathering = outcome.reason in (SkipReason.NOT_READY, SkipReason.DUMMY)
    return (LifecycleEvent.GATHERING,) if gathering else ()
