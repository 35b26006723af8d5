"""The check during a running service, and before a service starts."""

import re
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import pytest
import zmq

from rtdecode.check import CheckResult, Finding, SessionPlan, run_all_checks
from rtdecode.client import Outcomes
from rtdecode.keys import allow, new_client, new_service
from rtdecode.wire import Done, EchoRequest, Reply, decode, encode


@pytest.fixture
def rows(settings, tmp_path):
    """Return a function that runs all checks without a bundle and returns the rows by name."""

    def run(announce=lambda _: None, **changes) -> dict[str, Finding]:
        stimulus_s = changes.pop("stimulus_s", None)
        plan = SessionPlan(replace(settings, **changes), tmp_path / "none", "cpu", 10.0, stimulus_s)
        return {finding.name: finding for finding in run_all_checks(plan, lambda _: None, announce)}

    return run


def test_ports_and_session_of_a_running_service_are_red(start, rows):
    """A forgotten service is reported and continues undisturbed."""
    service = start()
    endpoints = service.endpoints
    found = rows(outcomes=endpoints.outcomes, control=endpoints.control, stimulus_s=0.5)
    for name in ("ports", "stimulus link"):
        assert found[name].verdict is CheckResult.RED
        assert endpoints.outcomes in found[name].found
        assert "another service may be running: stop it" in found[name].remedy
    assert found["session folder"].verdict is CheckResult.RED
    assert "in use by another service" in found["session folder"].found
    with service.control() as control:
        assert control.status().state == "ready"
    assert service.shut().exit_code == 0


def test_the_service_starts_after_the_check(start, rows, scanner, export, settings):
    """The check releases its ports, and the service serves the tested client."""
    tested: list[str] = []
    found = rows(tested.append, stimulus_s=0.1)
    assert found["ports"].verdict is CheckResult.GREEN
    assert found["session folder"].verdict is CheckResult.GREEN
    assert tested
    assert not settings.session.exists()
    service = start(volumes=1)
    with service.outcomes() as outcomes:
        export("0.dcm", scanner.mosaic(0))
        assert [numbered.index for numbered in outcomes] == [0]
    assert service.finish().decisions == 1


def test_a_program_that_was_tested_is_served_without_a_restart(start, rows, scanner, export):
    """The program starts for the check, waits, and gets only the run's outcomes."""
    endpoints: list[str] = []

    def follow() -> list[int]:
        with Outcomes(*endpoints, timeout_s=60.0) as outcomes:
            return [numbered.index for numbered in outcomes]

    with ThreadPoolExecutor(1) as pool:
        running: list[Future[list[int]]] = []

        def announce(text: str) -> None:
            endpoints.extend(re.findall(r"tcp://[\d.]+:\d+", text))
            running.append(pool.submit(follow))

        found = rows(announce, stimulus_s=20.0)
        assert found["stimulus link"].verdict is CheckResult.GREEN
        service = start(volumes=2, outcomes=endpoints[0], control=endpoints[1])
        for index in range(2):
            export(f"{index}.dcm", scanner.mosaic(index))
        assert running[0].result(timeout=60) == [0, 1]
    assert service.finish().decisions == 2


def test_a_late_echo_is_answered_without_a_refusal(start):
    """After the check the service has its ports; the client must not get a refusal."""
    service = start()
    with zmq.Context() as context, context.socket(zmq.REQ) as late:
        late.setsockopt(zmq.LINGER, 0)
        late.connect(service.endpoints.control)
        late.send(encode(EchoRequest(nonce="9c1f")))
        assert late.poll(20_000)
        assert decode(late.recv(), Reply) == Done(detail="no test is under way")
    assert service.shut().exit_code == 0


def test_an_unfinished_run_is_reported(start, rows, scanner, export):
    """If the service stopped during a run, the check says that the run continues."""
    service = start()
    with service.outcomes() as outcomes:
        export("0.dcm", scanner.mosaic(0))
        next(outcomes)
    service.shut()
    found = rows()["session folder"]
    assert found.verdict is CheckResult.YELLOW
    assert "unfinished run 1 with 1 outcome: the service continues it" in found.found


def test_other_addresses_need_keys(rows, tmp_path):
    """Without keys another address is red; with keys the check lists the clients."""
    address = "tcp://0.0.0.0:*"
    found = rows(outcomes=address, control=address)["ports"]
    assert found.verdict is CheckResult.RED
    assert "CURVE keys" in found.found
    folder = new_service(tmp_path / "keys").parent
    assert "allow one" in rows(keys=folder)["keys"].remedy
    allow(folder, new_client(tmp_path / "client", "stimulus-pc"))
    found = rows(outcomes=address, control=address, keys=folder)
    assert found["keys"].verdict is found["ports"].verdict is CheckResult.GREEN
    assert found["keys"].found.endswith("allowed to connect: stimulus-pc")
