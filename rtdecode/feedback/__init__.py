"""Computes what a participant sees: the signal, the run's protocol, sham feedback.

`rtdecode display` uses it, and your own stimulus program can::

    settings = read_settings(Path("feedback.toml"))
    with Outcomes.of_session(folder) as outcomes, Control(...) as control:
        feedback = Feedback(settings, control.status(), same_clock=True)
        while drawing:
            while (numbered := outcomes.poll()) is not None:
                feedback.take(numbered, time.monotonic_ns())
            frame = feedback.frame(time.monotonic_ns())
"""

from rtdecode.feedback.arms import (
    Assignment,
    Key,
    randomise,
    read_assignment,
    read_key,
    write_assignment,
)
from rtdecode.feedback.feedback import Feedback, Frame
from rtdecode.feedback.feedback_settings import Blinding, FeedbackSettings, FirstVolumes
from rtdecode.feedback.protocol import FeedbackBlock, Protocol, Role, Text
from rtdecode.feedback.read_protocol import read_settings
from rtdecode.feedback.sham import (
    ARMS,
    Arm,
    RecordedDecisions,
    read_recordings,
    shuffle,
    yoked_recording,
)
from rtdecode.feedback.signal import Reading, Signal

__all__ = [
    "ARMS",
    "Arm",
    "Assignment",
    "Blinding",
    "Feedback",
    "FeedbackBlock",
    "FeedbackSettings",
    "FirstVolumes",
    "Frame",
    "Key",
    "Protocol",
    "Reading",
    "RecordedDecisions",
    "Role",
    "Signal",
    "Text",
    "randomise",
    "read_assignment",
    "read_key",
    "read_recordings",
    "read_settings",
    "shuffle",
    "write_assignment",
    "yoked_recording",
]
