"""The record of what was shown: open or sealed, and whole after a crash."""

import sys

import pytest

from rtdecode.display import DISPLAYED, DisplayLog, line_of, read_displayed
from rtdecode.errors import ConfigError
from rtdecode.feedback import ARMS, Assignment, FeedbackBlock, Frame, Key

SECRET = bytes(range(32))
KEY = Key({"A": "real", "B": "yoked"}, SECRET.hex())
FRAMES = [
    Frame("fixation"),
    Frame("feedback", level=1 / 3, sequence=7, run=1, block=FeedbackBlock(0, 10, "regulate")),
    Frame("feedback", label="a class with a rather long name", sequence=8, run=1),
]


def keep(folder, assignment=None, frames=FRAMES):
    with DisplayLog(folder, assignment) as record:
        for frame in frames:
            record.write(line_of(frame, 3.5), frame)


def test_an_open_record_holds_what_was_shown(tmp_path):
    """In order, and over several starts of the display."""
    keep(tmp_path)
    keep(tmp_path, frames=FRAMES[:1])
    lines = list(read_displayed(tmp_path))
    assert [line.show for line in lines] == ["fixation", "feedback", "feedback", "fixation"]
    assert [line.shown.level for line in lines] == [None, 1 / 3, None, None]
    assert (lines[1].trial_type, lines[1].run_s, lines[2].shown.label) == (
        *("regulate", 3.5, "a class with a rather long name"),
    )


@pytest.mark.parametrize("arm", ARMS)
def test_a_sealed_record_tells_nothing_without_its_key(tmp_path, arm):
    """Neither by a word nor by its length; with the key it is whole."""
    keep(tmp_path, Assignment(arm, SECRET, "07"))
    content = (tmp_path / DISPLAYED).read_text()
    assert not any(word in content for word in (*ARMS, "level", "label", "class"))
    sealed = list(read_displayed(tmp_path))
    assert {line.shown for line in sealed} == {None}
    assert {len(line.sealed) for line in sealed} == {380}
    assert len({line.sealed[:20] for line in sealed}) == 3, "a nonce is used twice"
    opened = list(read_displayed(tmp_path, KEY))
    assert [(o.shown.arm, o.shown.level, o.shown.label) for o in opened] == [
        (arm, frame.level, frame.label) for frame in FRAMES
    ]


def test_another_key_and_a_changed_line_are_refused(tmp_path):
    """And not misread."""
    keep(tmp_path, Assignment("real", SECRET, "07"))
    with pytest.raises(ConfigError, match="line 1"):
        list(read_displayed(tmp_path, Key({}, bytes(32).hex())))
    path = tmp_path / DISPLAYED
    content = path.read_bytes()
    place = content.index(b'"sealed":"') + 60
    other = b"A" if content[place : place + 1] != b"A" else b"B"
    path.write_bytes(content[:place] + other + content[place + 1 :])
    with pytest.raises(ConfigError, match="line 1"):
        list(read_displayed(tmp_path, KEY))


def test_a_line_that_a_crash_cut_off_costs_only_itself(tmp_path):
    """What is written afterwards is read."""
    keep(tmp_path)
    path = tmp_path / DISPLAYED
    path.write_bytes(path.read_bytes()[:-30])
    keep(tmp_path, frames=FRAMES[:1])
    assert [line.show for line in read_displayed(tmp_path)] == ["fixation", "feedback", "fixation"]


@pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full")
def test_a_full_disk_is_said_each_time_and_closing_goes_well(tmp_path):
    """The display goes on without its record."""
    (tmp_path / DISPLAYED).symlink_to("/dev/full")
    with DisplayLog(tmp_path, None) as record:
        for _ in range(2):
            with pytest.raises(OSError, match="No space"):
                record.write(line_of(FRAMES[0], 0.0), FRAMES[0])


def test_a_session_without_a_record_is_refused(tmp_path):
    """By its name."""
    with pytest.raises(ConfigError, match=DISPLAYED):
        list(read_displayed(tmp_path))
    with pytest.raises(ConfigError, match="cannot be written"):
        DisplayLog(tmp_path / "nowhere", None)
