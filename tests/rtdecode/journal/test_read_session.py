"""The readers of a session's folder."""

import math
from pathlib import Path

import pytest

from rtdecode.errors import ConfigError
from rtdecode.journal import Journal, RunRow, ServiceStart, StimulusEvent, read_record


def test_read_record_has_runs_starts_events_and_counts(tmp_path: Path):
    """While the journal is open, and after it is closed."""
    start = ServiceStart(0, "b", {"late": "skip"})
    event = StimulusEvent(1, 0, 7, "faces", None, None, 1)
    with Journal(tmp_path) as journal:
        journal.add_service_start(start)
        journal.begin_run(1, "b", ("faces", "places"), 1.5)
        journal.begin_run(2, "c", ("x", "y"), math.nan)
        journal.end_run(1)
        journal.add_event(event)
        journal.add_mark(1, 0, "remark")
        for record, run in ((0, 1), (1, 1), (2, 2)):
            journal.add_notice(record, run, "unreadable", "text")
        during = read_record(tmp_path)
    after = read_record(tmp_path)
    for rows in (during, after):
        assert rows.runs[1] == RunRow(1, "b", ("faces", "places"), 1.5, ended=True)
        assert math.isnan(rows.runs[2].repetition_time_s)
        assert not rows.runs[2].ended
        assert (rows.servings, rows.stimulus_events) == ([start], [event])
        assert (rows.marks, rows.notices) == (1, 3)


def test_read_record_refuses_a_folder_without_a_record(tmp_path: Path):
    """The error says which folder to give."""
    with pytest.raises(ConfigError, match="cannot be read as a session"):
        read_record(tmp_path)
