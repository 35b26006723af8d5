"""The settings file: read, and refused with every reason at once."""

import json
import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from rtdecode.errors import ConfigError
from rtdecode.feedback import FeedbackBlock, FeedbackSettings, FirstVolumes, Text, read_settings

PAGE = Path(__file__).resolve().parents[3] / "docs" / "display.md"

GOOD = """
display = "thermometer"
of = { faces = 1, houses = -1 }
probabilities = "window"
smoothing_s = 2
baseline = { first_volumes = 10 }
range = [-1, 1]
events = "events.tsv"

[trial_types]
rest = "rest"
cue = { text = "Think of faces" }
regulate = "feedback"

[sham]
table = "table.tsv"
key = "key.json"
"""
EVENTS = "onset\tduration\ttrial_type\n10\t20\tregulate\n0\t8\trest\n8\t2\tcue\n"


def test_a_file_is_read_whole(write, tmp_path):
    """Paths in it are relative to it, blocks in order of time; JSON says the same."""
    write("events.tsv", EVENTS)
    settings = read_settings(write("feedback.toml", GOOD))
    assert settings.of == {"faces": 1.0, "houses": -1.0}
    assert settings.baseline == FirstVolumes(10)
    assert settings.range == (-1.0, 1.0)
    assert settings.sham is not None
    assert settings.sham.key == tmp_path / "key.json"
    assert settings.protocol.roles["cue"] == Text("Think of faces")
    assert settings.protocol.blocks[1:] == (
        FeedbackBlock(8, 2, "cue"),
        FeedbackBlock(10, 20, "regulate"),
    )
    as_json = write("feedback.json", json.dumps(tomllib.loads(GOOD)))
    assert read_settings(as_json) == settings


def test_every_problem_is_named_at_once(write):
    """The experimenter mends the file in one go."""
    text = """
display = "image"
smoothing_s = -1
colour = "red"
sign = 2
range = [1, 0]
max_age_s = 0
threshold = 1.5
baseline = "rest"
images = { faces = "missing.png", houses = "feedback.toml" }
sham = { table = "table.tsv" }
blocks = [ { onset_s = 0, duration_s = 5, trial_type = "a" },
           { onset_s = 4, duration_s = 0, trial_type = "b" } ]
trial_types = { a = "fixation" }
"""
    with pytest.raises(ConfigError) as refused:
        read_settings(write("feedback.toml", text))
    problems = "\n".join(refused.value.problems)
    for word in (
        *("smoothing_s", "colour", "sign", "`range`", "max_age_s", "threshold", "`baseline`"),
        *("missing.png", "'houses'", "`sham`", "overlap", "lasts 0 s", "trial type 'b'"),
    ):
        assert word in problems
    assert len(refused.value.problems) == 13


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("display = 'disc'", "trial_types is missing"),
        ("display = 'radio'\ntrial_types = {a = 'feedback'}", "display"),
        ("display = 'disc'\nof = 'a'\ntrial_types = {a = 'feedback'}", "has no blocks"),
        ("not toml", "cannot be read as TOML"),
        (GOOD.replace('"events.tsv"', '"other.tsv"'), r"other\.tsv"),
    ],
)
def test_what_cannot_be_used_is_refused(write, text, match):
    """With the name of what is wrong."""
    with pytest.raises(ConfigError, match=match):
        read_settings(write("feedback.toml", text))


def test_rows_that_are_no_blocks_are_named(write):
    """By their line in the file."""
    write("events.tsv", "onset\tduration\ttrial_type\n0\tn/a\trest\n8\t2\tcue\nx\t2\tcue\n")
    with pytest.raises(ConfigError) as refused:
        read_settings(write("feedback.toml", GOOD))
    assert ["row 2" in p or "row 4" in p for p in refused.value.problems] == [True, True]


def test_settings_must_fit_the_decoder(write, tmp_path):
    """Classes that it does not know, and pictures that are missing, are all named."""
    write("events.tsv", EVENTS)
    settings = read_settings(write("feedback.toml", GOOD))
    settings.check(("faces", "houses", "tools"))
    with pytest.raises(ConfigError, match="'houses'"):
        settings.check(("faces", "tools"))
    (tmp_path / "f.png").touch()
    images = GOOD.replace('"thermometer"', '"image"') + "[images]\nfaces = 'f.png'\n"
    with pytest.raises(ConfigError, match="no picture for 'houses'"):
        read_settings(write("feedback.toml", images)).check(("faces", "houses"))


def test_the_documented_settings_are_the_settings(write):
    """The example is read, and the table has a line for each setting."""
    page = PAGE.read_text(encoding="utf-8")
    (example,) = re.findall(r"^```toml\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    write("events.tsv", EVENTS.replace("cue", "instruction"))
    assert read_settings(write("feedback.toml", example)).of == {"faces": 1, "houses": -1}
    named = {
        name
        for row in re.findall(r"^\| (`.*?) \|", page, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }
    settings = {field.name for field in fields(FeedbackSettings)} - {"protocol"}
    assert named == settings | {"events", "blocks", "trial_types"}
