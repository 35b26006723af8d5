"""The report of one page."""

import re
import shutil
from html.parser import HTMLParser

import pytest

from rtdecode.journal import ServiceStart, Tally
from rtdecode.record import BidsEntities, EventRow
from rtdecode.record.checklist import FILLED, ITEMS, OPEN, PARTLY, Answer, answered
from rtdecode.record.report import report
from rtdecode.record.session_data import Told
from rtdecode.types import Skipped, SkipReason


class Page(HTMLParser):
    """Reads a page: open tags, what is loaded, text, and the checklist's rows."""

    VOID = frozenset({"meta"})

    def __init__(self, text):
        super().__init__()
        self.open, self.loaded, self.text = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        """Note a tag."""
        if tag not in self.VOID:
            self.open.append(tag)
        self.loaded += [v for name, v in attrs if name in {"src", "href", "xlink:href"}]

    def handle_startendtag(self, tag, attrs):
        """Note one without an end."""
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        """Close the last one."""
        assert self.open.pop() == tag

    def handle_data(self, data):
        """Gather text."""
        if self.open and self.open[-1] != "style":
            self.text += f"{data}\n"


@pytest.fixture
def told(make_run, make_session, make_decision):
    """Return a session with all that can go wrong."""
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
    return Told(session, [run], BidsEntities("01", "1"), events, 1, {})


def test_it_is_one_well_formed_file_that_loads_nothing(told):
    """Whatever experimenters and decoders call things."""
    text = report(told)
    page = Page(text)
    assert (page.open, page.loaded) == ([], [])
    assert "<script" not in text
    assert "url(" not in text
    assert "http" not in text
    for raw in ("<b>&'\"", "<i>rest"):
        assert raw not in text
        assert raw in page.text
    assert not re.search(r"[\"MLHV, \n]nan[\", \n]", text)


def test_it_tells_all_that_was_lost(told):
    """Every skip, late decisions, objects, notices, events without an onset."""
    text = Page(report(told)).text
    for said in (
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
        assert said in text


def test_it_tells_versions_and_no_places(told):
    """Libraries and settings, but folders and addresses are named after people and rooms."""
    text = report(told)
    for said in ("onnxruntime 1.31.1", "python 3.11.9", "Linux", "feedbeef0123", "5e55104"):
        assert said in text or said == "Linux"
    for place in ("CANARY", "192.168", "/scans", "/keys"):
        assert place not in text


def test_it_is_the_same_for_the_same_record(told):
    """No clock is in it."""
    assert report(told) == report(told)


def test_a_run_without_anything_to_draw_has_a_report(make_run, make_session):
    """Nothing came live, nothing was realigned, nothing was presented."""
    run = make_run([Skipped(0, SkipReason.GAP)], repetition_time_s=float("nan"), ended=False)
    session = make_session(run)
    page = Page(report(Told(session, [run], BidsEntities(), {}, 0, {})))
    assert page.open == []
    assert "What was presented is not on record" in page.text
    assert "unfinished" in page.text


def test_all_items_of_the_checklist_are_there_in_order():
    """24 of them, in seven domains."""
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


def test_items_without_an_answer_are_the_experimenters():
    """And half an answer says what is missing."""
    found = {
        one.item.number: one.state
        for one in answered({"3d": Answer("so"), "4e": Answer("so", "the scanner")})
    }
    assert (found["3d"], found["4e"], found["1a"]) == (FILLED, PARTLY, OPEN)


def test_what_software_knows_is_filled_in(told):
    """Regulation success and artefacts only where it is known what was presented."""
    text = Page(report(told)).text
    assert "1 of 1 blocks were decided for the presented class" in text
    bare = Told(told.session, told.runs, told.labels, {}, 0, {})
    assert "were decided for the presented class" not in Page(report(bare)).text


def test_it_fits_its_window_light_and_dark(told, tmp_path):
    """Opened as a browser opens it: nothing is asked for, nothing is wider than the window."""
    browsers = ("chromium", "chromium-browser", "google-chrome")
    chromium = next(filter(None, map(shutil.which, browsers)), None)
    if chromium is None:
        pytest.skip("no Chromium on this machine")
    playwright = pytest.importorskip("playwright.sync_api")
    path = tmp_path / "report.html"
    path.write_text(report(told), encoding="utf-8")
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
