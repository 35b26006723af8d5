"""Decisions and settings by hand."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rtdecode.feedback import FeedbackBlock, FeedbackSettings, Protocol, Text
from rtdecode.types import Decision, Motion, Quality, Stamps
from rtdecode.wire import Numbered, Status

CLASSES = ("faces", "houses")
TR_S = 2.0


@pytest.fixture
def settings() -> FeedbackSettings:
    """Return a thermometer for faces: rest, an instruction, feedback, and fixation after it."""
    blocks = (
        FeedbackBlock(0.0, 10.0, "baseline"),
        FeedbackBlock(10.0, 4.0, "cue"),
        FeedbackBlock(14.0, 20.0, "regulate"),
        FeedbackBlock(40.0, 20.0, "regulate"),
    )
    roles = {"baseline": "rest", "cue": Text("Think of faces"), "regulate": "feedback"}
    return FeedbackSettings(display="thermometer", of="faces", protocol=Protocol(blocks, roles))


@pytest.fixture
def status() -> Status:
    """Return what a service says of itself."""
    return Status(
        session="s",
        run=1,
        state="running",
        sequence=0,
        decisions=0,
        skipped=0,
        objects=0,
        unreadable=0,
        classes=CLASSES,
        bundle="feedbeef0123",
        repetition_time_s=TR_S,
    )


@pytest.fixture
def decided() -> Callable[..., Numbered]:
    """Return a function that makes a decision; its volume came when it had been acquired."""
    template = Decision(
        index=0,
        probabilities=(0.5, 0.5),
        fast=(0.5, 0.5),
        label="faces",
        window_volumes=4,
        motion=Motion(),
        quality=Quality(0.0, 1.0, 50.0, 0.0, usable=True),
        bundle="feedbeef0123",
        acquired_s=0.0,
        stamps=Stamps(),
    )

    def make(
        index: int, faces: float, *, window: float | None = None, run: int = 1, began_s: float = 100
    ) -> Numbered:
        came_ns = int((began_s + (index + 1) * TR_S) * 1e9)
        window = faces if window is None else window
        outcome = replace(
            template,
            index=index,
            acquired_s=index * TR_S,
            fast=(faces, 1 - faces),
            probabilities=(window, 1 - window),
            stamps=Stamps(received_ns=came_ns, recorded_ns=came_ns + 100_000_000),
        )
        return Numbered("s", run, 1000 * run + index, outcome)

    return make


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Return a function that writes a text file."""

    def put(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return put
