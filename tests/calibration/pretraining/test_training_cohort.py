"""Whom the network learns from, and what an example is."""

from dataclasses import replace

import numpy as np

from calibration.pretraining.grid import GRID_SHAPE
from calibration.pretraining.training_cohort import (
    CohortExamples,
    PretrainingCohort,
    batches,
    scan_cohort,
)
from calibration.progress import silent


def test_a_cohort_is_scanned_and_labelled():
    """Everybody does some of the states, and every kept volume shows one of them."""
    settings = PretrainingCohort(people=2, states=5, states_each=2, blocks_per_state=1, seed=3)
    told = []
    found = scan_cohort(settings, lambda *parts: told.append(parts))
    assert found.mask.shape == GRID_SHAPE
    assert found.volumes.shape == (len(found.state), int(found.mask.sum()))
    assert len(found.states) == 5
    assert np.unique(found.person).tolist() == [0, 1]
    for person in (0, 1):
        mine = found.person == person
        assert len(np.unique(found.state[mine])) == 2
        assert len(np.unique(found.block[mine])) == 2
        assert mine.sum() == 2 * 12
    assert len(np.unique(found.block)) == 4
    # Prepared as when serving: z-scores of a sensible size.
    assert 0.5 < found.volumes.astype(np.float32).std() < 3
    assert told[-1] == ("scan simulated people", 2, 2)
    again = scan_cohort(settings, silent)
    assert np.array_equal(again.volumes, found.volumes)


def test_examples_come_back_from_disk(examples, tmp_path):
    """What was scanned once need not be scanned again."""
    examples.save(tmp_path / "kept")
    again = CohortExamples.load(tmp_path / "kept")
    assert np.array_equal(again.volumes, examples.volumes)
    assert np.array_equal(again.block, examples.block)
    assert again.states == examples.states
    assert np.array_equal(again.mask, examples.mask)


def test_permuting_renames_within_a_person(examples):
    """Two blocks of one state still share a name, and the volumes stay; the names are mixed."""
    permuted = [examples.permute_states(seed) for seed in range(6)]
    for each in permuted:
        for block in np.unique(each.block):
            assert len(np.unique(each.state[each.block == block])) == 1
        for person in np.unique(each.person):
            pairs = set(zip(examples.state[each.person == person],
                            each.state[each.person == person], strict=True))  # fmt: skip
            assert len(pairs) == 2
        assert each.volumes is examples.volumes
    assert any(not np.array_equal(each.state, examples.state) for each in permuted)


def test_mixing_averages_the_noise_and_keeps_the_state(examples, rng):
    """Eight places make an example of a third of the noise; `send` ends the mixing."""
    drawn = batches(examples, 64, average=1, mixed=8, rng=rng)
    volumes, states = next(drawn)
    assert volumes.shape == (64, examples.volumes.shape[1])
    quiet = volumes[:, 60:].std()
    for state, place in ((0, slice(0, 30)), (1, slice(30, 60))):
        assert abs(volumes[states == state][:, place].mean() - 1.5) < 0.1
    volumes, _ = drawn.send(1)
    assert 0.3 < quiet / volumes[:, 60:].std() < 0.42


def test_an_example_never_crosses_a_block(examples, rng):
    """Averages of neighbours are averages of one block's volumes."""
    numbered = examples.volumes.copy()
    numbered[:] = examples.block[:, None]
    marked = replace(examples, volumes=numbered)
    volumes, states = next(batches(marked, 50, average=6, mixed=1, rng=rng))
    assert np.array_equal(volumes, np.rint(volumes))
    assert np.array_equal(volumes[:, 0] % 2, states)
