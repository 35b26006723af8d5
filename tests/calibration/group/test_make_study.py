"""A study of people with common class means: what it holds, and how it is evaluated."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from calibration.data.labels import Labels
from calibration.group.make_study import make_study
from calibration.group.moments import choose_features, class_means, person_moments
from calibration.group.person import Person, PersonData, grid_positions
from calibration.group.scatter import merge, residuals
from calibration.group.selection_cache import WorkFolder
from calibration.group.study_report import report
from calibration.networks import DeepLight
from calibration.networks.features import VOXELS
from calibration.weights.store import Description
from calibration.weights.study import (
    StudyDescription,
    describe_study,
    is_study,
    load_study,
    save_study,
)
from calibration.weights.study_figures import headline, interval
from rtdecode.errors import ConfigError

GRID = (6, 5, 4)
LAYER, PER_SLICE = 8, 30
ABOUT = StudyDescription(
    weights="net",
    weights_sha256="0" * 64,
    network=Description((10, 8, 5), ("x", "y"), "net"),
    classes=("a", "b"),
    n_people=0,
    n_volumes=0,
    temperature=1.0,
    pseudo_blocks=1.0,
    blocks_of_prior=5.0,
    fingerprints=(),
    left_out=(),
)


def person(number: int, labels: Labels, strength: float, loads: list[int] | None = None) -> Person:
    """Return a person whose mask and noise are their own; the class means are everybody's."""
    rng = np.random.default_rng(number)
    mask = rng.random(GRID) < 0.9
    mask[0, 0, 0] = number % 2 == 0
    common = np.random.default_rng(99)
    patterns = {
        VOXELS: common.standard_normal((2, mask.size)),
        LAYER: common.standard_normal((2, GRID[2] * PER_SLICE)),
    }
    present = np.flatnonzero(mask.any(axis=(0, 1)))
    here = {
        VOXELS: np.flatnonzero(mask.ravel()),
        LAYER: (present[:, None] * PER_SLICE + np.arange(PER_SLICE)).ravel(),
    }
    features = {}
    for layer, pattern in patterns.items():
        x = rng.standard_normal((len(labels.label), len(here[layer])))
        for c in range(2):
            x[labels.label == c] += strength * pattern[c, here[layer]]
        features[layer] = x.astype(np.float32)

    def load() -> PersonData:
        if loads is not None:
            loads.append(number)
        return PersonData(mask, labels, features)

    return Person(f"person {number}", f"digest{number}", (f"run{number}",), load)


def people(labels: Labels, n: int, strength: float, loads: list[int] | None = None):
    """Return some people."""
    return [person(number, labels, strength, loads) for number in range(n)]


@pytest.fixture
def labels(make_labels) -> Labels:
    """Return eight blocks of two classes."""
    return make_labels(["abbaabab"])


def test_leaving_a_person_out_is_a_subtraction(labels) -> None:
    """The sums of all but one person are the sums of the others."""
    moments = []
    for one in people(labels, 3, 1.0):
        data = one.load()
        x = data.features[VOXELS]
        moments.append(
            person_moments(x, labels, *grid_positions(VOXELS, data.mask, x.shape[1])[:2])
        )
    without = sum(moments[1:], moments[0]) - moments[2]
    expected = moments[0] + moments[1]
    np.testing.assert_allclose(without.means, expected.means, atol=1e-5)
    np.testing.assert_array_equal(without.people, expected.people)
    choice = choose_features(without, 2, 20)
    assert len(choice.index) == 20
    assert (np.diff(choice.index) > 0).all()
    assert (without.people[choice.index] >= 1).all()


def test_the_scatter_of_two_is_their_sum(rng) -> None:
    """It is exact up to the rank, and the largest components stay beyond it."""
    first, second = rng.standard_normal((4, 9)), rng.standard_normal((3, 9))
    exact = merge(first, second)
    np.testing.assert_allclose(exact.T @ exact, first.T @ first + second.T @ second)
    first[0] *= 50
    few = merge(first, second, rank=2)
    assert few.shape == (2, 9)
    assert np.trace(few.T @ few) > 0.95 * np.trace(first.T @ first + second.T @ second)


def test_residuals_are_about_the_class_means(labels, rng) -> None:
    """Their class means are 0."""
    found = residuals(rng.standard_normal((len(labels.label), 5)) + 7, labels)
    rows = labels.take(labels.chosen)
    means, _ = class_means(found.astype(np.float32), rows)
    np.testing.assert_allclose(means, 0, atol=1e-5)


def test_people_with_common_means_are_decoded_without_own_data(labels, tmp_path) -> None:
    """Each person left out is decoded by the others; more than by one own block."""
    study = make_study(people(labels, 5, 0.5), ABOUT, WorkFolder(tmp_path / "work"))
    about = study.about
    assert (about.n_people, about.fingerprints) == (5, tuple(f"run{n}" for n in range(5)))
    assert about.n_volumes == 5 * int(labels.chosen.sum())
    mean, low, high = interval(about, "pool", 0)
    assert low <= mean <= high
    assert mean > 0.9
    assert mean > interval(about, "voxels, own", 1)[0]
    assert interval(about, "pool", 2)[0] > interval(about, "voxels, own", 2)[0]
    assert set(about.left_out[0].shares) == {0, 1, 2}
    layer = study.layers[LAYER]
    assert layer.per_slice == PER_SLICE
    assert layer.means.shape == layer.spread.shape == (2, len(layer.index))
    assert f"{mean:.0%}" in headline(about)
    page = report("study", about)
    for text in ("person 4", "convolution 8, own", "chance 50%"):
        assert text in page


def test_people_without_signal_are_decoded_at_chance(labels, tmp_path) -> None:
    """Nothing of the person left out is in the study that decodes this person."""
    study = make_study(people(labels, 12, 0.0), ABOUT, WorkFolder(tmp_path / "work"))
    for decoder, n_blocks in (("pool", 0), ("pool", 2), ("priors with own blocks", 1)):
        assert 0.4 < interval(study.about, decoder, n_blocks)[0] < 0.6


def test_one_odd_person_does_not_change_the_evaluation_of_the_person(labels, tmp_path) -> None:
    """The figures of a person left out depend on the others' data and the own, not on the rest."""
    everyone = people(labels, 4, 0.5)
    full = make_study(everyone, ABOUT, WorkFolder(tmp_path / "a"))
    again = make_study(list(reversed(everyone)), ABOUT, WorkFolder(tmp_path / "b"))
    by_name = {one.name: one for one in again.about.left_out}
    for one in full.about.left_out:
        assert by_name[one.name].n_volumes == one.n_volumes
        assert by_name[one.name].shares[0]["pool"] == pytest.approx(one.shares[0]["pool"])


def test_an_interrupted_command_continues(labels, tmp_path) -> None:
    """What was written is not computed again, and the study is the same."""
    loads: list[int] = []
    expected = make_study(people(labels, 3, 0.5), ABOUT, WorkFolder(tmp_path / "a"))

    def interrupt(step: str, done: int, _total: int) -> None:
        if step == "features of each person" and done == 1:
            raise KeyboardInterrupt

    work = WorkFolder(tmp_path / "b")
    with pytest.raises(KeyboardInterrupt):
        make_study(people(labels, 3, 0.5, loads), ABOUT, work, interrupt)
    assert loads == [0, 1, 2, 0]
    found = make_study(people(labels, 3, 0.5, loads), ABOUT, WorkFolder(tmp_path / "b"))
    assert loads[4:] == [1, 2]
    assert found.about == expected.about
    for layer, statistics in expected.layers.items():
        np.testing.assert_array_equal(found.layers[layer].scatter, statistics.scatter)


def test_a_study_is_the_same_after_it_was_written(labels, tmp_path) -> None:
    """Numbers, evaluation and arrays; anything else is refused by name."""
    study = make_study(people(labels, 2, 0.5), ABOUT, WorkFolder(tmp_path / "work"))
    path = tmp_path / "study.safetensors"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = DeepLight((10, 8, 5), 2)
    save_study(study, network, path)
    assert is_study(path)
    found, again = load_study(path)
    for name, value in network.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)
    assert found.about == study.about == describe_study(path)
    np.testing.assert_allclose(
        found.layers[LAYER].means, study.layers[LAYER].means, rtol=1e-3, atol=1e-4
    )
    assert found.layers[LAYER].per_slice == PER_SLICE
    content = path.read_bytes()
    for damaged in (b"no study", content[: len(content) // 2]):
        path.write_bytes(damaged)
        assert not is_study(path)
        with pytest.raises(ConfigError, match="is not a study"):
            load_study(path)


def test_one_person_makes_a_study_without_evaluation(labels, tmp_path) -> None:
    """Nobody else is left to decode this person."""
    study = make_study(people(labels, 1, 0.5), ABOUT, WorkFolder(tmp_path / "work"))
    assert study.about.left_out == ()
    assert study.about.temperature == 1.0


def test_people_may_have_different_blocks(make_labels, tmp_path) -> None:
    """The learning curve of each has as many points as the blocks allow."""
    many: Sequence[str] = ["abbaababbaab"]
    some = [person(0, make_labels(many), 0.5), person(1, make_labels(["abab"]), 0.5)]
    study = make_study(some, ABOUT, WorkFolder(tmp_path / "work"))
    assert [max(one.shares) for one in study.about.left_out] == [3, 1]
    assert replace(study.about, left_out=()) != study.about
