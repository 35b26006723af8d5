"""The operator's terminal."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from rtdecode.monitor import MonitorState, render
from rtdecode.monitor.glyphs import bar, sparkline
from rtdecode.types import Decision, Motion, Quality, Skipped, SkipReason, Stamps
from rtdecode.wire import Numbered, StageLatency, Status

CLASSES = ("rest", "left hand", "right hand", "tongue")


def decision(index: int, probabilities: tuple[float, ...], moved: float = 0.1) -> Decision:
    best = max(range(len(probabilities)), key=probabilities.__getitem__)
    label = CLASSES[best] if len(probabilities) == 4 else f"state {best}"
    quality = Quality(moved, 1.0, float("nan"), 0.0, usable=True)
    stamps = Stamps(received_ns=1, journalled_ns=2, recorded_ns=100_000_001)
    return Decision(
        index, probabilities, probabilities, label, 5, Motion(), quality, "b", 0.0, stamps
    )


def status(classes: tuple[str, ...] = CLASSES, **changes: object) -> Status:
    facts = {
        "session": "0123456789ab",
        "run": 1,
        "state": "running",
        "sequence": 3,
        "decisions": 2,
        "skipped": 1,
        "objects": 3,
        "unreadable": 0,
        "classes": classes,
        "bundle": "feedbeef0123",
        "repetition_time_s": 1.5,
        **changes,
    }
    return Status(**facts)


@pytest.fixture
def session() -> MonitorState:
    """Return a session of two decisions and a gap."""
    session = MonitorState(status=status())
    session.add(Numbered("s", 1, 1, decision(0, (0.1, 0.7, 0.1, 0.1))))
    session.add(Numbered("s", 1, 2, Skipped(1, SkipReason.GAP, "no image of it arrived")))
    session.add(Numbered("s", 1, 3, decision(2, (0.05, 0.05, 0.85, 0.05), moved=0.6)))
    return session


def text(session: MonitorState, **how: object) -> str:
    console = Console(width=100, file=io.StringIO(), color_system=None)
    console.print(render(session, 100, **how))
    return console.file.getvalue()


def test_a_frame_says_what_an_operator_needs(session):
    """The decision, its probability, motion, latency, counts and the volume are all there."""
    frame = text(session)
    for needed in ("▶ right hand", "85.0%", "0.60 mm", "100 ms", "2 decided", "1 gap", "volume 2"):
        assert needed in frame
    assert all(len(line) == 100 for line in frame.splitlines())


def test_an_empty_session_waits():
    """Before there is anything, the frame says so."""
    assert "waiting for a service" in text(MonitorState())
    assert "no decision yet" in text(MonitorState(status=status()))


def test_silence_and_faults_are_not_missed(session):
    """A stale display says so, and a fault is shown with its reason."""
    assert "STALE" not in text(session, silent_s=2.0)
    assert "STALE: nothing for 60 s" in text(session, silent_s=60.0)
    session.status = status(state="faulted", detail="the disk is full")
    assert "the disk is full" in text(session)


def test_a_skipped_volume_is_said_and_the_old_decision_is_not_taken_for_new(session):
    """The reason of the newest volume stands under the bars."""
    session.add(Numbered("s", 1, 4, Skipped(3, SkipReason.INCOMPLETE, "3 of 4 slices arrived")))
    assert "volume 3 3 of 4 slices arrived" in text(session)


def test_many_classes_stay_within_the_terminal():
    """Sixteen classes on thirty lines: the likeliest are shown."""
    names = tuple(f"state {n}" for n in range(16))
    session = MonitorState(status=status(names))
    session.add(Numbered("s", 1, 1, decision(0, (*[0.02] * 15, 0.7))))
    frame = text(session, height=30)
    assert len(frame.splitlines()) <= 30
    assert "▶ state 15" in frame


def test_the_next_run_starts_with_an_empty_frame(session):
    """Nothing of an earlier run is shown as this one's."""
    session.add(Numbered("s", 2, 4, Skipped(0, SkipReason.NOT_READY)))
    assert session.decision is None
    assert "1 not_ready" in text(session)


def test_a_frame_becomes_a_picture(session, tmp_path: Path):
    """The picture for a README is an SVG that holds the frame's words."""
    console = Console(record=True, width=100, file=io.StringIO(), force_terminal=True)
    console.print(render(session, 100))
    console.save_svg(str(tmp_path / "frame.svg"))
    assert "hand" in (tmp_path / "frame.svg").read_text(encoding="utf-8")


def test_glyphs_fill_exactly_their_width():
    """Bars and lines neither wrap nor leave holes, whatever the value."""
    for fraction in (-1.0, 0.0, 0.01, 0.5, 0.999, 1.0, 7.0):
        assert len(bar(fraction, 20, "red")) == 20
    values = [0.0, float("nan"), 0.5, 9.0]
    assert len(sparkline(values, 10, 1.0, ((0.0, "green"),))) == 10
    assert sparkline(values, 2, 1.0, ((0.0, "green"),)).plain == "▅█"


def test_the_slowest_stages_are_shown_first(session) -> None:
    """The operator sees what the time goes into."""
    latency = {s: StageLatency(t, 2 * t, 3 * t) for s, t in (("parse", 2), ("decode", 75))}
    session.status = status(latency={**latency, "total": StageLatency(90, 180, 270)})
    shown = text(session)
    assert "decode 150  parse 4" in shown
    assert "p99" in shown
    assert "total" not in shown
