"""Computes what the participant sees at any time, from the outcomes of a run."""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rtdecode.errors import ConfigError
from rtdecode.feedback.arms import Assignment
from rtdecode.feedback.feedback_settings import FeedbackSettings
from rtdecode.feedback.protocol import FeedbackBlock, Text
from rtdecode.feedback.run_clock import RunClock
from rtdecode.feedback.sham import ARMS, Arm, RecordedDecisions, shuffle, yoked_recording
from rtdecode.feedback.signal import Reading, Signal
from rtdecode.types import NONE, Decision
from rtdecode.wire import Numbered, Status

NONE_TEXT = "–"
_SAME_REPETITION_TIME = 0.02
"""Two repetition times are equal within this fraction, because headers round."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What the participant sees."""

    show: Literal["rest", "fixation", "text", "feedback"]
    text: str = ""
    """The text of rest, of an instruction, or of feedback as text."""
    level: float | None = None
    """Level of the thermometer or the disc: 0 (empty) to 1 (full)."""
    label: str = ""
    """Class of feedback as text or image, or `none`."""
    sequence: int = 0
    """Sequence number of the shown outcome; 0 for none."""
    good_until_ns: int = 0
    """Time at which the feedback becomes too old; 0 without feedback."""
    run: int = 0
    block: FeedbackBlock | None = None
    stale: bool = False
    """Whether feedback is due but the newest feedback is too old."""


@dataclass(frozen=True, slots=True)
class _TimedReading:
    at_ns: int
    received_ns: int
    sequence: int
    reading: Reading


class Feedback:
    """Computes what a participant sees, from outcomes and the time.

    All arms are computed for every participant, and each decision gives one reading in each arm.
    So neither the computing time nor the time of the display depends on the arm.

    Parameters
    ----------
    settings
        The settings of the feedback.
    status
        Status of the service, with its classes and repetition time.
    same_clock
        Whether the service runs on this computer.
    assignment
        The participant's arm; `None`: real feedback.
    recordings
        The runs of the recorded session, for sham feedback.

    Raises
    ------
    ConfigError
        The settings or the recording do not fit the decoder.
    """

    def __init__(
        self,
        settings: FeedbackSettings,
        status: Status,
        *,
        same_clock: bool,
        assignment: Assignment | None = None,
        recordings: Sequence[RecordedDecisions] = (),
    ) -> None:
        settings.check(status.classes)
        if status.repetition_time_s is None:
            raise ConfigError("the decoder does not state its repetition time")
        if assignment is not None:
            _check(recordings, settings, status.classes, status.repetition_time_s)
        self._settings = settings
        self._classes = status.classes
        self._repetition_time_s = status.repetition_time_s
        self._same_clock = same_clock
        self._assignment = assignment
        self._recordings = recordings
        age_s = settings.max_age_s or 2 * self._repetition_time_s
        self._max_age_ns = int((age_s + settings.delay_s) * 1e9)
        self._begin("", 0)

    def _begin(self, session: str, run: int) -> None:
        """Start a run; drop the outcomes of the earlier run."""
        self._session, self._run = session, run
        self._clock = RunClock(self._repetition_time_s, same_clock=self._same_clock)
        self._due: deque[_TimedReading] = deque()
        self._current: _TimedReading | None = None
        self._signals = {arm: Signal(self._settings, self._classes) for arm in self._arms}
        self._sham: Mapping[Arm, RecordedDecisions] = self._shams(max(run, 1))

    @property
    def _arms(self) -> tuple[Arm, ...]:
        return ARMS if self._assignment else ("real",)

    def _shams(self, run: int) -> dict[Arm, RecordedDecisions]:
        if self._assignment is None:
            return {}
        recording = yoked_recording(self._recordings, run)
        # The secret makes the order unpredictable. The code makes it differ between participants.
        seed = [*self._assignment.secret, *self._assignment.code.encode(), run]
        return {"yoked": recording, "shuffled": shuffle(recording, seed)}

    def take(self, numbered: Numbered, now_ns: int) -> None:
        """Add the next outcome."""
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
            _TimedReading(
                published_ns + int(self._settings.delay_s * 1e9),
                self._clock.to_local_ns(outcome.stamps.received_ns),
                numbered.sequence,
                readings[self._assignment.arm if self._assignment else "real"],
            )
        )

    def run_s(self, now_ns: int) -> float:
        """Return the time of the run, seconds; `nan` before its first volume."""
        return self._clock.run_s(now_ns)

    def frame(self, now_ns: int) -> Frame:
        """Return what the participant sees at a time of this computer's monotonic clock."""
        while self._due and self._due[0].at_ns <= now_ns:
            self._current = self._due.popleft()
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
        """Return the newest reading, or fixation if no reading can be shown."""
        current = self._current
        if current is None:
            return Frame("fixation", run=self._run, block=block)
        until_ns = current.received_ns + self._max_age_ns
        if now_ns >= until_ns:
            return Frame("fixation", run=self._run, block=block, stale=True)
        reading, by_level = current.reading, self._settings.by_level
        if by_level and reading.level is None:
            return Frame("fixation", run=self._run, block=block)
        return Frame(
            "feedback",
            text=self._text(reading.label) if self._settings.display == "text" else "",
            level=reading.level if by_level else None,
            label="" if by_level else reading.label,
            sequence=current.sequence,
            good_until_ns=until_ns,
            run=self._run,
            block=block,
        )

    def _text(self, label: str) -> str:
        return self._settings.texts.get(label, NONE_TEXT if label == NONE else label)


def _check(
    recordings: Sequence[RecordedDecisions],
    settings: FeedbackSettings,
    classes: tuple[str, ...],
    repetition_time_s: float,
) -> None:
    """Refuse a recorded session of another experiment, in every arm."""
    problems = []
    if not recordings:
        problems.append("sham feedback needs a recorded session, in every arm")
    if any(recording.classes != classes for recording in recordings):
        problems.append(
            f"the recorded session does not have the classes of the decoder: {', '.join(classes)}"
        )
    protocol_s = settings.protocol.end_s
    for recording in recordings:
        volumes, recorded_s = len(recording.fast), recording.repetition_time_s
        if (volumes + 1) * recorded_s < protocol_s or not math.isclose(
            recorded_s, repetition_time_s, rel_tol=_SAME_REPETITION_TIME
        ):
            problems.append(
                f"a recorded run has {volumes} volumes, one every {recorded_s:.4g} s; the protocol "
                f"needs {protocol_s:g} s, one every {repetition_time_s:.4g} s; give another session"
            )
    if problems:
        raise ConfigError(problems)
