"""Known states, group maps and studies become priors of a person's classes."""

import nibabel as nib
import numpy as np
import pytest
import torch

from calibration.networks import DeepLight
from calibration.networks.features import RECURRENT, VOXELS
from calibration.priors.group_maps import check_maps, group_maps_prior
from calibration.priors.known_states import known_states_prior, match_states
from calibration.priors.options import parse_maps, parse_states
from calibration.priors.study_prior import check_study_classes, person_index, study_priors
from calibration.weights.store import Description
from calibration.weights.study import LayerStatistics, Study, StudyDescription
from rtdecode.errors import ConfigError

KNOWN = ("motor_lh", "motor_rh", "social_mental", "faces")
GRID = (4, 5, 3)
AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])


def test_states_are_parsed_or_refused_with_every_problem() -> None:
    """CLASS=STATE, each class once."""
    assert parse_states(None) is None
    assert parse_states("left=motor_lh, right = motor_rh") == {
        "left": "motor_lh",
        "right": "motor_rh",
    }
    with pytest.raises(ConfigError) as caught:
        parse_states("up,right=,left=a,left=b")
    assert len(caught.value.problems) == 3


def test_states_match_by_name_or_as_given() -> None:
    """Without the option only equal names of all classes count; with it, short names do."""
    assert match_states(("Faces", "motor_lh"), KNOWN, None) == ("faces", "motor_lh")
    assert match_states(("faces", "places"), KNOWN, None) == ()
    assert match_states(("a", "b"), KNOWN, {"a": "lh", "b": "faces"}) == ("motor_lh", "faces")


def test_states_that_do_not_fit_are_named_at_once() -> None:
    """A class without a state, an unknown class, an unknown state, one state twice."""
    with pytest.raises(ConfigError) as caught:
        match_states(("a", "b", "c", "d"), KNOWN, {"a": "lh", "c": "legs", "x": "rh", "d": "lh"})
    text = "; ".join(caught.value.problems)
    for part in ("no class 'x'", "b has no state", "no state 'legs'", "the same state"):
        assert part in text


def test_the_pretrained_head_is_that_of_the_states() -> None:
    """Its rows are the rows of the states, in the order of the classes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = DeepLight((10, 8, 5), len(KNOWN))
    found = known_states_prior(network, KNOWN, ("r", "l"), ("motor_rh", "motor_lh"))
    assert found.layer == RECURRENT
    assert found.origin == "states r=motor_rh, l=motor_lh"
    np.testing.assert_array_equal(found.prior.weight, network.head.weight.detach().numpy()[[1, 0]])


def _map(path, value: np.ndarray):
    nib.save(nib.Nifti1Image(value.astype(np.float32), AFFINE), path)
    return path


def test_group_maps_differ_in_the_voxels_where_the_classes_do(tmp_path, rng) -> None:
    """The maps are sampled at the voxels of the mask; their unit does not matter."""
    mask = np.ones(GRID, bool)
    mask[0] = False
    faces, places = np.zeros(GRID), np.zeros(GRID)
    faces[1, 2, 1], places[3, 4, 2] = 40.0, 40.0
    faces[0, 0, 0] = 1000.0  # outside the mask
    faces[2, 2, 2] = np.nan
    maps = {"faces": _map(tmp_path / "f.nii.gz", faces), "places": _map(tmp_path / "p.nii", places)}
    prepared = rng.standard_normal((30, int(mask.sum()))).astype(np.float32)
    found = group_maps_prior(maps, ("places", "faces"), prepared, mask, AFFINE)
    assert found.layer == VOXELS
    voxels = np.argwhere(mask)[found.prior.index].tolist()
    assert voxels == [[1, 2, 1], [3, 4, 2]]
    np.testing.assert_allclose(found.prior.means, [[-0.5, 0.5], [0.5, -0.5]])
    louder = {
        name: _map(tmp_path / f"{name}-7.nii.gz", 7 * v)
        for name, v in (("faces", faces), ("places", places))
    }
    again = group_maps_prior(louder, ("places", "faces"), prepared, mask, AFFINE)
    np.testing.assert_allclose(again.prior.means, found.prior.means)


def test_maps_that_do_not_fit_are_refused(tmp_path) -> None:
    """A missing file, a class without a map, an empty map, another file format; rest needs none."""
    with pytest.raises(ConfigError, match="does not exist"):
        parse_maps([f"faces={tmp_path / 'no.nii.gz'}"])
    with pytest.raises(ConfigError, match="not CLASS=FILE"):
        parse_maps(["faces"])
    with pytest.raises(ConfigError, match="places has no map"):
        check_maps({"faces": tmp_path}, ("faces", "places", "rest"))
    check_maps({"faces": tmp_path}, ("faces", "rest"))
    (tmp_path / "text.nii.gz").write_text("no image")
    maps = {"a": _map(tmp_path / "zero.nii.gz", np.zeros(GRID)), "b": tmp_path / "text.nii.gz"}
    prepared = np.ones((3, 60), np.float32)
    with pytest.raises(ConfigError) as caught:
        group_maps_prior(maps, ("a", "b"), prepared, np.ones(GRID, bool), AFFINE)
    text = "; ".join(caught.value.problems)
    assert "0 everywhere in the brain" in text
    assert f"--prior {maps['b']}: not a NIfTI image" in text


def _study(layers) -> Study:
    about = StudyDescription(
        weights="net",
        weights_sha256="0" * 64,
        network=Description(GRID, ("x",), "net"),
        classes=("a", "b", "c"),
        n_people=4,
        n_volumes=50,
        temperature=1.0,
        pseudo_blocks=2.0,
        blocks_of_prior=5.0,
        fingerprints=(),
        left_out=(),
    )
    return Study(about, layers)


def _statistics(index, per_slice, rng) -> LayerStatistics:
    f = len(index)
    values = {
        name: rng.standard_normal((3, f)).astype(np.float32)
        for name in ("means", "spread", "scatter")
    }
    return LayerStatistics(
        np.array(index), per_slice, np.arange(1, f + 1, dtype=np.float32), **values
    )


def test_features_of_a_study_are_found_in_the_person(rng) -> None:
    """Voxels by their place on the grid, values of a layer by their slice; others are dropped."""
    mask = np.zeros(GRID, bool)
    mask[1:3, 1:3, 1:] = True  # the lowest slice is empty
    inside, outside = np.ravel_multi_index(([2, 0], [1, 0], [2, 1]), GRID)
    voxels = _statistics(sorted([inside, outside]), 0, rng)
    found, index = person_index(VOXELS, voxels, mask)
    assert np.argwhere(mask)[index].tolist() == [[2, 1, 2]]
    assert voxels.index[found].tolist() == [inside]
    layer = _statistics([3, 10, 12, 25], 10, rng)  # slices 0, 1, 1, 2 of three
    found, index = person_index(8, layer, mask)
    assert found.tolist() == [1, 2, 3]
    assert index.tolist() == [0, 2, 15]


def test_a_study_gives_a_prior_of_the_classes_wanted(rng) -> None:
    """In the order of the person's classes, with the study's rule; unknown classes are refused."""
    mask = np.ones(GRID, bool)
    layer = _statistics([0, 7, 30], 0, rng)
    study = _study({VOXELS: layer})
    (found,) = study_priors(study, ("c", "a"), mask)
    assert found.name == "voxels with others"
    np.testing.assert_allclose(found.prior.means, layer.means[[2, 0]])
    assert (found.prior.pseudo_blocks, found.prior.n_scatter) == (2.0, 50.0)
    with pytest.raises(ConfigError, match="no class rest; it has a, b, c"):
        check_study_classes(study, ("a", "rest"))
