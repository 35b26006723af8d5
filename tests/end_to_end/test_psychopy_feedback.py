"""The example of a stimulus program, run without PsychoPy."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from rtdecode.display import read_displayed
from rtdecode.journal import read_session

EXAMPLE = Path(__file__).resolve().parents[2] / "tools" / "examples" / "psychopy_feedback.py"
SETTINGS = """
display = "thermometer"
of = "tongue"
max_age_s = 1000
blocks = [
  { onset_s = 0, duration_s = 300, trial_type = "baseline" },
  { onset_s = 300, duration_s = 3000, trial_type = "regulate" },
]
trial_types = { baseline = "rest", regulate = "feedback" }
"""


def test_it_shows_and_records_the_values_of_the_journal(start, export, scanner, settings, tmp_path):
    """It shows rest, then the level of each decision, and ends with the run."""
    path = tmp_path / "feedback.toml"
    path.write_text(SETTINGS, encoding="utf-8")
    service = start()
    command = [sys.executable, EXAMPLE, "--session", settings.session, "--settings", path]
    with subprocess.Popen(
        [*command, "--terminal"], stdout=subprocess.PIPE, encoding="utf-8"
    ) as program:
        assert program.stdout is not None
        printed = iter(program.stdout)
        assert "waiting" in next(printed)
        export("0.dcm", scanner.mosaic(0))
        assert re.search(r"s +0  rest  Rest", next(printed))
        levels = {}
        for index in range(210, 216):
            export(f"{index}.dcm", scanner.mosaic(index))
            match = re.search(r"s +(\d+)  feedback  ([\d.]+)", next(printed))
            assert match is not None
            levels[int(match[1])] = float(match[2])
        with service.control() as control:
            control.end()
        assert program.wait(30) == 0
    service.finish()
    session = read_session(settings.session)
    assert [event.trial_type for event in session.stimulus_events] == ["baseline", "regulate"]
    run = session.runs[0]
    fast = {n: o.fast[3] for n, o in enumerate(run.outcomes, run.first) if hasattr(o, "fast")}
    assert levels == pytest.approx({n: fast[n] for n in range(211, 217)}, abs=1e-4)
    lines = list(read_displayed(settings.session))
    recorded = {line.sequence: line.shown.level for line in lines if line.show == "feedback"}
    assert recorded == pytest.approx({n: fast[n] for n in levels})
    assert all(line.painted_unix_s is not None for line in lines)
