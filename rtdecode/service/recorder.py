"""Outcomes: numbered, compared with those on record or recorded, then published."""

from array import array
from collections.abc import Callable
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
    journal, clock
        What it works with.
    publish
        Called with each outcome once it is durable.
    deadline_s
        A decision that is recorded later than this after its volume's last byte is late.
    """

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        publish: Callable[[Numbered], None],
        deadline_s: float,
    ) -> None:
        self.sequence = journal.last_sequence()
        self.decisions = self.skipped = self.late = 0
        self.latencies_ms = array("d")
        """Of the decisions since the service began: 8 bytes each, 80 kB for 10,000."""
        self._deadline_s = deadline_s
        self._journal = journal
        self._clock = clock
        self._publish = publish
        self._expected: dict[int, bytes] = {}

    @property
    def behind(self) -> int:
        """Up to which sequence number outcomes are only compared; 0 where none is."""
        return max(self._expected, default=0)

    def begin(self) -> None:
        """Count a new run."""
        self.decisions = self.skipped = self.late = 0

    def resume(self, sequence: int, recorded: list[Numbered]) -> None:
        """Go on after a sequence number, in a run that has outcomes on record."""
        self.sequence = sequence
        for numbered in recorded:
            self._count(numbered)
            if numbered.sequence > sequence:
                self._expected[numbered.sequence] = deterministic(numbered.outcome)

    def take(self, run: int, outcome: Outcome) -> None:
        """Give an outcome its number, and compare or record it.

        Raises
        ------
        RunError
            It is not the one on record, or the disk is full or failing.
        """
        self.sequence += 1
        numbered = Numbered(self._journal.session, run, self.sequence, outcome)
        if self._expected:
            self._verify(numbered)
        else:
            self._record(numbered)

    def _verify(self, numbered: Numbered) -> None:
        expected = self._expected.pop(numbered.sequence, None)
        if expected != deterministic(numbered.outcome):
            raise RunError(
                f"run {numbered.run}, volume {numbered.index}: the recomputed outcome is not the "
                "recorded one. The machine, the execution provider or the thread count may have "
                "changed; go on with those the run began with, or begin a new session. "
                "Everything recorded is kept"
            )

    def _record(self, numbered: Numbered) -> None:
        self._journal.record(numbered)
        now_ns = self._clock.monotonic_ns()
        stamps = replace(numbered.outcome.stamps, recorded_ns=now_ns)
        outcome = replace(numbered.outcome, stamps=stamps)
        late = False
        if isinstance(outcome, Decision):
            age_s = (now_ns - stamps.received_ns) / 1e9
            # What is decided from the log again has outlived the service that received it, and the
            # clock may have begun anew since.
            late = not stamps.journalled_ns or age_s > self._deadline_s
            outcome = replace(outcome, late=late)
            if stamps.received_ns and stamps.journalled_ns:
                self.latencies_ms.append(1e3 * age_s)
        self._journal.stamp(numbered.sequence, now_ns, late=late)
        numbered = replace(numbered, outcome=outcome)
        self._count(numbered)
        self._publish(numbered)

    def _count(self, numbered: Numbered) -> None:
        if isinstance(numbered.outcome, Decision):
            self.decisions += 1
            self.late += numbered.outcome.late
        else:
            self.skipped += 1
