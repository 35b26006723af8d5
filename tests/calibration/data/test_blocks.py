"""BIDS events: what is wrong is named by its row, with the remedy."""

import math

import pytest

from calibration.data.blocks import find_blocks, parse_classes
from rtdecode.errors import ConfigError
from rtdecode.events import read_events

GOOD = "onset\tduration\ttrial_type\n10\t1\tface\n11.5\t1\tface\n30\t12\thouse\n"


def _written(tmp_path, text):
    path = tmp_path / "events.tsv"
    path.write_text(text, encoding="utf-8")
    return path


def _blocks(path, run_s=math.inf):
    return find_blocks(read_events(path), path, run_s)


def test_events_of_one_type_in_quick_succession_make_one_block(tmp_path):
    """Stimuli a second apart are one block; the next type starts another."""
    found = _blocks(_written(tmp_path, GOOD))

    assert [(b.trial_type, b.onset_s, b.end_s, b.row) for b in found] == [
        ("face", 10.0, 12.5, 2),
        ("house", 30.0, 42.0, 4),
    ]


@pytest.mark.parametrize(
    ("row", "remedy"),
    [
        ("35\t10\tface", r"row 5: face at 35 s starts before house \(row 4\) ends at 42 s"),
        ("500\t10\tface", "row 5: face at 500 s lies outside the run, which lasts 100 s"),
        ("-4\t2\tface", "row 5: face at -4 s lies outside"),
        ("60\t0\tface", "row 5: face has no duration"),
        ("60\tn/a\tface", "row 5: face has no duration"),
    ],
)
def test_blocks_that_cannot_be_are_named(tmp_path, row, remedy):
    """Overlap, times beyond the run and events without duration are refused by their row."""
    with pytest.raises(ConfigError, match=remedy):
        _blocks(_written(tmp_path, GOOD + row + "\n"), run_s=100.0)


def test_classes_may_be_merged_and_left_out():
    """`face+body:people,house` makes two classes of three types and forgets the fourth."""
    spec = parse_classes("face+body:people, house", ["body", "face", "house", "tool"])

    assert spec.classes == ("people", "house")
    assert spec.of == {"face": "people", "body": "people", "house": "house"}


def test_every_type_is_a_class_by_default():
    """In alphabetical order, whatever the file's."""
    assert parse_classes(None, ["house", "face", "house"]).classes == ("face", "house")


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("face,hous", "no trial type 'hous' in the events; they contain face, house"),
        ("face,face+house:both", "face is named twice"),
        ("face:none,house", "cannot be called none"),
    ],
)
def test_wrong_classes_are_refused(text, remedy):
    """A misspelt, repeated or reserved name is named."""
    with pytest.raises(ConfigError, match=remedy):
        parse_classes(text, ["face", "house"])
