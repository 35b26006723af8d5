"""The dashboard in a real browser, with a running service."""

import json
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

import psutil
import pytest

from rtdecode.client.follower import ServiceAddress
from rtdecode.dashboard.service_connection import ServiceConnection
from rtdecode.journal import read_remarks, read_session
from rtdecode.types import Decision

CHROMIUM = next(
    (found for name in ("chromium", "google-chrome") if (found := shutil.which(name))), None
)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
STALE_WITHIN_S = 2.0


@pytest.fixture(scope="module")
def browser():
    """Return a headless browser."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    """Return an empty page that fails the test after an error of the browser."""
    context = browser.new_context(viewport={"width": 1920, "height": 1080})
    page = context.new_page()
    page.set_default_timeout(30_000)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    yield page
    context.close()
    assert not problems


@pytest.fixture
def dashboard(settings) -> Iterator[Callable[..., str]]:
    """Return a function that starts the dashboard of the session and returns its address."""
    started: list[subprocess.Popen[str]] = []

    def begin(*more: object) -> str:
        command = [sys.executable, "-m", "rtdecode", "dashboard", "--port", "0", "--no-open"]
        command += ["--session", str(settings.session), *map(str, more)]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        started.append(process)
        for line in process.stderr:
            if line.startswith("dashboard "):
                return line.split()[1]
        raise AssertionError("the dashboard ended before it was ready")

    yield begin
    for process in started:
        process.terminate()
        process.communicate(timeout=30)


@pytest.fixture
def killable(stand_in_script, settings, tmp_path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Return a function that serves the session in a separate process."""
    started: list[subprocess.Popen[str]] = []

    def begin() -> subprocess.Popen[str]:
        command = [sys.executable, str(stand_in_script), str(settings.session)]
        command += [f"folder:{tmp_path / 'export'}", "0"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        json.loads(process.stdout.readline())
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def attribute(page, name: str) -> str:
    """Return the value of a data- attribute."""
    return page.locator(f"[data-{name}]").first.get_attribute(f"data-{name}")


@needs_browser
def test_the_page_shows_what_the_journal_holds(
    start, export, scanner, dashboard, page, settings, tmp_path
):
    """Decision, motion, counts and skipped volumes, to the last digit."""
    events = tmp_path / "events.tsv"
    events.write_text("onset\tduration\ttrial_type\n0\t6\ttongue\n", encoding="utf-8")
    service = start()
    page.goto(dashboard("--events", events))
    page.wait_for_selector("[data-state=ready]")
    for index in (0, 1, 2, 4, 5):
        export(f"{index}.dcm", scanner.mosaic(index))
    page.wait_for_selector("[data-index='5'][data-decided='5']")
    # Counts arrive with the status, shortly after the outcomes.
    page.wait_for_selector("dd[data-objects='5']")
    page.wait_for_selector("[data-decisions='5']")
    page.wait_for_selector(".slices img[data-index='5']")

    recorded = read_session(settings.session).runs[-1].outcomes
    last = recorded[-1]
    assert isinstance(last, Decision)
    assert attribute(page, "label") == last.label
    shown = page.locator("[data-probability]").evaluate_all(
        "all => all.map(e => [e.dataset.class, Number(e.dataset.probability)])"
    )
    assert dict(shown) == dict(zip(service_classes(service), last.probabilities, strict=True))
    assert float(attribute(page, "fd")) == last.quality.framewise_displacement
    assert float(attribute(page, "tsnr")) == last.quality.temporal_snr
    decisions = sum(isinstance(outcome, Decision) for outcome in recorded)
    assert int(attribute(page, "decisions")) == decisions == 5
    assert int(attribute(page, "skipped-gap")) == 1
    assert int(attribute(page, "volumes")) == 6
    assert float(page.locator("[data-stage=total] [data-p50]").get_attribute("data-p50")) > 0
    page.wait_for_function("document.querySelector('.slices img').naturalHeight > 20")
    assert "gap" in page.locator(".log-skipped").inner_text()
    service.shut()


def service_classes(service) -> tuple[str, ...]:
    """Return the classes that a service decodes."""
    with service.control() as control:
        return control.status().classes


@needs_browser
def test_the_page_loads_nothing_from_other_servers(start, dashboard, page):
    """A scanner room has no internet."""
    service = start()
    address = dashboard()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.wait_for_selector("[data-state=ready]")
    local = ("data:", "blob:", address, address.replace("http", "ws", 1))
    assert [url for url in asked if not url.startswith(local)] == []
    service.shut()


@needs_browser
def test_a_killed_service_is_stale_within_two_seconds_and_recovers(
    killable, export, scanner, dashboard, page
):
    """The service restarts on other ports, and the run continues."""
    service = killable()
    page.goto(dashboard())
    export("0.dcm", scanner.mosaic(0))
    page.wait_for_selector("[data-decided='0']")
    page.evaluate(
        """() => new MutationObserver(() => {
            if (document.body.classList.contains('stale')) window.staleAt ??= performance.now();
        }).observe(document.body, {attributes: true})"""
    )
    assert page.evaluate("window.staleAt === undefined")
    killed_ms = page.evaluate("performance.now()")
    service.kill()
    page.wait_for_function("window.staleAt !== undefined")
    assert (page.evaluate("window.staleAt") - killed_ms) / 1e3 < STALE_WITHIN_S
    assert "STALE: nothing from the service" in page.locator("#stale").inner_text()
    assert page.locator("#stale").is_visible()

    killable()
    page.wait_for_function("!document.body.classList.contains('stale')")
    export("1.dcm", scanner.mosaic(1))
    page.wait_for_selector("[data-decided='1']")
    assert not page.locator("#stale").is_visible()


@needs_browser
@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot halt a process")
def test_a_hung_dashboard_is_stale_too(start, settings, page):
    """The browser detects it."""
    service = start()
    command = [sys.executable, "-m", "rtdecode", "dashboard", "--port", "0", "--no-open"]
    command += ["--session", str(settings.session)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        page.goto(process.stderr.readline().split()[1])
        page.wait_for_selector("[data-state=ready]")
        process.send_signal(signal.SIGSTOP)
        page.wait_for_selector("#stale:not([hidden])")
        assert "nothing from the dashboard" in page.locator("#stale").inner_text()
        process.send_signal(signal.SIGCONT)
        page.wait_for_selector("#stale", state="hidden")
        process.terminate()
    service.shut()


@needs_browser
def test_keys_control_the_run(start, export, scanner, dashboard, page, settings):
    """Mark, pause, resume and end; the end asks first."""
    service = start()
    page.goto(dashboard())
    export("0.dcm", scanner.mosaic(0))
    page.wait_for_selector("[data-decided='0']")
    page.keyboard.press("m")
    page.locator(".dialog input:focus").wait_for()
    page.keyboard.type("pause, end: said in words")  # letters are no commands here
    page.keyboard.press("Enter")
    page.locator(".log-mark", has_text="said in words").wait_for()
    page.locator(".dialog input").wait_for(state="hidden")
    page.keyboard.press("p")
    page.wait_for_selector("[data-state=paused]")
    page.keyboard.press("p")
    page.wait_for_selector("[data-state=ready]")
    page.keyboard.press("e")
    page.locator("#end-it").wait_for()
    page.keyboard.press("Escape")
    page.locator("#end-it").wait_for(state="hidden")
    page.keyboard.press("Shift+?")
    page.locator(".dialog", has_text="Keys").wait_for()
    page.keyboard.press("Escape")
    page.locator(".dialog", has_text="Keys").wait_for(state="hidden")
    with service.control() as control:
        assert control.status().state == "ready"
    page.keyboard.press("e")
    page.locator("#end-it").wait_for()
    page.locator("#end-it").press("Enter")
    page.wait_for_selector("[data-state=ended]")
    service.shut()
    marks = read_remarks(settings.session).marks
    assert [mark[-1] for mark in marks] == ["pause, end: said in words"]


@needs_browser
def test_a_token_is_required_and_remembered(start, dashboard, page, browser, tmp_path):
    """With the token the page works; without it requests are refused."""
    service = start()
    token = tmp_path / "token"
    token.write_text("a-token-of-enough-letters", encoding="utf-8")
    address = dashboard("--token-file", token)
    bare, _, query = address.partition("?")
    assert query == "token=a-token-of-enough-letters"
    for path in ("", "slices.png", "report", "_nicegui_ws/socket.io/?EIO=4&transport=polling"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(bare + path, timeout=20)  # noqa: S310 - our own
        assert refused.value.code == 403
        refused.value.close()
    page.goto(address)
    page.wait_for_selector("[data-state=ready]")
    assert page.url == bare
    page.reload()
    page.wait_for_selector("[data-state=ready]")
    stranger = browser.new_context()
    assert stranger.new_page().goto(bare).status == 403
    stranger.close()
    service.shut()


@needs_browser
@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot halt a process")
def test_a_hung_browser_delays_nothing(start, export, scanner, dashboard, page):
    """While its processes are stopped, volumes are decided; later it catches up."""
    service = start()
    page.goto(dashboard())
    export("0.dcm", scanner.mosaic(0))
    page.wait_for_selector("[data-decided='0']")
    hung = [
        process
        for process in psutil.Process().children(recursive=True)
        if "chrom" in process.name()
    ]
    assert hung
    for process in hung:
        process.suspend()
    try:
        with service.outcomes() as outcomes:
            assert next(outcomes).index == 0
            for index in range(1, 30):
                export(f"{index}.dcm", scanner.mosaic(index))
                assert next(outcomes).index == index
    finally:
        for process in hung:
            process.resume()
    page.wait_for_selector("[data-decided='29']")
    service.shut()


def test_the_connection_follows_without_a_browser(start, export, scanner, settings, until):
    """Outcomes, status and answers to commands, from one thread."""
    service = start()
    with ServiceConnection(ServiceAddress(settings.session, "", "")) as connection:
        for index in range(3):
            export(f"{index}.dcm", scanner.mosaic(index))
        until(lambda: len(connection.view.outcomes) == 3)
        until(lambda: connection.view.status is not None and connection.view.status.objects == 3)
        connection.command("mark", "seen")
        connection.command("resume")  # it is not paused
        until(lambda: len(connection.view.notes) == 2)
        service.shut()  # its last word comes, though nobody answers any more
        until(lambda: connection.view.status.state == "stopped")
    assert [note.kind for note in connection.view.notes] == ["done", "refused"]
    assert [outcome.index for outcome in connection.view.outcomes] == [0, 1, 2]
    assert not connection.view.dead


def test_without_a_service_the_connection_names_the_missing_file(tmp_path, until):
    """A session that was never served has no endpoints yet."""
    with ServiceConnection(ServiceAddress(tmp_path, "", "")) as connection:
        until(lambda: connection.view.trouble)
        connection.command("start")
        until(lambda: connection.view.notes)
    assert "endpoints.json" in connection.view.trouble
    assert connection.view.notes[0].kind == "refused"


def test_a_command_to_an_absent_service_is_not_executed_later(start, settings, until):
    """A command that got no answer must not end the run minutes later."""
    service = start()
    with ServiceConnection(ServiceAddress(settings.session, "", "")) as connection:
        until(lambda: connection.view.status is not None)
        service.shut()
        connection.command("end")
        until(lambda: connection.view.notes)
        assert connection.view.notes[-1].kind == "refused"
        endpoints = service.endpoints
        again = start(outcomes=endpoints.outcomes, control=endpoints.control)
        until(lambda: connection.view.status.state == "ready")
        connection.command("mark", "after it")
        until(lambda: connection.view.notes[-1].kind == "done")
        with again.control() as control:
            assert control.status().state == "ready"
    again.shut()


def test_an_unexpected_error_of_the_connection_is_shown(tmp_path, caplog, until):
    """An unexpected error is shown."""
    (tmp_path / "endpoints.json").write_text("[]", encoding="utf-8")
    with ServiceConnection(ServiceAddress(tmp_path, "", "")) as connection:
        until(lambda: connection.view.dead)
    assert "AttributeError" in connection.view.dead
    assert "Traceback" in caplog.text


def test_a_used_port_is_refused(start, dashboard, settings):
    """A second dashboard reports the used port and the remedy."""
    service = start()
    port = dashboard().rpartition(":")[2].strip("/")
    command = [sys.executable, "-m", "rtdecode", "dashboard", "--port", port, "--no-open"]
    done = subprocess.run(
        [*command, "--session", str(settings.session)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "another dashboard may be open" in done.stderr
    service.shut()
