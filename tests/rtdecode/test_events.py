"""BIDS events files: what is wrong is named by its row, with the remedy."""

import pytest

from rtdecode.errors import ConfigError
from rtdecode.events import Event, joined, read_events

GOOD = "onset\tduration\ttrial_type\n10\t1\tface\n11.5\t1\tface\n30\t12\thouse\n"


def _written(tmp_path, text):
    path = tmp_path / "events.tsv"
    path.write_text(text, encoding="utf-8")
    return path


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
        ("onset\tduration\ttrial_type\nnow\t2\ta\n", "row 2"),
        ("onset\tduration\ttrial_type\nnan\t2\ta\n", "wants seconds"),
        ("onset\tduration\ttrial_type\n1\t-2\ta\n", "wants seconds"),
        ("onset\tduration\ttrial_type\n1\t2\n", "row 2"),
        ("onset\tduration\ttrial_type\n1\t2\t\n", "printable"),
    ],
)
def test_a_file_of_another_kind_gets_the_remedy(tmp_path, text, remedy):
    """Commas, other columns and emptiness are told apart."""
    with pytest.raises(ConfigError, match=remedy):
        read_events(_written(tmp_path, text))


def test_an_event_may_have_no_duration_where_none_is_needed(tmp_path):
    """It is not known then; whoever needs it names the row."""
    path = _written(tmp_path, "onset\tduration\ttrial_type\n4\tn/a\tb\n-1.5\t2\ta\n")
    assert read_events(path) == (Event(-1.5, 2.0, "a", 3), Event(4.0, None, "b", 2))
    with pytest.raises(ConfigError, match="row 2: no duration"):
        read_events(path, lasting=True)


def test_events_of_one_type_that_follow_closely_are_one_block():
    """Whatever lies between them; one without a known duration stays by itself."""
    trials = [Event(0.0, 1.0, "a", 2), Event(2.0, 1.0, "a", 3), Event(9.0, 1.0, "a", 4)]
    assert joined(trials) == (Event(0.0, 3.0, "a", 2), Event(9.0, 1.0, "a", 4))
    apart = [Event(0.0, None, "a"), Event(1.0, 1.0, "a"), Event(2.0, 1.0, "b")]
    assert joined(apart) == tuple(apart)
