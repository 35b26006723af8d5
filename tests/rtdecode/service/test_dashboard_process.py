"""The dashboard process of a service."""

from rtdecode.cli import main
from rtdecode.service.dashboard_process import DashboardProcess


def test_it_ends_with_the_service(tmp_path):
    """The dashboard would not end by itself."""
    arguments = ["dashboard", "--session", str(tmp_path), "--port", "0", "--no-open"]
    with DashboardProcess(arguments) as companion:
        companion.start()
        process = companion._process
        assert process is not None
        assert process.poll() is None
    assert process.returncode is not None


def test_its_failure_touches_nothing(tmp_path):
    """A dashboard that refuses to start is no reason to stop decoding."""
    with DashboardProcess(["dashboard", "--session", str(tmp_path / "none")]) as companion:
        companion.start()
        process = companion._process
        assert process is not None
        assert process.wait(60) == 2


def test_what_was_not_started_is_not_ended():
    with DashboardProcess(["dashboard"]) as companion:
        pass
    assert companion._process is None


def test_a_guarded_service_asks_for_a_dashboard_of_its_own(tmp_path, capsys):
    """The service's keys are not those of a client."""
    arguments = ["serve", "--bundle", "x", "--source", "zmq:", "--keys", str(tmp_path)]
    assert main([*arguments, "--dashboard"]) == 2
    assert "rtdecode dashboard --session" in capsys.readouterr().err
