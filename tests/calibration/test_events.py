"""BIDS events: what is wrong is named by its row, with the remedy."""

import math

import pytest

from calibration.events import find_blocks, parse_classes, read_events
from rtdecode.errors import ConfigError

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


def test_a_byte_order_mark_and_other_columns_do_no_harm(tmp_path):
    """What a spreadsheet writes is read too."""
    path = tmp_path / "events.tsv"
    text = "trial_type\tresponse\tonset\tduration\r\nface\tn/a\t1\t2\r\n\r\nhouse\t3\t9\t2\r\n"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())

    assert [e.trial_type for e in read_events(path)] == ["face", "house"]


def test_every_wrong_row_is_named_at_once(tmp_path):
    """All faulty rows are reported together, by their line in the file."""
    path = _written(tmp_path, GOOD + "abc\t1\tface\n50\t-1\tface\n60\t1\t\n70\t1\tface\n")

    with pytest.raises(ConfigError) as caught:
        read_events(path)

    assert [f"row {n}" in p for n, p in zip((5, 6, 7), caught.value.problems, strict=True)] == [
        True
    ] * 3


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        (GOOD.replace("\t", ","), "comma-separated: save it with tabs"),
        (GOOD.replace("trial_type", "condition"), "no column trial_type"),
        ("onset\tduration\ttrial_type\n", "no event"),
        ("", "no column onset, duration, trial_type"),
    ],
)
def test_a_file_of_another_kind_gets_the_remedy(tmp_path, text, remedy):
    """Commas, other columns and emptiness are told apart."""
    with pytest.raises(ConfigError, match=remedy):
        read_events(_written(tmp_path, text))


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
        ("face,hous", "no trial type 'hous' in the events; there are face, house"),
        ("face,face+house:both", "face is named twice"),
        ("face:none,house", "cannot be called none"),
    ],
)
def test_wrong_classes_are_refused(text, remedy):
    """A misspelt, repeated or reserved name is named."""
    with pytest.raises(ConfigError, match=remedy):
        parse_classes(text, ["face", "house"])
