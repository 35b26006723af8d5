"""One session's runs: records of the log in, outcomes out; no threads and no sockets."""

import logging
from collections.abc import Callable
from dataclasses import replace

from rtdecode import parsing
from rtdecode.clock import Clock
from rtdecode.errors import ConfigError, RunError, VolumeError
from rtdecode.journal import Checkpoint, Journal, RunInfo, newest_checkpoint
from rtdecode.ledger import Ledger, Receipt
from rtdecode.pack import Kind, Record
from rtdecode.service.settings import Decoder
from rtdecode.types import Decision, Skipped, SkipReason, Stamps, Volume
from rtdecode.wire import Numbered, RunState, deterministic

log = logging.getLogger(__name__)


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
    volumes
        The run is complete after this many; 0: never.
    checkpoint_volumes
        A checkpoint after this many.
    patience_s
        The ledger's.
    """

    def __init__(
        self,
        journal: Journal,
        decoder: Decoder,
        clock: Clock,
        publish: Callable[[Numbered], None],
        keep: Callable[[Checkpoint], None],
        *,
        volumes: int = 0,
        checkpoint_volumes: int = 10,
        patience_s: float | None = None,
    ) -> None:
        self.state: RunState = "starting"
        self.run = 0
        self.sequence = journal.last_sequence()
        self.objects = self.unreadable = self.decisions = self.skipped = 0
        self.detail = ""
        self.latencies_ms: list[float] = []
        self._journal = journal
        self._decoder = decoder
        self._clock = clock
        self._publish = publish
        self._keep = keep
        self._volumes = volumes
        self._checkpoint_volumes = checkpoint_volumes
        self._patience_s = patience_s
        self._initial = decoder.state()
        self._ledger = Ledger(patience_s)
        self._applied = 0
        self._feed_from = 0
        self._kept = self.sequence
        self._expected: dict[int, bytes] = {}

    @property
    def complete(self) -> bool:
        """Whether the run has all its volumes."""
        return 0 < self._volumes <= self._ledger.next_index

    def open(self) -> None:
        """Go on with the session's unfinished run, or begin the next one.

        Raises
        ------
        ConfigError
            The unfinished run was decided by another bundle.
        RunError
            Its recomputed outcomes are not the recorded ones.
        """
        newest = self._journal.newest_run()
        if newest is None or newest.ended:
            self._applied = len(self._journal.records)
            self.run = newest.run if newest else 0
            self.state = "ended"
            self.start()
        else:
            self._resume(newest)
            if self.state == "ended":  # it had been told to end just before the crash
                self.start()

    def start(self) -> bool:
        """Begin the next run; `False` while one is running or records wait to be applied."""
        facts = {
            "run": self.run + 1,
            "bundle": self._decoder.bundle_digest,
            "classes": self._decoder.classes,
        }
        if self.state != "ended":
            return False
        if self._journal.append_event(Kind.START, facts, self._applied) is None:
            return False
        self._applied += 1
        self._decoder.restore(self._initial)
        self._begin(self.run + 1)
        return True

    def end(self) -> bool:
        """End the run; `False` where there is none or records wait to be applied."""
        if self.state != "running":
            return False
        record = self._journal.append_event(Kind.END, {"run": self.run}, self._applied)
        if record is None:
            return False
        self.apply(record, b"")
        return True

    def apply(self, record: Record, content: bytes, journalled_ns: int = 0) -> None:
        """Let one record of the log take effect."""
        self._applied = record.number + 1
        if self.state != "running":
            log.warning("an object came outside a run; it is kept, and not decoded")
            return
        if record.kind is Kind.OBJECT:
            self._add(record, content, journalled_ns)
        elif record.kind is Kind.GIVE_UP and record.header["index"] >= self._ledger.next_index:
            self._emit(self._ledger.give_up(record.header["index"]))
        elif record.kind is Kind.END:
            self._emit(self._ledger.close())
            self._journal.run_ended(self.run)
            self.state = "ended"
        if not self._ledger.pending:
            self._feed_from = self._applied
        if self.sequence - self._kept >= self._checkpoint_volumes:
            self.checkpoint()

    def judge_deadlines(self) -> None:
        """Give up volumes that were waited for in vain, unless records wait to be applied."""
        if self.state != "running":
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
        if self.state != "running" or self._expected:
            return
        self._kept = self.sequence
        self._keep(
            Checkpoint(
                self.run,
                self._decoder.bundle_digest,
                self.sequence,
                self._feed_from,
                self._ledger.state(),
                self._decoder.state(),
            )
        )

    def _begin(self, run: int) -> None:
        self.run = run
        self.state = "running"
        self.objects = self.unreadable = self.decisions = self.skipped = 0
        self._ledger = Ledger(self._patience_s)
        self._feed_from = self._applied
        self._kept = self.sequence
        self._journal.run_began(
            run,
            self._decoder.bundle_digest,
            self._decoder.classes,
            self._decoder.repetition_time_s,
        )

    def _resume(self, unfinished: RunInfo) -> None:
        if unfinished.bundle != self._decoder.bundle_digest:
            raise ConfigError(
                f"session {self._journal.folder} holds an unfinished run of bundle "
                f"{unfinished.bundle}, this is bundle {self._decoder.bundle_digest}; serve with "
                "that bundle, or choose another session folder"
            )
        records = self._journal.records
        self._applied = unfinished.first_record + 1
        self._begin(unfinished.run)
        recorded = self._journal.outcomes(since=self._journal.sequence_before(self.run))
        self.sequence = self._journal.sequence_before(self.run)
        newest = newest_checkpoint(self._journal.checkpoints, self.run)
        if newest is not None:
            self._decoder.restore(newest.pipeline)
            self._ledger = Ledger.restore(newest.ledger)
            self.sequence = newest.sequence
            self._feed_from = newest.feed_from
            self._applied = newest.feed_from
        else:
            self._decoder.restore(self._initial)
        self._kept = self.sequence
        for numbered in recorded:
            self._count(numbered)
            if numbered.sequence > self.sequence:
                self._expected[numbered.sequence] = deterministic(numbered.outcome)
        self.objects = sum(
            r.kind is Kind.OBJECT for r in records[unfinished.first_record : self._applied]
        )
        log.info("going on with run %d after %d outcomes", self.run, len(recorded))
        for record in records[self._applied :]:
            content = self._journal.body(record) if record.kind is Kind.OBJECT else b""
            self.apply(record, content)
        if self._expected and not self.complete:
            raise RunError(
                f"run {self.run} has recorded outcomes up to {max(self._expected)}, but its "
                f"objects give outcomes up to {self.sequence} only; the session's log is damaged, "
                "and what is in the folder is kept as it is"
            )

    def _add(self, record: Record, content: bytes, journalled_ns: int) -> None:
        self.objects += 1
        # By its number and digest, never by its name: scanners name files after participants.
        shown = f"object {record.number} ({record.header['sha256'][:8]})"
        try:
            parsed = parsing.parse(content, shown)
        except VolumeError as error:
            self.unreadable += 1
            self.detail = str(error)
            log.warning("left out: %s", error)
            return
        now_ns = self._clock.monotonic_ns()
        stamps = Stamps(int(record.header["received_ns"]), journalled_ns, now_ns)
        receipt, items = self._ledger.add(parsed, stamps, now_ns)
        if receipt is Receipt.LATE:
            log.warning("%s came after its volume was given up", shown)
        self._emit(items)

    def _emit(self, items: list[Volume | Skipped]) -> None:
        for item in items:
            if 0 < self._volumes <= item.index:
                return
            try:
                outcome = self._decoder.step(item)
            except VolumeError as error:
                outcome = Skipped(item.index, SkipReason.CORRUPT, str(error), stamps=item.stamps)
            self.sequence += 1
            numbered = Numbered(self._journal.session, self.run, self.sequence, outcome)
            if self._expected:
                self._verify(numbered)
            else:
                self._record(numbered)

    def _verify(self, numbered: Numbered) -> None:
        expected = self._expected.pop(numbered.sequence, None)
        if expected != deterministic(numbered.outcome):
            raise RunError(
                f"run {self.run}, volume {numbered.index}: the recomputed outcome is not the "
                "recorded one. The machine, the execution provider or the thread count may have "
                "changed; go on with those the run began with, or begin a new session. "
                "Everything recorded is kept"
            )

    def _record(self, numbered: Numbered) -> None:
        self._journal.record(numbered)
        now_ns = self._clock.monotonic_ns()
        self._journal.stamp(numbered.sequence, now_ns)
        stamps = replace(numbered.outcome.stamps, recorded_ns=now_ns)
        numbered = replace(numbered, outcome=replace(numbered.outcome, stamps=stamps))
        self._count(numbered)
        if isinstance(numbered.outcome, Decision) and stamps.received_ns and stamps.journalled_ns:
            self.latencies_ms.append((now_ns - stamps.received_ns) / 1e6)
        self._publish(numbered)

    def _count(self, numbered: Numbered) -> None:
        if isinstance(numbered.outcome, Decision):
            self.decisions += 1
        else:
            self.skipped += 1
