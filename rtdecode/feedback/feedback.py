"""A run's outcomes -> what is to be seen at any moment."""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rtdecode.errors import ConfigError
from rtdecode.feedback.arms import Assigned
from rtdecode.feedback.feedback_settings import FeedbackSettings
from rtdecode.feedback.protocol import FeedbackBlock, Text
from rtdecode.feedback.run_clock import RunClock
from rtdecode.feedback.sham import ARMS, Arm, RecordedDecisions, shuffled, yoked
from rtdecode.feedback.signal import Reading, Signal
from rtdecode.types import NONE, Decision
from rtdecode.wire import Numbered, Status

NONE_TEXT = "–"
_SAME_REPETITION_TIME = 0.02
"""Two differ by less than this fraction: headers round."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What is to be seen."""

    show: Literal["rest", "fixation", "text", "feedback"]
    text: str = ""
    """The words of rest, text, or feedback by text."""
    level: float | None = None
    """Of feedback by thermometer or disc: 0 (empty) to 1 (full)."""
    label: str = ""
    """Of feedback by text or image: the class, or `none`."""
    sequence: int = 0
    """The outcome that is behind it; 0 for none."""
    good_until_ns: int = 0
    """Feedback is too old from then on; 0 where nothing ages."""
    run: int = 0
    block: FeedbackBlock | None = None
    stale: bool = False
    """It is time for feedback, there was some, and it is too old to be shown."""


@dataclass(frozen=True, slots=True)
class _Due:
    at_ns: int
    received_ns: int
    sequence: int
    reading: Reading


class Feedback:
    """What a participant sees; takes outcomes in, knows what time it is, and does nothing else.

    All arms are computed for everybody, and every decision of the service makes one reading in
    each: neither the time it takes nor when something is shown depends on the arm.

    Parameters
    ----------
    settings
        What is shown when.
    status
        The service's: classes and repetition time.
    same_clock
        Whether the service runs on this machine.
    assigned
        Which arm is shown; `None`: the participant's own.
    recordings
        For sham: the runs of the recorded session.

    Raises
    ------
    ConfigError
        Settings or recording do not fit the decoder.
    """

    def __init__(
        self,
        settings: FeedbackSettings,
        status: Status,
        *,
        same_clock: bool,
        assigned: Assigned | None = None,
        recordings: Sequence[RecordedDecisions] = (),
    ) -> None:
        settings.check(status.classes)
        if status.repetition_time_s is None:
            raise ConfigError("the decoder does not state its repetition time")
        if assigned is not None:
            _check(recordings, settings, status.classes, status.repetition_time_s)
        self._settings = settings
        self._classes = status.classes
        self._repetition_time_s = status.repetition_time_s
        self._same_clock = same_clock
        self._assigned = assigned
        self._recordings = recordings
        age_s = settings.max_age_s or 2 * self._repetition_time_s
        self._good_ns = int((age_s + settings.delay_s) * 1e9)
        self._session, self._run = "", 0
        self._begin("", 0)

    def _begin(self, session: str, run: int) -> None:
        """Forget the run before."""
        self._session, self._run = session, run
        self._clock = RunClock(self._repetition_time_s, same_clock=self._same_clock)
        self._due: deque[_Due] = deque()
        self._shown: _Due | None = None
        self._signals = {arm: Signal(self._settings, self._classes) for arm in self._arms}
        self._sham: Mapping[Arm, RecordedDecisions] = self._shams(max(run, 1))

    @property
    def _arms(self) -> tuple[Arm, ...]:
        return ARMS if self._assigned else ("real",)

    def _shams(self, run: int) -> dict[Arm, RecordedDecisions]:
        if self._assigned is None:
            return {}
        recording = yoked(self._recordings, run)
        # Of the secret, so that nobody can work it out; of the participant, so that none is shown
        # what another one is.
        seed = [*self._assigned.secret, *self._assigned.code.encode(), run]
        return {"yoked": recording, "shuffled": shuffled(recording, seed)}

    def take(self, numbered: Numbered, now_ns: int) -> None:
        """Take the next outcome in."""
        if (numbered.session, numbered.run) != (self._session, self._run):
            self._begin(numbered.session, numbered.run)
        published_ns = self._clock.take(numbered, now_ns)
        outcome = numbered.outcome
        if not isinstance(outcome, Decision):
            return
        which = self._settings.probabilities
        acquired_s = outcome.acquired_s
        if not math.isfinite(acquired_s):
            acquired_s = outcome.index * self._repetition_time_s
        at_rest = self._settings.protocol.role(acquired_s - self._settings.lag_s) == "rest"
        own = outcome.fast if which == "fast" else outcome.probabilities
        readings = {
            arm: signal.step(
                self._sham[arm].probabilities(outcome.index, which) if arm in self._sham else own,
                acquired_s,
                at_rest=at_rest,
            )
            for arm, signal in self._signals.items()
        }
        self._due.append(
            _Due(
                published_ns + int(self._settings.delay_s * 1e9),
                self._clock.here_ns(outcome.stamps.received_ns),
                numbered.sequence,
                readings[self._assigned.arm if self._assigned else "real"],
            )
        )

    def run_s(self, now_ns: int) -> float:
        """Return the time of the run; not a number before its first volume."""
        return self._clock.run_s(now_ns)

    def frame(self, now_ns: int) -> Frame:
        """Return what is to be seen at an instant of this machine's monotonic clock."""
        while self._due and self._due[0].at_ns <= now_ns:
            self._shown = self._due.popleft()
        protocol, run_s = self._settings.protocol, self.run_s(now_ns)
        block = protocol.at(run_s) if math.isfinite(run_s) else None
        role = "fixation" if block is None else protocol.roles[block.trial_type]
        if isinstance(role, Text):
            return Frame("text", role.text, run=self._run, block=block)
        if role == "rest":
            return Frame("rest", self._settings.rest_text, run=self._run, block=block)
        if role == "feedback":
            return self._feedback(now_ns, block)
        return Frame("fixation", run=self._run, block=block)

    def _feedback(self, now_ns: int, block: FeedbackBlock | None) -> Frame:
        """Return the newest reading; where there is none to be shown, fixation."""
        shown = self._shown
        if shown is None:
            return Frame("fixation", run=self._run, block=block)
        until_ns = shown.received_ns + self._good_ns
        if now_ns >= until_ns:
            return Frame("fixation", run=self._run, block=block, stale=True)
        reading, by_level = shown.reading, self._settings.by_level
        if by_level and reading.level is None:
            return Frame("fixation", run=self._run, block=block)
        return Frame(
            "feedback",
            text=self._word(reading.label) if self._settings.display == "text" else "",
            level=reading.level if by_level else None,
            label="" if by_level else reading.label,
            sequence=shown.sequence,
            good_until_ns=until_ns,
            run=self._run,
            block=block,
        )

    def _word(self, label: str) -> str:
        return self._settings.texts.get(label, NONE_TEXT if label == NONE else label)


def _check(
    recordings: Sequence[RecordedDecisions],
    settings: FeedbackSettings,
    classes: tuple[str, ...],
    repetition_time_s: float,
) -> None:
    """Refuse a recorded session that is not one of this experiment; in every arm."""
    problems = []
    if not recordings:
        problems.append("sham feedback needs a recorded session, in every arm")
    if any(recording.classes != classes for recording in recordings):
        problems.append(
            f"the recorded session's classes are not the decoder's, {', '.join(classes)}"
        )
    lasts_s = settings.protocol.end_s
    for recording in recordings:
        volumes, of_s = len(recording.fast), recording.repetition_time_s
        if (volumes + 1) * of_s < lasts_s or not math.isclose(
            of_s, repetition_time_s, rel_tol=_SAME_REPETITION_TIME
        ):
            problems.append(
                f"a recorded run has {volumes} volumes, one every {of_s:.4g} s; the protocol lasts "
                f"{lasts_s:g} s, with one every {repetition_time_s:.4g} s; give a session of it"
            )
    if problems:
        raise ConfigError(problems)
