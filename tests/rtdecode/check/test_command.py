"""The command `rtdecode check`."""

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


def test_a_ready_session_gives_exit_code_0_and_the_table(plan, capsys, names, tmp_path):
    """The table has a row for each check and ends with the verdict."""
    before = names(tmp_path)
    assert main(arguments(plan)) == 0
    out, err = capsys.readouterr()
    assert "bundle" in out
    assert "●  ready" in out.splitlines()[-1]
    assert "Traceback" not in err
    assert names(tmp_path) == before


def test_a_red_check_gives_exit_code_1_and_json_names_it(plan, capsys, tmp_path):
    """Standard output is only JSON, for scripts."""
    (tmp_path / "export").rmdir()
    assert main(arguments(plan, "--json")) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["ready"] is False
    rows = {row["name"]: row for row in found["findings"]}
    assert rows["source"]["verdict"] == "red"
    assert rows["speed"]["figures"]["p95_ms"] > 0


def test_the_command_waits_for_the_stimulus_program(plan):
    """It asks the operator to start the program, and no program is a red row."""
    line = [sys.executable, "-m", "rtdecode", *arguments(plan, "--stimulus", "--wait-s", "0.5")]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "start your stimulus program now; waiting 0.5 s" in done.stderr
    assert "no program connected within 0.5 s" in done.stdout
