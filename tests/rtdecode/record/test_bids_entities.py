"""The BIDS entities of sessions."""

from pathlib import Path

import pytest

from rtdecode.errors import ConfigError
from rtdecode.record import BidsEntities, labels_of


@pytest.mark.parametrize(
    ("name", "stem", "folder"),
    [
        ("sub-01_ses-2_task-nf_run-1", "sub-01_ses-2_task-nf_run-1", "sub-01/ses-2/func"),
        ("sub-AB_run-03", "sub-AB_task-nf_run-03", "sub-AB/func"),
        ("2026_sub-7_task-imagery_acq-x", "sub-7_task-imagery_run-1", "sub-7/func"),
        ("20261126-101500", "sub-unknown_task-nf_run-1", "sub-unknown/func"),
        ("sub-0 1_ses-ä_run-x", "sub-unknown_task-nf_run-1", "sub-unknown/func"),
    ],
)
def test_labels_come_from_the_folder_name(name, stem, folder):
    """Values that BIDS does not allow are ignored."""
    labels = labels_of(Path("/sessions") / name)
    assert (labels.stem(1), labels.folder) == (stem, folder)


def test_options_override_the_folder_name():
    """Each label is overridden separately."""
    labels = labels_of(Path("sub-01_ses-1_run-1"), subject="02", task="rest", run="07")
    assert labels == BidsEntities("02", "1", "rest", "07")


def test_run_numbers_count_from_the_first_run():
    """They have as many digits as the first one."""
    labels = BidsEntities("1", run="09")
    assert [labels.stem(n) for n in (1, 2)] == ["sub-1_task-nf_run-09", "sub-1_task-nf_run-10"]


def test_error_lists_all_labels_that_bids_does_not_allow():
    """One error lists all three labels."""
    with pytest.raises(ConfigError) as refused:
        labels_of(Path("x"), subject="../1", session="a b", run="one")
    assert len(refused.value.problems) == 3
