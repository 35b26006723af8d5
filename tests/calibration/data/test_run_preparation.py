"""A run on its way through the stages: the same, whether it comes at once or volume by volume."""

from dataclasses import replace

import numpy as np
import pytest

from calibration.data.mean_epi import N_VOLUMES
from calibration.data.prepared_runs import pooled_spread, spread_volumes
from calibration.data.run_preparation import RunPreparation
from calibration.progress import silent
from calibration.registration import Registration
from rtdecode.errors import ConfigError, RunError
from rtdecode.stages import dilate


class Locate:
    """Stands where registration would: a box of voxels where the head is known to lie."""

    def __init__(self, mask, coordinates_mm):
        self.found = Registration(
            coordinates_mm=coordinates_mm,
            mask=mask,
            grid_affine=np.eye(4),
            epi_on_grid=np.zeros(mask.shape, np.float32),
            overlap=0.9,
            covered=1.0,
            information=0.3,
            method="known",
        )
        self.seen = []

    def __call__(self, reference, _affine):
        """Remember what was to be registered."""
        self.seen.append(reference)
        return self.found


@pytest.fixture
def locate(made):
    """Return a registration that is known."""
    space = made.fitted.bundle.space
    return Locate(space.mask, space.coordinates_mm)


def _begun(made, locate, volumes, expected=None):
    grid = made.pretrained.grid_affine
    with RunPreparation(locate, grid, 3.0, expected) as preparation:
        for volume in volumes:
            preparation.add(volume)
        _, located, spread = preparation.learn_spread(silent)
        return located.space, located.registration, spread


@pytest.mark.parametrize("expected", [None, 60, 1000])
def test_the_spread_does_not_depend_on_when_volumes_come(made, locate, expected) -> None:
    """With the length known or not, or never reached, the result is that of a finished run."""
    volumes = made.volumes[:60]
    space, registration, spread = _begun(made, locate, volumes, expected)
    _, _, at_once = _begun(made, locate, volumes)
    assert registration.method == "known"
    np.testing.assert_array_equal(space.mask, locate.found.mask)
    if expected != 1000:  # a tenth of which is passed over before the mean begins
        np.testing.assert_array_equal(spread, at_once)
    assert len(locate.seen) == 2


def test_volumes_still_settling_are_passed_over(made, locate) -> None:
    """The bright first tenth of a run is not in its mean, nor what comes after twenty more."""
    volumes = made.volumes[:60]
    bright = [
        replace(v, data=3 * v.data) if v.index < 6 or v.index >= 6 + N_VOLUMES else v
        for v in volumes
    ]
    _begun(made, locate, volumes)
    _begun(made, locate, bright)
    np.testing.assert_array_equal(*locate.seen)


def test_a_run_that_is_too_short_is_refused(made, locate) -> None:
    """With how many volumes it had."""
    with pytest.raises(ConfigError, match="has 9 volumes"):
        _begun(made, locate, made.volumes[:9], 200)


def test_a_registration_that_fails_is_told_at_the_end(made) -> None:
    """Its thread's exception is not lost, and no thread stays."""

    def fail(_reference, _affine):
        raise RunError("overlap too low")

    with pytest.raises(RunError, match="overlap too low"):
        _begun(made, fail, made.volumes[:30])


def test_spreads_are_pooled_by_their_variance() -> None:
    """Three and five make the root of seventeen."""
    pooled = pooled_spread([np.full(4, 3, np.float32), np.full(4, 5, np.float32)])
    np.testing.assert_allclose(pooled, np.sqrt(17), rtol=1e-6)


def test_the_mask_is_the_registrations(made, locate) -> None:
    """Coordinates are given for the dilated mask, which the stages smooth over."""
    space, _, spread = _begun(made, locate, made.volumes[:30])
    assert spread.shape == (int(space.mask.sum()),)
    assert space.coordinates_mm.shape == (int(dilate(space.mask).sum()), 3)


def _first_values(mask):
    """Stand where a feature extractor would: the first seven voxels of each volume."""
    assert mask.any()
    return lambda volume: {10: np.array(volume[:7]), 0: np.array(volume[-3:])}


@pytest.mark.parametrize("expected", [None, 60])
def test_what_is_done_as_volumes_come_is_what_is_done_at_the_end(made, locate, expected) -> None:
    """Prepared volumes, state and features are the same, whatever length was expected."""
    volumes = made.volumes[:60]
    grid = made.pretrained.grid_affine
    found = []
    for length in (expected, None):
        with RunPreparation(locate, grid, 3.0, length, _first_values) as preparation:
            for volume in volumes:
                preparation.add(volume)
            found.append(preparation.finish(silent))
    live, later = found
    for one, other in zip(live.prepared[0], later.prepared[0], strict=True):
        np.testing.assert_array_equal(one.data, other.data)
        assert (one.index, one.motion, repr(one.quality)) == (
            other.index, other.motion, repr(other.quality),
        )  # fmt: skip
    for layer in (10, 0):
        np.testing.assert_array_equal(live.features[layer], later.features[layer])
        last = _first_values(live.space.mask)(live.prepared[0][-1].data)
        np.testing.assert_array_equal(live.features[layer][-1], last[layer])
    for name, array in live.initial.items():
        np.testing.assert_array_equal(array, later.initial[name])


def test_most_is_done_before_the_last_volume(made, locate) -> None:
    """While a run of known length is acquired, its volumes are prepared as they will be served."""
    volumes = made.volumes[:60]
    steps = []
    with RunPreparation(locate, made.pretrained.grid_affine, 3.0, 60, _first_values) as preparation:
        for volume in volumes[:30]:
            preparation.add(volume)
        preparation._location.result()
        for volume in volumes[30:]:
            preparation.add(volume)
        preparation.finish(lambda step, *_: steps.append(step))
    assert steps.count("learn the voxels' spread") == 0
    assert steps.count("prepare as served") < 20


def test_the_spread_is_learnt_from_two_thirds_of_the_run() -> None:
    """And from no fewer than the volumes of the mean EPI, or all there are."""
    assert spread_volumes(156) == 104
    assert spread_volumes(30) == 23
    assert spread_volumes(12) == 12
