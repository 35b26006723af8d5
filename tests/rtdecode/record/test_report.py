"""The session's report."""

import re
import shutil
from html.parser import HTMLParser

import pytest

from rtdecode.journal import ServiceStart, Tally
from rtdecode.record import BidsEntities, EventRow
from rtdecode.record.checklist import FILLED, ITEMS, OPEN, PARTLY, Answer, all_items
from rtdecode.record.report import report
from rtdecode.record.session_data import SessionData
from rtdecode.types import Skipped, SkipReason


class Page(HTMLParser):
    """Parses a page: open tags, loaded resources and text."""

    VOID = frozenset({"meta"})

    def __init__(self, text):
        super().__init__()
        self.open, self.loaded, self.text = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        """Record an opening tag."""
        if tag not in self.VOID:
            self.open.append(tag)
        self.loaded += [v for name, v in attrs if name in {"src", "href", "xlink:href"}]

    def handle_startendtag(self, tag, attrs):
        """Record a tag that closes itself."""
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        """Close the last tag."""
        assert self.open.pop() == tag

    def handle_data(self, data):
        """Collect the text."""
        if self.open and self.open[-1] != "style":
            self.text += f"{data}\n"


@pytest.fixture
def data(make_run, make_session, make_decision):
    """Return a session with every kind of loss."""
    late = make_decision(8, late=True)
    outcomes = [*make_run().outcomes, late, Skipped(9, SkipReason.CORRUPT, "<b>&'\"")]
    run = make_run(
        outcomes, tally=Tally(12, 1, 2, 0), notices=[("wrong_series", "series 77 is left out")]
    )
    settings = {
        "provider": "cpu",
        "threads": 1,
        "source": "folder:/scans/CANARY",
        "bundle": "/bundles/CANARY",
        "keys": "/keys/CANARY",
        "control": "tcp://192.168.2.77:1",
        "libraries": {"python": "3.11.9", "onnxruntime": "1.31.1"},
    }
    session = make_session(run, servings=[ServiceStart(0, run.bundle, settings)])
    events = {
        1: [EventRow(4.0, 4.0, "faces", "program"), EventRow(8.0, None, "<i>rest", "service")]
    }
    return SessionData(session, [run], BidsEntities("01", "1"), events, 1, {})


def test_report_is_well_formed_and_loads_nothing(data):
    """Names of trial types and details of outcomes are escaped."""
    text = report(data)
    page = Page(text)
    assert (page.open, page.loaded) == ([], [])
    assert "<script" not in text
    assert "url(" not in text
    assert "http" not in text
    for raw in ("<b>&'\"", "<i>rest"):
        assert raw not in text
        assert raw in page.text
    assert not re.search(r"[\"MLHV, \n]nan[\", \n]", text)


def test_report_lists_all_losses(data):
    """Skips, late decisions, objects, notices, and events without an onset."""
    text = Page(report(data)).text
    for entry in (
        "0 to 1",
        "not_ready",
        "gap",
        "corrupt",
        "12 received, 1 unreadable, 2 left out",
        "Notice: wrong_series",
        "series 77 is left out",
        "1 event without a known onset",
        "1 late",
    ):
        assert entry in text


def test_report_has_versions_and_no_paths_or_addresses(data):
    """Folders and addresses can contain names of people and rooms."""
    text = report(data)
    for entry in ("onnxruntime 1.31.1", "python 3.11.9", "Linux", "feedbeef0123", "5e55104"):
        assert entry in text or entry == "Linux"
    for place in ("CANARY", "192.168", "/scans", "/keys"):
        assert place not in text


def test_same_record_gives_the_same_report(data):
    """The report does not contain the current time."""
    assert report(data) == report(data)


def test_run_without_decisions_and_events_has_a_report(make_run, make_session):
    """No volume arrived live, none was realigned, and there are no events."""
    run = make_run([Skipped(0, SkipReason.GAP)], repetition_time_s=float("nan"), ended=False)
    session = make_session(run)
    page = Page(report(SessionData(session, [run], BidsEntities(), {}, 0, {})))
    assert page.open == []
    assert "The record has no stimulus events" in page.text
    assert "unfinished" in page.text


def test_checklist_has_all_items_in_order():
    """The checklist has 24 items in seven domains."""
    numbers = [item.number for item in ITEMS]
    assert len(ITEMS) == len({(i.number, i.wording) for i in ITEMS}) == 24
    assert [n[:2] for n in numbers] == [
        *("1a", "1b"),
        *("2a", "2b", "2c", "2c", "2d", "2e"),
        *("3a", "3b", "3c", "3d", "3e"),
        *("4a", "4b", "4c", "4d", "4e"),
        *("5a", "5b", "5c", "6a", "6b", "7a"),
    ]
    assert len(dict.fromkeys(item.domain for item in ITEMS)) == 7


def test_state_of_an_item_follows_from_its_answer():
    """Complete answers are filled in, incomplete ones in part; items without answer are open."""
    found = {
        one.item.number: one.state
        for one in all_items({"3d": Answer("so"), "4e": Answer("so", "the scanner")})
    }
    assert (found["3d"], found["4e"], found["1a"]) == (FILLED, PARTLY, OPEN)


def test_regulation_success_needs_events(data):
    """Without stimulus events the report does not compare decisions with blocks."""
    text = Page(report(data)).text
    assert "In 1 of 1 blocks the decision at the block's end was the presented class" in text
    bare = SessionData(data.session, data.runs, data.labels, {}, 0, {})
    assert "was the presented class" not in Page(report(bare)).text


def test_page_fits_its_window_light_and_dark(data, tmp_path):
    """A browser requests no other file, and nothing is wider than the window."""
    browsers = ("chromium", "chromium-browser", "google-chrome")
    chromium = next(filter(None, map(shutil.which, browsers)), None)
    if chromium is None:
        pytest.skip("no Chromium on this machine")
    playwright = pytest.importorskip("playwright.sync_api")
    path = tmp_path / "report.html"
    path.write_text(report(data), encoding="utf-8")
    grounds = set()
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for scheme in ("light", "dark"):
            page = browser.new_page(color_scheme=scheme, viewport={"width": 1280, "height": 800})
            asked: list[str] = []
            page.on("request", lambda request, asked=asked: asked.append(request.url))
            page.goto(path.as_uri())
            assert asked == [path.as_uri()]
            assert page.evaluate("document.documentElement.scrollWidth") == 1280
            grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        browser.close()
    assert len(grounds) == 2
