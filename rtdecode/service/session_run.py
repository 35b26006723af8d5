"""The newest run of a session: its number, rules, state and ledger."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace

from rtdecode.journal import Checkpoint, Tally
from rtdecode.ledger import Ledger, ScanProtocol
from rtdecode.lifecycle import OPEN, LifecycleEvent, after
from rtdecode.service.settings import Rules
from rtdecode.types import Decision, Outcome, SkipReason, State
from rtdecode.wire import RunState


class SessionRun:
    """The newest run, or the time between two runs.

    Parameters
    ----------
    protocol
        The bundle's protocol; `None` accepts every protocol.
    patience_s
        The ledger's.
    """

    def __init__(self, protocol: ScanProtocol | None, patience_s: float | None) -> None:
        self.number = 0
        self.state: RunState = "idle"
        self.rules = Rules()
        self.ledger = Ledger(patience_s)
        self.next_ledger: Ledger | None = None
        """Between runs: decides which object starts the next run; `None` if only commands do."""
        self.replay_from = 0
        """The first record that a restart reads again, after the newest checkpoint."""
        self.replay_tally = Tally()
        """The tally of the objects before `replay_from`."""
        self.checkpoint_sequence = 0
        """The newest outcome at the newest checkpoint."""
        self._protocol = protocol
        self._patience_s = patience_s

    @property
    def is_open(self) -> bool:
        """Whether there is a run that has not ended."""
        return self.state in OPEN

    def apply(self, *events: LifecycleEvent) -> None:
        """Change the state by events; an event that is not possible changes nothing."""
        self.state = after(self.state, events)

    def apply_outcome(self, outcome: Outcome) -> None:
        """Change the state by the outcome of a volume."""
        if isinstance(outcome, Decision):
            self.apply(LifecycleEvent.DECISION)
        elif outcome.reason in (SkipReason.NOT_READY, SkipReason.DUMMY):
            self.apply(LifecycleEvent.GATHERING)

    def begin(self, number: int, rules: Rules, sequence: int) -> None:
        """Begin a run.

        Parameters
        ----------
        number, rules
            The run's.
        sequence
            The newest outcome of the session.
        """
        self.apply(LifecycleEvent.NEXT if self.is_open else LifecycleEvent.START)
        self.number = number
        self.rules = rules
        self.ledger = self._new_ledger(rules)
        self.next_ledger = None
        self.replay_tally = Tally()
        self.checkpoint_sequence = sequence

    def checkpoint(self, bundle: str, sequence: int, pipeline: State) -> Checkpoint:
        """Return a checkpoint of the run.

        Parameters
        ----------
        bundle
            The bundle's digest.
        sequence
            The newest outcome of the session.
        pipeline
            The decoder's state after that outcome.
        """
        self.checkpoint_sequence = sequence
        return Checkpoint(
            run=self.number,
            bundle=bundle,
            sequence=sequence,
            feed_from=self.replay_from,
            ledger=self.ledger.state(),
            pipeline=pipeline,
            paused=self.state == "paused",
            counts=asdict(self.replay_tally),
        )

    def restore(self, checkpoint: Checkpoint, outcomes: Iterable[Outcome]) -> None:
        """Continue from a checkpoint; `outcomes` are those of the run that it includes."""
        self.ledger = Ledger.restore(checkpoint.ledger)
        for outcome in outcomes:
            self.apply_outcome(outcome)
        if checkpoint.paused:
            self.apply(LifecycleEvent.PAUSE)

    def wait_for_next(self, rules: Rules, series: str | None, rivals: Sequence[str]) -> None:
        """Prepare for the object that starts the next run.

        Parameters
        ----------
        rules
            The rules of the run that ends.
        series
            The digest of its series; `None` without any object.
        rivals
            Digests of other series that arrived during it: their remaining objects start no run.
        """
        former = rules.former if series is None else (*rules.former, series)
        self.rules = replace(rules, former=former)
        waiting = replace(self.rules, former=(*former, *rivals))
        self.next_ledger = None if rules.runs == "command" else self._new_ledger(waiting)

    def _new_ledger(self, rules: Rules) -> Ledger:
        return Ledger(
            self._patience_s,
            self._protocol,
            follow=rules.runs == "series",
            former=rules.former,
        )
