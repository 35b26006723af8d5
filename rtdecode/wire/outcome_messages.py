"""Converts outcomes to messages and back, without loss.

The messages are types of their own because msgspec cannot decode the outcomes themselves: it does
not read `null` as a float, and a union may contain only one dataclass.
"""

import math
from dataclasses import dataclass, fields, replace

import msgspec

from rtdecode.types import Decision, Outcome, Quality, Skipped, SkipReason, Stamps
from rtdecode.wire.messages import (
    DecisionMessage,
    OutcomeMessage,
    QualityMessage,
    SkippedMessage,
)


@dataclass(frozen=True, slots=True)
class Numbered:
    """An outcome and its position in the session."""

    session: str
    run: int
    sequence: int
    outcome: Outcome

    @property
    def index(self) -> int:
        """The volume's position in its run."""
        return self.outcome.index

    @property
    def label(self) -> str | None:
        """The decided class, or "none"; `None` for a volume without a decision."""
        return self.outcome.label if isinstance(self.outcome, Decision) else None

    @property
    def probabilities(self) -> tuple[float, ...] | None:
        """One probability per class; `None` for a volume without a decision."""
        return self.outcome.probabilities if isinstance(self.outcome, Decision) else None


def to_message(numbered: Numbered) -> OutcomeMessage:
    """Return the message that is published for an outcome."""
    return OutcomeMessage(
        session=numbered.session,
        run=numbered.run,
        sequence=numbered.sequence,
        outcome=outcome_to_message(numbered.outcome),
    )


def from_message(message: OutcomeMessage) -> Numbered:
    """Return the outcome of a message."""
    outcome = outcome_from_message(message.outcome)
    return Numbered(message.session, message.run, message.sequence, outcome)


def outcome_to_message(outcome: Outcome) -> DecisionMessage | SkippedMessage:
    """Return the message of an outcome, for the sockets and the journal."""
    # A message has the same fields as its outcome.
    values = {field.name: getattr(outcome, field.name) for field in fields(outcome)}
    if outcome.quality is not None:
        values["quality"] = _quality_to_message(outcome.quality)
    if isinstance(outcome, Skipped):
        return SkippedMessage(**values | {"reason": str(outcome.reason)})
    return DecisionMessage(**values | {"acquired_s": _or_none(outcome.acquired_s)})


def outcome_from_message(message: DecisionMessage | SkippedMessage) -> Outcome:
    """Return the outcome of a message; the inverse of `outcome_to_message`."""
    values = msgspec.structs.asdict(message)
    if message.quality is not None:
        values["quality"] = _quality_from_message(message.quality)
    if isinstance(message, SkippedMessage):
        return Skipped(**values | {"reason": SkipReason(message.reason)})
    return Decision(**values | {"acquired_s": _or_nan(message.acquired_s)})


def deterministic(outcome: Outcome) -> bytes:
    """Return an outcome without its times, as bytes: equal in two runs over the same objects."""
    if isinstance(outcome, Decision):
        outcome = replace(outcome, late=False)
    return msgspec.json.encode(outcome_to_message(replace(outcome, stamps=Stamps())))


_MEASURES = ("framewise_displacement", "dvars", "temporal_snr", "signal_drop")


def _quality_to_message(quality: Quality) -> QualityMessage:
    measures = {name: _or_none(getattr(quality, name)) for name in _MEASURES}
    return QualityMessage(**measures, usable=quality.usable, why=quality.why)


def _quality_from_message(message: QualityMessage) -> Quality:
    measures = {name: _or_nan(getattr(message, name)) for name in _MEASURES}
    return Quality(**measures, usable=message.usable, why=message.why)


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
