"""What people see."""

import io

import pytest
from rich.console import Console

from calibration.demo import feedback_report as reports
from calibration.demo.closing_lines import panel
from calibration.demo.feedback_report import Report
from calibration.demo.frame import expected, frame
from calibration.demo.show import Show, picture
from rtdecode.metrics import Accuracy, Compared
from rtdecode.types import NONE


def _text(content, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(content)
    return console.file.getvalue()


@pytest.fixture
def found(plan, outcomes, make_metrics) -> Report:
    """Return a report with figures that can be told apart."""
    plain = Accuracy(0.7, 0.7, 0.7, (0.6, 0.8), (0.6, 0.9), (0.6, 0.9))
    return Report(
        seed=1,
        simulated=True,
        weights="a-network",
        others=11,
        calibration=make_metrics(comparison=(Compared("plain decoder", "linear", plain, 0.5),)),
        registration_overlap=0.93,
        feedback=reports.feedback(plan, outcomes),
        seconds={"group": 12.0, "calibrate": 30.0},
        folder="",
    )


def test_truth_is_drawn_with_the_lag(plan):
    """Rest surrounds each block, which begins two volumes late."""
    truth = expected(plan)
    assert truth[5:13] == ["", *["faces"] * 6, ""]


def test_frame_shows_truth_decisions_and_verdicts(plan, outcomes):
    """One tick for each right block, one cross for each wrong one, and the score."""
    text = _text(frame(plan, outcomes))
    assert text.count("✓") == 2 + 1  # the explanation has one of each
    assert text.count("✗") == 2 + 1
    assert "2 of 4 blocks right" in text
    assert text.count("truth  ") == 2


def test_frame_shows_that_nothing_was_decided(plan, decide):
    """A decoder that is not sure enough says none, and the picture a question mark."""
    outcomes = [decide(index, NONE, 0.5) for index in range(plan.volumes)]
    text = _text(frame(plan, outcomes))
    # Rounds begin with the first block, lag and all; the explanation has one more.
    assert text.count("?") == plan.volumes - 6 + 1
    assert "0 of 4 blocks right" in text


def test_frame_before_the_first_outcome(plan):
    """Nothing is decided, and nothing is claimed."""
    text = _text(frame(plan, []))
    assert f"volume 0 of {plan.volumes}" in text
    assert "0 of 0 blocks right" in text


@pytest.mark.parametrize("width", [40, 60, 100])
def test_frame_fits_its_width(plan, outcomes, width):
    """No line is longer than asked for, and none is folded."""
    for number in (0, 1, 7, 44):
        lines = _text(frame(plan, outcomes[:number]), width).splitlines()
        assert {len(line) for line in lines} == {width}


def test_plain_lines_where_there_is_no_terminal(plan, outcomes, found):
    """One line a block, the figures, and that everything is simulated; no escape codes."""
    console = Console(file=io.StringIO(), width=80)
    show = Show(console)
    with show.step("group", "scan") as step:
        step.note = "done"
    with show.live(plan) as on_outcome:
        for outcome in outcomes:
            on_outcome(outcome)
    show.close(found)
    text = console.file.getvalue()
    assert "\x1b" not in text
    assert text.count("  block ") == 4
    assert "All data are simulated" in text
    assert "2 of 4 blocks right (50%" in text
    assert list(show.seconds) == ["group"]


def test_summary_names_figures_with_chance_and_interval(found):
    """The result is never alone: blocks, interval, chance, held-out figure, baseline, latency."""
    text = " ".join(_text(panel(found)).replace("│", " ").split())
    for part in ("2 of 4 blocks right", "95 % interval 15% to 85%", "chance 50%", "p95 21"):
        assert part in text
    assert "81% of 16 blocks" in text
    assert "plain decoder 70% of volumes; p = 0.013" in text
    assert "2 skipped (2 not_ready)" in text


def test_a_frame_becomes_a_picture(plan, outcomes, tmp_path):
    """The README's picture is an SVG."""
    picture(frame(plan, outcomes), tmp_path / "demo.svg")
    assert "<svg" in (tmp_path / "demo.svg").read_text(encoding="utf-8")
