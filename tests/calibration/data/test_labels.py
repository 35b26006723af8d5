"""Which volume shows what."""

import numpy as np
import pytest

from calibration.data.blocks import parse_classes
from calibration.data.labels import label_volumes
from rtdecode.errors import ConfigError
from rtdecode.events import Block

TIMES_S = np.arange(0.0, 100.0, 2.0)
ORDER = ((10, "face"), (30, "house"), (50, "face"), (70, "house"))


def _run(order=ORDER, run=0):
    return tuple(
        Block(name, onset, onset + 10, 2 + n, run) for n, (onset, name) in enumerate(order)
    )


def _spec(text=None, order=ORDER):
    return parse_classes(text, [name for _, name in order])


def test_labels_are_shifted_by_the_lag_at_both_ends():
    """A block labels the volumes from onset + lag until end + lag, and no other."""
    labels = label_volumes([_run()], [TIMES_S], _spec(), 5.0)

    assert labels.classes == ("face", "house")
    assert labels.acquired_s[labels.block == 0].tolist() == [16.0, 18.0, 20.0, 22.0, 24.0]
    assert set(labels.label[labels.block == 1]) == {1}
    assert not labels.chosen[0]
    assert labels.rest[0]
    assert not (labels.rest & labels.chosen).any()


def test_runs_are_laid_side_by_side():
    """Blocks of several runs are numbered on, and each volume knows its run."""
    labels = label_volumes([_run(), _run(run=1)], [TIMES_S, TIMES_S], _spec(), 5.0)

    assert labels.run.tolist() == [0] * 50 + [1] * 50
    assert labels.block.max() == 7
    assert [block.run for block in labels.blocks] == [0] * 4 + [1] * 4
    assert labels.block_labels().tolist() == [0, 1] * 4


def test_types_left_out_are_neither_examples_nor_rest():
    """A block of a type that is not decoded is still no pause."""
    order = (*ORDER, (85, "tool"))
    labels = label_volumes([_run(order)], [TIMES_S], _spec("face,house", order), 5.0)

    tool = (labels.acquired_s >= 90) & (labels.acquired_s < 100)
    assert not labels.rest[tool].any()
    assert not labels.chosen[tool].any()
    assert len(labels.blocks) == 4


def test_rest_can_be_a_class_of_its_own():
    """Pauses become blocks, and nothing is left over as rest."""
    labels = label_volumes([_run()], [TIMES_S], _spec(), 5.0, rest=True)

    assert labels.classes == ("face", "house", "rest")
    assert labels.label[0] == 2
    assert not labels.rest.any()
    # Before, between and after four blocks.
    assert labels.block_labels().tolist().count(2) == 5


def test_unusable_volumes_are_neither_examples_nor_rest():
    """A volume that quality keeps out is not learnt from."""
    labels = label_volumes([_run()], [TIMES_S], _spec(), 5.0)
    kept = labels.only_usable(np.arange(50) % 2 == 0)

    assert not kept.chosen[1::2].any()
    assert not kept.rest[1::2].any()
    assert np.array_equal(kept.label[::2], labels.label[::2])


def test_relabelled_blocks_take_their_volumes_along():
    """Swapping the classes of blocks swaps all their volumes, and no other."""
    labels = label_volumes([_run()], [TIMES_S], _spec(), 5.0)
    swapped = labels.with_block_labels(1 - labels.block_labels())

    assert np.array_equal(swapped.chosen, labels.chosen)
    assert np.array_equal(swapped.label[labels.chosen], 1 - labels.label[labels.chosen])


def test_every_problem_of_the_labels_is_named_together():
    """A block behind the last volume and a single block are told in one go."""
    order = (*ORDER, (97, "face"), (20, "tool"))
    with pytest.raises(ConfigError) as caught:
        label_volumes([_run(order)], [TIMES_S], _spec(None, order), 5.0)

    assert len(caught.value.problems) == 2
    assert "row 6: no volume shows face at 97 s" in caught.value.problems[0]
    assert "tool: 1 block in all runs" in caught.value.problems[1]


def test_one_class_is_nothing_to_decode():
    """A single class gets the advice to decode rest."""
    with pytest.raises(ConfigError, match="--rest adds the pauses"):
        label_volumes([_run()], [TIMES_S], _spec("face"), 5.0)
