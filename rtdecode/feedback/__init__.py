"""From outcomes to what a participant is shown: the signal, the run's protocol, sham feedback.

For a stimulus program of one's own; `rtdecode display` is built of it::

    settings = read_settings(Path("feedback.toml"))
    with Outcomes.of_session(folder) as outcomes, Control(...) as control:
        feedback = Feedback(settings, control.status(), same_clock=True)
        while drawing:
            while (numbered := outcomes.poll()) is not None:
                feedback.take(numbered, time.monotonic_ns())
            frame = feedback.frame(time.monotonic_ns())
"""

from rtdecode.feedback.arms import (
    Assigned,
    Key,
    assigned,
    randomise,
    read_key,
    write_assignment,
)
from rtdecode.feedback.feedback import Feedback, Frame
from rtdecode.feedback.feedback_settings import Blinding, FeedbackSettings, FirstVolumes
from rtdecode.feedback.protocol import FeedbackBlock, Protocol, Role, Text
from rtdecode.feedback.read_protocol import read_settings
from rtdecode.feedback.sham import ARMS, Arm, RecordedDecisions, read_recordings, shuffled, yoked
from rtdecode.feedback.signal import Reading, Signal

__all__ = [
    "ARMS",
    "Arm",
    "Assigned",
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
    "assigned",
    "randomise",
    "read_key",
    "read_recordings",
    "read_settings",
    "shuffled",
    "write_assignment",
    "yoked",
]
