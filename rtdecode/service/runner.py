"""The runs of a session: records of the log in, outcomes and checkpoints out.

No threads and no sockets.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from rtdecode.clock import Clock
from rtdecode.journal import Checkpoint, Journal, RunInfo, Tally, newest_checkpoint
from rtdecode.journal.pack import Kind, Record, first_of
from rtdecode.ledger import LedgerReceipt
from rtdecode.lifecycle import LifecycleEvent
from rtdecode.pipeline import Decoder, decide
from rtdecode.service.log_cursor import LogCursor
from rtdecode.service.objects import Objects
from rtdecode.service.recorder import Recorder
from rtdecode.service.resume import check_same_bundle
from rtdecode.service.session_run import SessionRun
from rtdecode.service.settings import Rules, RunOptions
from rtdecode.types import Skipped, Volume
from rtdecode.wire import Numbered

log = logging.getLogger(__name__)

Output = Numbered | Checkpoint
"""An outcome that is durable and can be published, or a checkpoint to write."""


class Runner:
    """Applies the log, record by record, to the ledger and the decoder.

    The outcomes depend on the log alone. Applying it again after a crash, from a checkpoint on,
    gives the same outcomes; those that were recorded before are compared.

    Methods that return an iterator of `Output` work while it is consumed: each outcome is yielded
    before the next volume is decided. The caller must consume all of it.

    Parameters
    ----------
    journal
        The session's.
    decoder
        In its initial state.
    clock
        For stamps and deadlines.
    options
        The options of the runs.
    """

    def __init__(
        self, journal: Journal, decoder: Decoder, clock: Clock, options: RunOptions | None = None
    ) -> None:
        options = options or RunOptions()
        deadline_s = options.deadline_s
        self.deadline_s = decoder.repetition_time_s if deadline_s is None else deadline_s
        self.objects = Objects(journal, clock)
        self.outcomes = Recorder(journal, clock, self.deadline_s)
        self.run = SessionRun(decoder.protocol, options.patience_s)
        self.run.checkpoint_sequence = self.outcomes.sequence
        self._cursor = LogCursor(journal)
        self._journal = journal
        self._decoder = decoder
        self._clock = clock
        self._options = options
        self._next_rules = options.rules
        self._initial = decoder.state()

    @property
    def complete(self) -> bool:
        """Whether the run has all its volumes."""
        return 0 < self._options.volumes <= self.run.ledger.next_index

    def open(self, recorded: Mapping[str, Any] | None = None) -> Iterator[Output]:
        """Continue the session's unfinished run, or prepare for the next one.

        Parameters
        ----------
        recorded
            The header of the start of a recorded run that is played again: its rules apply.

        Raises
        ------
        ConfigError
            Another bundle decided the unfinished run.
        RunError
            Its recomputed outcomes differ from the recorded ones.
        """
        if recorded is not None:
            self._next_rules = replace(Rules.from_header(recorded), runs="volume")
        newest = self._journal.newest_run()
        if newest is None:
            self._cursor.position = len(self._journal.records)
        elif newest.ended:
            yield from self._apply_after_end(newest)
        else:
            yield from self._resume(newest)
        # The log may hold the end of the unfinished run: that end does not start another one.
        fresh = newest is None or newest.ended
        if fresh and not self.run.is_open and self._next_rules.runs != "command":
            self._start()

    def carry_out(self, event: LifecycleEvent) -> Iterable[Output] | None:
        """Carry out a command that is possible; `None` while records wait to take effect."""
        if event is LifecycleEvent.START:
            return () if self._start() else None
        header: dict[str, Any] = {"run": self.run.number}
        if event is LifecycleEvent.END:
            header |= {"series": self.run.ledger.series, "rivals": self.run.ledger.rivals}
        record = self._cursor.append(Kind[event.name], header)
        return None if record is None else self.apply(record, b"")

    def stop(self) -> Checkpoint | None:
        """Stop without ending the run, so that it can be resumed."""
        checkpoint = self._checkpoint()
        if self.run.is_open:
            self.objects.store_tally(self.run.number)
        self.run.apply(LifecycleEvent.SHUTDOWN)
        return checkpoint

    def fault(self, reason: str) -> None:
        """Store what stopped the service."""
        self.run.apply(LifecycleEvent.FAULT)
        self.objects.detail = reason

    def apply(self, record: Record, content: bytes, journalled_ns: int = 0) -> Iterator[Output]:
        """Apply one record of the log."""
        run = self.run
        self._cursor.move_to(record.number + 1)
        if record.kind is Kind.OBJECT:
            yield from self._add(record, content, journalled_ns)
        elif not run.is_open:
            return
        elif record.kind is Kind.GIVE_UP and record.header["index"] >= run.ledger.next_index:
            yield from self._decide(run.ledger.give_up(record.header["index"]))
        elif record.kind in (Kind.PAUSE, Kind.RESUME):
            run.apply(LifecycleEvent[record.kind.name])
        elif record.kind is Kind.END:
            yield from self._close()
            self.objects.store_tally(run.number)
            self._journal.end_run(run.number)
            run.apply(LifecycleEvent.END)
        if not run.ledger.pending:
            run.replay_from, run.replay_tally = self._cursor.position, self.objects.tally
        passed = self.outcomes.sequence - run.checkpoint_sequence
        if passed >= self._options.checkpoint_volumes and (checkpoint := self._checkpoint()):
            yield checkpoint

    def judge_deadlines(self) -> Iterator[Output]:
        """Give up volumes whose deadline has passed, unless records wait to take effect."""
        if not self.run.is_open:
            return
        for index in self.run.ledger.overdue(self._clock.monotonic_ns()):
            if index < self.run.ledger.next_index:
                continue
            record = self._cursor.append(Kind.GIVE_UP, {"index": index})
            if record is None:
                return
            yield from self.apply(record, b"")

    def _checkpoint(self) -> Checkpoint | None:
        """Return a checkpoint; `None` without a run, or while outcomes are only compared."""
        run = self.run
        if not run.is_open or self.outcomes.comparing:
            return None
        decoder = self._decoder
        return run.checkpoint(decoder.bundle_digest, self.outcomes.sequence, decoder.state())

    def _start(self, first: Record | None = None) -> bool:
        """Start the next run, with an object or with the next record; `False`: not possible yet."""
        run, protocol = self.run, self._decoder.protocol
        former = dict.fromkeys((*self._next_rules.former, *run.rules.former))
        rules = replace(self._next_rules, former=tuple(former))
        header = {
            "run": run.number + 1,
            "bundle": self._decoder.bundle_digest,
            "classes": self._decoder.classes,
            "expected": None if protocol is None else protocol.facts(),
            **rules.header(),
        }
        start = self._cursor.append_start(header, first)
        if start is None:
            return False
        # A crash before the start is in the log leaves the previous run unfinished.
        self._journal.end_run(run.number)
        self._decoder.restore(self._initial)
        self._begin(run.number + 1, rules)
        run.replay_from = first_of(start)
        return True

    def _begin(self, number: int, rules: Rules) -> None:
        self.run.begin(number, rules, self.outcomes.sequence)
        self.objects.tally = Tally()
        self.outcomes.begin()
        self._journal.begin_run(
            number,
            self._decoder.bundle_digest,
            self._decoder.classes,
            self._decoder.repetition_time_s,
        )

    def _close(self) -> Iterator[Output]:
        """Give every volume of the run its outcome, and wait for the next run."""
        run = self.run
        yield from self._decide(run.ledger.close())
        run.wait_for_next(run.rules, run.ledger.series, run.ledger.rivals)

    def _apply_after_end(self, newest: RunInfo) -> Iterator[Output]:
        """Apply the records after the end of the last run again."""
        run = self.run
        ends = self._journal.records.events(Kind.END)
        end = [record for record in ends if record.header["run"] == newest.run][-1]
        run.number, run.state = newest.run, "ended"
        rules = Rules.from_header(newest.start.header)
        run.wait_for_next(rules, end.header.get("series"), end.header.get("rivals", ()))
        self._cursor.position = end.number + 1
        yield from self._apply_remaining()
        if not run.is_open:
            run.state, run.next_ledger = "idle", None

    def _resume(self, unfinished: RunInfo) -> Iterator[Output]:
        """Continue an unfinished run, from its newest checkpoint if there is one."""
        run, header = self.run, unfinished.start.header
        check_same_bundle(self._journal.folder, str(header["bundle"]), self._decoder.bundle_digest)
        # A crash may have come between the start of this run and the end of the previous one.
        self._journal.end_run(unfinished.run - 1)
        self._begin(unfinished.run, Rules.from_header(header))
        before = self._journal.sequence_before(run.number)
        recorded = self._journal.outcomes(since=before)
        checkpoint = newest_checkpoint(self._journal.checkpoints, run.number)
        if checkpoint is None:
            self._decoder.restore(self._initial)
            self.outcomes.resume(before, recorded)
            self._cursor.position = first_of(unfinished.start)
        else:
            self._decoder.restore(checkpoint.pipeline)
            self.outcomes.resume(checkpoint.sequence, recorded)
            self._cursor.position = checkpoint.feed_from
            self.objects.tally = Tally(**checkpoint.counts)
            decided = [n.outcome for n in recorded if n.sequence <= checkpoint.sequence]
            run.restore(checkpoint, decided)
        run.replay_from, run.replay_tally = self._cursor.position, self.objects.tally
        run.checkpoint_sequence = self.outcomes.sequence
        log.info("run %d continues after %d outcomes", run.number, len(recorded))
        yield from self._apply_remaining()
        if not self.complete:
            self.outcomes.require_compared(run.number)

    def _apply_remaining(self) -> Iterator[Output]:
        for record, content in self._cursor.remaining():
            yield from self.apply(record, content)

    def _add(self, record: Record, content: bytes, journalled_ns: int) -> Iterator[Output]:
        run, tally = self.run, self.objects.tally
        between_runs = not run.is_open
        ledger = run.next_ledger if between_runs else run.ledger
        if ledger is None:
            log.info("object %d arrived between runs; it is kept, and not decoded", record.number)
            return
        series = run.ledger.series
        receipt, items = self.objects.add(ledger, run.number, record, content, journalled_ns)
        if between_runs:
            self.objects.tally = tally  # of the previous run, which has ended
            if receipt not in (LedgerReceipt.PLACED, LedgerReceipt.COMPLETED):
                return
        if between_runs or receipt is LedgerReceipt.NEXT_RUN:
            yield from self._start_next(record)
            _, items = self.objects.add(run.ledger, run.number, record, content, journalled_ns)
        yield from self._decide(items)
        if run.ledger.series != series:
            log.info(
                "run %d is series %d; a missing volume is skipped after %.3g s",
                run.number,
                run.ledger.series_number,
                run.ledger.patience_s,
            )

    def _start_next(self, record: Record) -> Iterator[Output]:
        """Start the next run with an object, and end the run before it."""
        if self.run.is_open:
            yield from self._close()
            self.outcomes.require_compared(self.run.number)
            self.objects.store_tally(self.run.number)
        self._start(record)
        log.warning("another series has begun: run %d", self.run.number)

    def _decide(self, items: list[Volume | Skipped]) -> Iterator[Output]:
        run, volumes = self.run, self._options.volumes
        for item in items:
            if 0 < volumes <= item.index:
                return
            outcome = decide(self._decoder, item, run.rules.dummies, paused=run.state == "paused")
            numbered = self.outcomes.take(run.number, outcome)
            run.apply_outcome(outcome)
            if numbered is not None:
                yield numbered
        if self.complete:  # no other series may take its place
            run.ledger.settle()
