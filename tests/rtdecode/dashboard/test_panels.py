"""What stands in the panels."""

import math
import re

import pytest

from rtdecode.dashboard import html_tables, panels
from rtdecode.dashboard.model import LogLine, Progress
from rtdecode.dashboard.planned_blocks import Moment
from rtdecode.dashboard.session_folder import FolderView
from rtdecode.types import NONE, Quality, SkipReason

CLASSES = ("faces", "right_hand")


def text(html: str) -> str:
    """Return what is read."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html)).strip()


def test_a_decision_is_shown_with_its_probabilities(make_view, make_decision):
    html = panels.decision(make_view([make_decision(4, share=0.2)]), CLASSES)
    assert "data-label='right_hand'" in html
    assert "data-index=4" in html
    assert "data-class='right_hand' data-probability=0.8>80%" in html
    assert text(html).startswith("right hand")


def test_a_decision_before_a_skipped_volume_is_marked_old(make_view, make_decision, make_skipped):
    outcomes = [make_decision(4), make_skipped(5, SkipReason.GAP, "it never came")]
    html = panels.decision(make_view(outcomes), CLASSES)
    assert "class='decided old'" in html
    assert "volume 5: gap: it never came" in html


def test_without_a_decision_the_reason_is_shown(make_view, make_skipped):
    html = panels.decision(make_view([make_skipped(0, detail="gathering")]), CLASSES)
    assert text(html) == "– not_ready: gathering"


def test_none_is_said(make_view, make_decision):
    html = panels.decision(make_view([make_decision(0, label=NONE)]), CLASSES)
    assert "no class is likely enough" in html


def test_a_volume_that_does_not_count_says_why(make_view, make_decision):
    moved = Quality(1.25, 3.0, 70.0, 0.0, usable=False, why=("motion",))
    view = make_view([make_decision(0, quality=moved)])
    assert "not counted: motion" in panels.decision(view, CLASSES)
    assert "class=bad data-fd=1.25" in panels.head(view.outcomes, 0.9)


@pytest.mark.parametrize(("fd_mm", "tone"), [(0.1, "good"), (0.2, "warn"), (0.6, "bad")])
def test_displacement_is_judged_by_the_usual_marks(make_decision, fd_mm, tone):
    quality = Quality(fd_mm, 1.0, math.nan, 0.0, usable=True)
    outcomes = [make_decision(0, quality=quality)]
    assert f"class={tone} " in panels.head(outcomes, None)
    assert "tSNR <b data-tsnr=nan>–" in panels.signal(outcomes)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"moment": Moment("faces", 6.2, "rest")},
            "0:07 faces then rest 1:40 left in the run · volume in 1 s",
        ),
        ({"moment": None}, "1:40 left in the run volume in 1 s"),
        ({"moment": None, "left_s": math.inf}, "2 s to the next volume"),
        ({"moment": None, "left_s": math.inf, "next_s": math.nan}, "–:–– &nbsp;"),
        ({"moment": None, "next_s": -3.0}, "1:40 left in the run volume overdue by 3 s"),
    ],
)
def test_the_countdown_is_to_what_is_known(changes, expected):
    known = {"running": True, "run_s": 20.0, "left_s": 100.0, "next_s": 1.4, "volumes": 10}
    assert text(panels.countdown(Progress(**{**known, "of": 60, **changes}))) == expected


def test_latencies_and_counts_are_exact(make_view, make_status, make_skipped):
    view = make_view([make_skipped(0)], status=make_status(unreadable=2))
    assert "data-p50=90.0>90</td>" in html_tables.latency(view.status)
    ledger = html_tables.ledger(view)
    for attribute in ("objects=3", "decisions=2", "skipped=1", "skipped-not_ready=1"):
        assert f"data-{attribute}>" in ledger
    assert "class=bad data-unreadable=2>" in ledger


def test_text_from_outside_is_no_html(make_view, make_status, make_decision):
    """Marks, class names, details and folders are text, whatever is in them."""
    evil = "<script>alert('x')</script>"
    view = make_view(
        [make_decision(0, label=evil)], status=make_status(state="faulted", detail=evil)
    )
    progress = Progress(
        running=True, run_s=1.0, left_s=2.0, next_s=1.0, volumes=1, of=2, moment=None
    )
    pages = [
        panels.about(view, evil),
        panels.state(view, progress),
        panels.decision(view, (evil, "x")),
        html_tables.log([LogLine(3, "mark", evil)]),
        panels.slices(FolderView(trouble=evil)),
    ]
    assert all("<script" not in page for page in pages)
    assert all("alert" in page for page in pages)


def test_the_state_says_how_far_the_run_is(make_view):
    progress = Progress(
        running=True, run_s=1.0, left_s=2.0, next_s=1.0, volumes=15, of=60, moment=None
    )
    html = panels.state(make_view(), progress)
    assert "data-state=running" in html
    assert "width:25.0%" in html
    assert "volume 15 of 60" in text(html)


def test_what_is_not_known_is_said(make_view):
    progress = Progress(
        running=False,
        run_s=math.nan,
        left_s=math.inf,
        next_s=math.nan,
        volumes=0,
        of=0,
        moment=None,
    )
    view = make_view(status=None, trouble="no service answers")
    assert "no service answers" in panels.state(view, progress)
    dead = make_view(dead="KeyError: 'x'")
    assert "KeyError: &#x27;x&#x27;" in panels.state(dead, progress)
    assert "not known" in panels.worth(None, report=False)
    assert "session's folder" in panels.slices(None)
    assert panels.age(math.nan, 2.0, running=True) == ""
