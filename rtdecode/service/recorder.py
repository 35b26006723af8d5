"""Numbers outcomes, and records them or compares them with the record."""

from array import array
from dataclasses import replace

from rtdecode.clock import Clock
from rtdecode.errors import RunError
from rtdecode.journal import Journal
from rtdecode.types import Decision, Outcome
from rtdecode.wire import Numbered, deterministic


class Recorder:
    """Makes outcomes durable, and counts them.

    Parameters
    ----------
    journal
        Stores the outcomes.
    clock
        For the stamps.
    deadline_s
        Longest time from a volume's last byte to its recorded decision; a later one is late.
    """

    def __init__(self, journal: Journal, clock: Clock, deadline_s: float) -> None:
        self.sequence = journal.last_sequence()
        """The number of the newest outcome."""
        self.decisions = self.skipped = self.late = 0
        self.latencies_ms = array("d")
        """Latencies of the decisions since the service started: 8 bytes each."""
        self._deadline_s = deadline_s
        self._journal = journal
        self._clock = clock
        self._recorded: dict[int, bytes] = {}
        """Outcomes of the record that are still to be compared, by sequence number."""

    @property
    def comparing(self) -> bool:
        """Whether the next outcome is only compared with the record."""
        return bool(self._recorded)

    def begin(self) -> None:
        """Count a new run."""
        self.decisions = self.skipped = self.late = 0

    def resume(self, sequence: int, recorded: list[Numbered]) -> None:
        """Continue after a sequence number, in a run with recorded outcomes."""
        self.sequence = sequence
        for numbered in recorded:
            self._count(numbered)
            if numbered.sequence > sequence:
                self._recorded[numbered.sequence] = deterministic(numbered.outcome)

    def take(self, run: int, outcome: Outcome) -> Numbered | None:
        """Give an outcome its number and record it; return `None` if it was recorded before.

        Raises
        ------
        RunError
            It differs from the recorded outcome, or the disk is full or fails.
        """
        self.sequence += 1
        numbered = Numbered(self._journal.session, run, self.sequence, outcome)
        if self._recorded:
            self._compare(numbered)
            return None
        return self._record(numbered)

    def require_compared(self, run: int) -> None:
        """Refuse a log that gives fewer outcomes than were recorded.

        Raises
        ------
        RunError
            Recorded outcomes are still to be compared.
        """
        if self._recorded:
            raise RunError(
                f"run {run} has recorded outcomes up to {max(self._recorded)}, but its objects "
                f"give outcomes up to {self.sequence} only; the session's log is damaged, and its "
                "folder is kept as it is"
            )

    def _compare(self, numbered: Numbered) -> None:
        recorded = self._recorded.pop(numbered.sequence, None)
        if recorded != deterministic(numbered.outcome):
            raise RunError(
                f"run {numbered.run}, volume {numbered.index}: the recomputed outcome is not the "
                "recorded one. The machine, the execution provider or the thread count may have "
                "changed; continue with those of the run's beginning, or begin a new session. "
                "Everything recorded is kept"
            )

    def _record(self, numbered: Numbered) -> Numbered:
        self._journal.record(numbered)
        now_ns = self._clock.monotonic_ns()
        stamps = replace(numbered.outcome.stamps, recorded_ns=now_ns)
        outcome = replace(numbered.outcome, stamps=stamps)
        late = False
        if isinstance(outcome, Decision):
            age_s = (now_ns - stamps.received_ns) / 1e9
            # Without this stamp the volume was read again from the log after a restart, and the
            # clock may have started anew.
            late = not stamps.journalled_ns or age_s > self._deadline_s
            outcome = replace(outcome, late=late)
            if stamps.received_ns and stamps.journalled_ns:
                self.latencies_ms.append(1e3 * age_s)
        self._journal.stamp(numbered.sequence, now_ns, late=late)
        numbered = replace(numbered, outcome=outcome)
        self._count(numbered)
        return numbered

    def _count(self, numbered: Numbered) -> None:
        if isinstance(numbered.outcome, Decision):
            self.decisions += 1
            self.late += numbered.outcome.late
        else:
            self.skipped += 1
