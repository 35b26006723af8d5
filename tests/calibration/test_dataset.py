"""Events and labels."""

import numpy as np
import pytest

from calibration.dataset import find_blocks, label_volumes, read_events
from rtdecode.errors import ConfigError

GOOD = "onset\tduration\ttrial_type\n10\t1\tface\n11.5\t1\tface\n30\t12\thouse\n"


def write(tmp_path, text):
    path = tmp_path / "events.tsv"
    path.write_text(text, encoding="utf-8")
    return path


def test_events_of_one_type_in_quick_succession_make_one_block(tmp_path):
    """Stimuli a second apart are one block; the next type starts another."""
    blocks = find_blocks(read_events(write(tmp_path, GOOD)))

    assert [(b.trial_type, b.onset_s, b.end_s) for b in blocks] == [
        ("face", 10.0, 12.5),
        ("house", 30.0, 42.0),
    ]


def test_every_wrong_row_is_named_at_once(tmp_path):
    """All faulty rows are reported together, by their line in the file."""
    path = write(tmp_path, GOOD + "abc\t1\tface\n50\t-1\tface\n60\t1\t\n70\t1\tface\n")

    with pytest.raises(ConfigError) as caught:
        read_events(path)

    assert [p.split(":")[-3 if "row" not in p else 0] for p in caught.value.problems]
    assert [f"row {n}" in p for n, p in zip((5, 6, 7), caught.value.problems, strict=True)] == [
        True
    ] * 3


def test_a_comma_file_is_recognised(tmp_path):
    """A comma-separated file gets the remedy, not a puzzle."""
    with pytest.raises(ConfigError, match="comma-separated"):
        read_events(write(tmp_path, GOOD.replace("\t", ",")))


def test_overlapping_types_are_refused(tmp_path):
    """A volume cannot show two states."""
    path = write(tmp_path, "onset\tduration\ttrial_type\n0\t10\tface\n5\t10\thouse\n")

    with pytest.raises(ConfigError, match="row 3"):
        find_blocks(read_events(path))


def test_labels_are_shifted_by_the_lag_at_both_ends(tmp_path):
    """A block labels the volumes from onset + lag until end + lag, and no other."""
    text = "onset\tduration\ttrial_type\n" + "".join(
        f"{onset}\t10\t{name}\n"
        for onset, name in ((10, "face"), (30, "house"), (50, "face"), (70, "house"))
    )
    labels = label_volumes(
        find_blocks(read_events(write(tmp_path, text))), np.arange(0.0, 100.0, 2.0), 5.0
    )

    assert labels.classes == ("face", "house")
    assert labels.acquired_s[labels.block == 0].tolist() == [16.0, 18.0, 20.0, 22.0, 24.0]
    assert set(labels.label[labels.block == 1]) == {1}
    assert not labels.chosen[0]


def test_events_beyond_the_run_and_single_blocks_are_named_together(tmp_path):
    """Both problems of these events are told in one go."""
    text = "onset\tduration\ttrial_type\n10\t10\tface\n30\t10\tface\n500\t10\thouse\n"

    with pytest.raises(ConfigError) as caught:
        label_volumes(
            find_blocks(read_events(write(tmp_path, text))), np.arange(0.0, 100.0, 2.0), 5.0
        )

    assert len(caught.value.problems) == 2
    assert "500" in caught.value.problems[0]
    assert "house: 1 block" in caught.value.problems[1]
