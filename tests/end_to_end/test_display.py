"""The participant's page in a real browser, with a running service."""

import json
import math
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

import pytest

from rtdecode.cli import main
from rtdecode.display import DISPLAYED, DisplayLine, read_displayed
from rtdecode.feedback import read_key
from rtdecode.journal import read_session

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="the display is ended by a signal that Windows does not have"
)
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
SMOOTHING_S = 300.0

# The stand-in's repetition time is 1.5 s, and here volumes come at once: each takes the run's time
# with it. Blocks are so long that a slow machine misses none.
SETTINGS = f"""
display = "thermometer"
of = {{ tongue = 1, rest = -1 }}
range = [-1, 1]
smoothing_s = {SMOOTHING_S}
max_age_s = 1000
blocks = [
  {{ onset_s = 0, duration_s = 300, trial_type = "baseline" }},
  {{ onset_s = 600, duration_s = 300, trial_type = "cue" }},
  {{ onset_s = 900, duration_s = 3000, trial_type = "regulate" }},
]
[trial_types]
baseline = "rest"
cue = {{ text = "Move your tongue" }}
regulate = "feedback"
"""
ALWAYS = f"""
display = "thermometer"
of = {{ tongue = 1, rest = -1 }}
range = [-1, 1]
smoothing_s = {SMOOTHING_S}
max_age_s = 1000
blocks = [ {{ onset_s = 0, duration_s = 90, trial_type = "regulate" }} ]
trial_types = {{ regulate = "feedback" }}
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Return a headless Chromium."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium: `chromium` or `google-chrome` on the PATH")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """Return an empty page."""
    page = browser.new_page()
    yield page
    page.close()


class Display:
    """`rtdecode display` in a separate process."""

    def __init__(self, *arguments: object) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "rtdecode", "display", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._lines: Queue[str] = Queue()
        self.lines: list[str] = []
        self._reader = Thread(target=self._read)
        self._reader.start()
        self.url = re.sub(r".* is ", "", self.next_line())

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.strip())

    def next_line(self) -> str:
        """Return the next line that the operator sees."""
        self.lines.append(self._lines.get(timeout=30))
        return self.lines[-1]

    def signal(self, number: int) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def end(self) -> list[str]:
        """End it as Ctrl-C does, and return all lines."""
        self.signal(signal.SIGINT)
        assert self._process.wait(30) == 0
        self._reader.join()
        self.lines += [self._lines.get() for _ in range(self._lines.qsize())]
        return self.lines

    def kill(self) -> None:
        """Kill the process if it still runs."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextmanager
def displaying(*arguments: object, port: int = 0) -> Iterator[Display]:
    """Run a display within a block."""
    display = Display(*arguments, "--port", port)
    try:
        yield display
    finally:
        display.kill()


def shows(page: Any, what: str, sequence: int | None = None) -> dict[str, str]:
    """Wait until the page shows something, and return its attributes."""
    wanted = f"document.body.dataset.show === '{what}'"
    if sequence is not None:
        wanted += f" && document.body.dataset.sequence === '{sequence}'"
    page.wait_for_function(wanted)
    return page.evaluate("({...document.body.dataset})")


def outcomes_of(session: Path) -> Sequence[Any]:
    """Return the outcomes of the only run in the journal."""
    return read_session(session).runs[0].outcomes


def levels_of(session: Path) -> dict[int, float]:
    """Return each decision's level by sequence number, computed from the journal."""
    run = read_session(session).runs[0]
    smooth, before_s, levels = None, 0.0, {}
    for sequence, outcome in enumerate(run.outcomes, start=run.first):
        if not hasattr(outcome, "fast"):
            continue
        value = outcome.fast[3] - outcome.fast[0]
        share = 1 - math.exp(-(outcome.acquired_s - before_s) / SMOOTHING_S)
        smooth = value if smooth is None else smooth + share * (value - smooth)
        before_s = outcome.acquired_s
        levels[sequence] = (smooth + 1) / 2
    return levels


@pytest.fixture
def protocol(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a settings file."""

    def write(text: str = SETTINGS) -> Path:
        path = tmp_path / "feedback.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def painted(session: Path) -> list[DisplayLine]:
    """Return the painted lines of a session's record."""
    return [line for line in read_displayed(session) if line.painted_unix_s is not None]


def test_the_page_follows_the_protocol_and_the_journal(
    start, export, scanner, settings, protocol, page
):
    """Rest, fixation, instruction and feedback in their blocks; every value is the journal's."""
    service, session = start(), settings.session
    with displaying("--session", session, "--protocol", protocol()) as display:
        page.goto(display.url)
        assert shows(page, "fixation")["sequence"] == "0"
        for index, what in ((0, "rest"), (210, "fixation"), (410, "text"), (610, "feedback")):
            export(f"{index}.dcm", scanner.mosaic(index))  # what lies between is missing
            shows(page, what)
            if what in {"rest", "text"}:
                words = {"rest": "Rest", "text": "Move your tongue"}
                assert page.inner_text("#words") == words[what]
        seen = {}
        for index in range(611, 619):
            export(f"{index}.dcm", scanner.mosaic(index))
            seen[index + 1] = float(shows(page, "feedback", index + 1)["level"])
        expected = levels_of(session)
        assert seen == pytest.approx({sequence: expected[sequence] for sequence in seen})
        # The drawn level reaches the value.
        height = 100 * abs(expected[619] - 0.5)
        page.wait_for_function(
            f"Math.abs(parseFloat(document.getElementById('fill').style.height) - {height}) < 0.01"
        )
        display.end()
    lines = painted(session)
    shown = [line.show for line in lines]
    assert [what for n, what in enumerate(shown) if what not in shown[:n]] == [
        *("fixation", "rest", "text", "feedback")
    ]
    recorded = {line.sequence: line.shown.level for line in lines if line.show == "feedback"}
    assert recorded.keys() >= seen.keys()
    assert {n: recorded[n] for n in seen} == pytest.approx(seen)
    assert all(line.painted_unix_s > line.sent_unix_s - 0.1 for line in lines)
    service.shut()
    events = read_session(session).stimulus_events
    assert [event.trial_type for event in events] == ["baseline", "cue", "regulate"]
    assert all(
        at_s <= event.onset_s < at_s + 300
        and event.onset_s + event.duration_s == pytest.approx(end_s)
        for event, (at_s, end_s) in zip(events, ((0, 300), (600, 900), (900, 3900)), strict=True)
    )


def test_without_outcomes_the_page_shows_fixation_and_recovers(
    start, export, scanner, settings, protocol, page
):
    """After a kill of the service the page shows fixation; only the operator gets a message."""
    service = start()
    where = {"outcomes": service.endpoints.outcomes, "control": service.endpoints.control}
    text = ALWAYS.replace("1000", "3")
    with displaying("--session", settings.session, "--protocol", protocol(text)) as display:
        page.goto(display.url)
        assert display.next_line() == "a page is open"
        export("0.dcm", scanner.mosaic(0))
        shows(page, "feedback", 1)
        service.shut()
        gone = shows(page, "fixation")
        assert (gone["level"], page.inner_text("body").strip()) == ("", "")
        assert "the participant sees fixation" in display.next_line()
        service = start(**where)
        export("1.dcm", scanner.mosaic(1))
        shows(page, "feedback", 2)
        assert "sees feedback" in display.next_line()
        display.end()
    service.shut()


def test_a_killed_display_leaves_no_old_value(start, export, scanner, settings, protocol, page):
    """The page detects it."""
    service = start()
    with displaying("--session", settings.session, "--protocol", protocol()) as display:
        page.goto(display.url)
        export("0.dcm", scanner.mosaic(0))
        shows(page, "rest")
        export("610.dcm", scanner.mosaic(610))
        shows(page, "feedback")
        display.kill()
        assert shows(page, "fixation")["level"] == ""
    service.shut()


@pytest.mark.parametrize("kind", ["text", "image"])
def test_words_and_pictures_are_those_of_the_decoded_class(
    start, export, scanner, settings, protocol, page, tmp_path, kind
):
    """The journal's likeliest class; a picture is drawn."""
    names = ("rest", "left hand", "right hand", "tongue")
    svg = '<svg xmlns="http://www.w3.org/2000/svg" width="60" height="60"><circle r="9"/></svg>'
    for name in names:
        (tmp_path / f"{name}.svg").write_text(svg)
    pictures = ", ".join(f'"{name}" = "{name}.svg"' for name in names)
    text = (
        ALWAYS.replace('"thermometer"', f'"{kind}"') + f"threshold = 0\nimages = {{{pictures}}}\n"
    )
    text += 'texts = { "left hand" = "LEFT" }\n'
    text = text.replace(f"smoothing_s = {SMOOTHING_S}", "")
    service = start()
    with displaying("--session", settings.session, "--protocol", protocol(text)) as display:
        page.goto(display.url)
        seen = {}
        for index in range(5):
            export(f"{index}.dcm", scanner.mosaic(index))
            shows(page, "feedback", index + 1)
            if kind == "text":
                seen[index] = page.inner_text("#words")
            else:
                picture = page.locator("#image img:visible")
                assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)")
                seen[index] = picture.get_attribute("data-label")
        display.end()
    service.shut()
    decided = [max(zip(o.fast, names, strict=True))[1] for o in outcomes_of(settings.session)]
    words = {"left hand": "LEFT"} if kind == "text" else {}
    assert list(seen.values()) == [words.get(name, name) for name in decided]


def test_the_page_reloads_after_changed_settings(start, settings, protocol, page):
    """A display is restarted with another picture; the open page shows it."""
    service = start()
    arguments = ("--session", settings.session, "--protocol", protocol(ALWAYS))
    with displaying(*arguments) as display:
        page.goto(display.url)
        shows(page, "fixation")
        display.end()
    protocol(ALWAYS.replace("thermometer", "disc"))
    port = int(display.url.rstrip("/").rpartition(":")[2])
    with displaying(*arguments, port=port) as display:
        page.wait_for_function("document.body.dataset.display === 'disc'")
        display.end()
    service.shut()


def test_a_display_that_hangs_leaves_no_old_value(start, export, scanner, settings, protocol, page):
    """The page removes a value that is too old, without a message from the display."""
    service = start()
    text = ALWAYS.replace("1000", "3")
    with displaying("--session", settings.session, "--protocol", protocol(text)) as display:
        page.goto(display.url)
        export("0.dcm", scanner.mosaic(0))
        shows(page, "feedback", 1)
        display.signal(signal.SIGSTOP)
        shows(page, "fixation")
        display.signal(signal.SIGCONT)
        display.end()
    service.shut()


@pytest.fixture
def begin(start, tmp_path):
    """Return a function that serves another session, and returns a function to scan volumes."""

    def serve(name: str, scanner: Any) -> tuple[Any, Path, Callable[[int], None]]:
        source, session = tmp_path / f"{name} export", tmp_path / name
        source.mkdir()

        def scan(index: int) -> None:
            part = source / f".{index}.part"
            part.write_bytes(scanner.mosaic(index))
            part.replace(source / f"{index}.dcm")

        return start(session=session, source=f"folder:{source}"), session, scan

    return serve


def test_the_operator_cannot_distinguish_real_from_sham(
    begin, make_scanner, protocol, page, tmp_path, capfd
):
    """Everything except the participant's page is equal byte by byte; the key decrypts it."""
    service, recorded, scan = begin("recorded", make_scanner(seed=8))
    for index in range(60):
        scan(index)
    with service.outcomes() as outcomes:
        assert [next(outcomes).index for _ in range(60)][-1] == 59
    service.shut()
    table, key = tmp_path / "table.tsv", tmp_path / "table.key.json"
    draw = ["display", "randomise", "--participants", "8", "--seed", "1", "--out"]
    assert main([*draw, str(table)]) == 0
    rows = [line.split("\t") for line in table.read_text().splitlines()[1:]]
    codes = {read_key(key).arms[arm]: code for code, arm in rows}
    assert codes.keys() == {"real", "yoked"}
    text = ALWAYS + '[sham]\ntable = "table.tsv"\nkey = "table.key.json"\n'
    printed, levels, sizes, public = {}, {}, {}, {}
    for arm, code in codes.items():
        service, session, scan = begin(code, make_scanner(seed=7))
        options = ("--protocol", protocol(text), "--code", code, "--recorded", recorded)
        with displaying("--session", session, *options) as display:
            page.goto(display.url)
            for index in range(3):
                scan(index)
                levels[arm] = shows(page, "feedback", index + 1)["level"]
            page.goto("about:blank")
            printed[arm] = [re.sub(r":\d+/", "", line) for line in display.end()]
        service.shut()
        lines = list(read_displayed(session))
        assert {line.shown for line in lines} == {None}
        sizes[arm] = {len(line.sealed) for line in lines}
        public[arm] = {(line.sequence, line.show, line.trial_type, line.stale) for line in lines}
        assert [event.trial_type for event in read_session(session).stimulus_events] == ["regulate"]
        content = (session / DISPLAYED).read_text()
        assert not any(word in content for word in ("real", "yoked", "level", "label"))
        shown = tmp_path / f"{code}.jsonl"
        unblind = ["display", "unblind", "--session", str(session), "--key", str(key)]
        assert main([*unblind, "--out", str(shown)]) == 0
        assert f"feedback was {arm};" in capfd.readouterr().out
        seen = [json.loads(line) for line in shown.read_text().splitlines()]
        assert str(seen[-1]["shown"]["level"]) == levels[arm]
    assert printed["real"] == printed["yoked"]
    assert sizes["real"] == sizes["yoked"]
    assert public["real"] == public["yoked"]
    assert levels["real"] != levels["yoked"]
