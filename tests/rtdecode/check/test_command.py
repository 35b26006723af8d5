"""The command itself."""

import json
import subprocess
import sys

from rtdecode.cli import main


def arguments(plan, *more: str) -> list[str]:
    """Return the command line of a plan."""
    settings = plan.settings
    return [
        "check",
        *("--bundle", str(plan.bundle)),
        *("--source", settings.source),
        *("--session", str(settings.session)),
        *("--outcomes", settings.outcomes),
        *("--control", settings.control),
        *("--provider", "cpu"),
        *more,
    ]


def test_ready_ends_with_0_and_the_table(plan, capsys, names, tmp_path):
    """A row for each check, and the verdict last."""
    before = names(tmp_path)
    assert main(arguments(plan)) == 0
    out, err = capsys.readouterr()
    assert "bundle" in out
    assert "●  ready" in out.splitlines()[-1]
    assert "Traceback" not in err
    assert names(tmp_path) == before


def test_red_ends_with_1_and_json_says_which(plan, capsys, tmp_path):
    """For scripts: nothing but JSON on standard output."""
    (tmp_path / "export").rmdir()
    assert main(arguments(plan, "--json")) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["ready"] is False
    rows = {row["name"]: row for row in found["findings"]}
    assert rows["source"]["verdict"] == "red"
    assert rows["speed"]["figures"]["p95_ms"] > 0


def test_as_a_process_it_waits_for_the_stimulus_program(plan):
    """The operator is told to start it; nobody does, and that is red."""
    line = [sys.executable, "-m", "rtdecode", *arguments(plan, "--stimulus", "--wait-s", "0.5")]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "start your stimulus program now; waiting 0.5 s" in done.stderr
    assert "no program connected within 0.5 s" in done.stdout
