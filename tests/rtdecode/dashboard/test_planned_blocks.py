"""The task's blocks and where a run is in them."""

import math

import pytest

from rtdecode.dashboard.planned_blocks import Moment, moment, presented_blocks, read_blocks
from rtdecode.errors import ConfigError
from rtdecode.events import Block
from rtdecode.journal import StimulusEvent

BLOCKS = (Block("faces", 10.0, 20.0), Block("places", 20.0, 30.0), Block("faces", 45.0, 55.0))


@pytest.mark.parametrize(
    ("run_s", "expected"),
    [
        (0.0, Moment("rest", 10.0, "faces")),
        (12.5, Moment("faces", 7.5, "places")),  # the next block follows at once
        (20.0, Moment("places", 10.0, "rest")),
        (40.0, Moment("rest", 5.0, "faces")),
        (50.0, Moment("faces", 5.0, "rest")),
        (56.0, Moment("rest", 4.0, "")),  # to the run's end
    ],
)
def test_a_moment_says_what_is_on_and_what_follows(run_s, expected):
    assert moment(BLOCKS, run_s, 60.0) == expected


def test_after_the_last_block_of_a_run_of_unknown_length_nothing_is_counted_down():
    assert moment(BLOCKS, 70.0, math.inf).left_s == math.inf


def test_an_events_file_is_read_in_the_order_of_onsets(tmp_path):
    path = tmp_path / "events.tsv"
    path.write_text(
        "onset\tduration\ttrial_type\tresponse\n30\t12\tplaces\t1\n4.5\t12\tfaces\tn/a\n",
        encoding="utf-8",
    )
    assert read_blocks(path) == (Block("faces", 4.5, 16.5), Block("places", 30.0, 42.0))


def test_every_wrong_row_is_named(tmp_path):
    path = tmp_path / "events.tsv"
    path.write_text("onset\tduration\ttrial_type\n1\t2\tfaces\nn/a\t2\tfaces\n3\n", "utf-8")
    with pytest.raises(ConfigError) as refused:
        read_blocks(path)
    assert [problem.split(":")[0] for problem in refused.value.problems] == [
        f"{path}, row 3",
        f"{path}, row 4",
    ]


@pytest.mark.parametrize("content", [None, "", "onset\tduration\ttrial_type\n"])
def test_a_file_without_events_is_refused(tmp_path, content):
    path = tmp_path / "events.tsv"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError):
        read_blocks(path)


def test_what_programs_tell_becomes_blocks_of_its_run():
    """Those with a known time; what is told before the first run's first volume is of it."""

    def told(run, trial_type, onset_s, duration_s=2.0):
        return StimulusEvent(run, 0, 0, trial_type, onset_s, duration_s)

    presented = [
        told(0, "faces", 0.0),
        told(1, "places", 20.0),
        told(1, "faces", 3.0),
        told(1, "cue", 9.0, None),
        told(1, "cue", None),
        told(2, "faces", 0.0),
    ]
    assert presented_blocks(presented, 1) == (Block("faces", 0.0, 5.0), Block("places", 20.0, 22.0))
    assert presented_blocks(presented, 2) == (Block("faces", 0.0, 2.0),)
