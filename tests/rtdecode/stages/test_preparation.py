"""The stages in order."""

import io
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from rtdecode.errors import ConfigError, RunError, VolumeError
from rtdecode.stages import Preparation, PreparationSettings, Space
from rtdecode.stages.rigid import motion_matrix
from rtdecode.types import Motion, Prepared, Stamps, State, Volume


class TickingClock:
    """A clock that advances at each reading."""

    def __init__(self) -> None:
        self.now = 100

    def monotonic_ns(self) -> int:
        """Return the last time plus one."""
        self.now += 1
        return self.now

    def sleep_until(self, monotonic_ns: int) -> None:
        """Return immediately."""
        self.now = max(self.now, monotonic_ns)


@pytest.fixture
def preparation(space: Space, settings: PreparationSettings) -> Preparation:
    """Return the preparation under test."""
    return Preparation(space, settings, TickingClock())


@pytest.fixture(scope="module")
def volumes(scan: Callable[..., Volume]) -> list[Volume]:
    """Return a run of 24 volumes of a head that drifts by a tenth of a millimetre a volume."""
    return [
        scan(index=n, motion=motion_matrix(Motion(trans_z=0.1 * n), np.zeros(3))) for n in range(24)
    ]


def prepare_all(
    preparation: Preparation, volumes: list[Volume], state: State | None = None
) -> tuple[State, list[Prepared]]:
    """Return the last state and all prepared volumes."""
    state, out = state or preparation.initial_state(), []
    for volume in volumes:
        state, prepared = preparation.step(state, volume)
        out.append(prepared)
    return state, out


def saved(state: State) -> State:
    """Return the state after saving and loading it."""
    file = io.BytesIO()
    np.savez(file, **state)
    file.seek(0)
    with np.load(file) as archive:
        return dict(archive)


def test_a_run_is_converted_to_z_scores(preparation: Preparation, volumes: list[Volume]) -> None:
    """The first volumes are not ready; the others are z-scores without motion."""
    _, out = prepare_all(preparation, volumes)
    assert [p.index for p in out] == list(range(24))
    assert [p.quality.why for p in out] == [("not_ready",)] * 11 + [()] * 13
    assert all(not p.data.any() for p in out[:11])
    late = np.array([p.data for p in out[11:]])
    assert late.shape[1] == preparation.initial_state()["normalise.level"].size
    assert 0.8 < late.std() < 1.3
    assert [p.motion.trans_z for p in out] == pytest.approx([0.1 * n for n in range(24)], abs=0.03)
    assert out[-1].quality.framewise_displacement == pytest.approx(0.1, abs=0.05)


def test_a_state_is_never_changed(preparation: Preparation, volumes: list[Volume]) -> None:
    """Two steps from one state give the same result and change no array."""
    state, _ = prepare_all(preparation, volumes[:12])
    before = {name: array.copy() for name, array in state.items()}
    first, second = (preparation.step(state, volumes[12])[1] for _ in range(2))
    np.testing.assert_array_equal(first.data, second.data)
    for name, array in before.items():
        np.testing.assert_array_equal(state[name], array)


@pytest.mark.parametrize("cut", [1, 7, 15])
def test_a_run_resumed_from_disk_gives_the_same_bits(
    cut: int,
    space: Space,
    settings: PreparationSettings,
    preparation: Preparation,
    volumes: list[Volume],
) -> None:
    """A run that is saved and loaded into a new preparation equals an unbroken run."""
    whole, expected = prepare_all(preparation, volumes)
    state, first = prepare_all(preparation, volumes[:cut])
    other = Preparation(space, settings, TickingClock())
    last, second = prepare_all(other, volumes[cut:], saved(state))
    for a, b in zip(first + second, expected, strict=True):
        assert a.data.tobytes() == b.data.tobytes()
        assert (a.motion, repr(a.quality)) == (b.motion, repr(b.quality))
    assert whole.keys() == last.keys()
    assert all(whole[name].tobytes() == last[name].tobytes() for name in whole)


def test_a_motion_spike_is_marked_and_not_learnt(
    preparation: Preparation, scan: Callable[..., Volume], volumes: list[Volume]
) -> None:
    """The jump and the jump back are no evidence and do not change later volumes."""
    jump = scan(index=15, motion=motion_matrix(Motion(trans_y=4.0), np.zeros(3)))
    _, out = prepare_all(preparation, [*volumes[:15], jump, *volumes[16:]])
    assert out[15].quality.why == out[16].quality.why == ("motion",)
    assert not out[15].quality.usable
    assert out[15].motion.trans_y == pytest.approx(4.0, abs=0.05)
    _, without = prepare_all(preparation, volumes)
    assert np.corrcoef(out[17].data, without[17].data)[0, 1] > 0.95


def test_a_gap_ages_the_memory(preparation: Preparation, volumes: list[Volume]) -> None:
    """The next volume has more weight after missing volumes."""
    state, _ = prepare_all(preparation, volumes)
    near, far = (
        preparation.step(state, replace(volumes[-1], index=24 + gap), elapsed=1 + gap)[0]
        for gap in (0, 20)
    )
    assert far["normalise.level_weight"] < near["normalise.level_weight"]


def test_an_earlier_run_s_spread_makes_a_run_ready_sooner(
    preparation: Preparation, volumes: list[Volume]
) -> None:
    """A feedback run with the calibration run's spread is ready after four volumes."""
    state, _ = prepare_all(preparation, volumes)
    start = preparation.initial_state(preparation.spread_of(state))
    _, out = prepare_all(preparation, volumes[:6], start)
    assert [p.quality.usable for p in out] == [False] * 4 + [True] * 2
    with pytest.raises(ConfigError, match="initial spread"):
        preparation.initial_state(np.ones(3, np.float32))


def test_bright_first_volumes_do_not_affect_the_spread(
    preparation: Preparation, volumes: list[Volume]
) -> None:
    """The statistics restart while magnetisation approaches its steady state."""
    bright = [
        replace(v, data=v.data * np.float32(gain))
        for v, gain in zip(volumes, (1.5, 1.2, 1.08), strict=False)
    ]
    _, out = prepare_all(preparation, bright + volumes[3:])
    assert out[1].quality.why == ("not_ready", "signal_drop")
    assert 0.7 < np.array([p.data for p in out[16:]]).std() < 1.3


def test_every_stage_is_stamped(preparation: Preparation, volumes: list[Volume]) -> None:
    """Earlier stamps remain, and each stage adds its own in order."""
    volume = replace(volumes[0], stamps=Stamps(received_ns=5, parsed_ns=9))
    _, prepared = preparation.step(preparation.initial_state(), volume)
    assert prepared.stamps == Stamps(
        received_ns=5,
        parsed_ns=9,
        realigned_ns=101,
        resampled_ns=102,
        smoothed_ns=103,
        normalised_ns=104,
    )


def test_a_head_outside_the_field_of_view_is_unusable(
    preparation: Preparation, scan: Callable[..., Volume], volumes: list[Volume]
) -> None:
    """The quality of a volume that covers less of the mask names the field of view."""
    affine = volumes[0].affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [0, 0, 12]
    slab = scan(index=12, shape=(44, 52, 22), affine=affine)
    state, _ = prepare_all(preparation, volumes[:12])
    _, prepared = preparation.step(state, slab)
    assert "field_of_view" in prepared.quality.why


def test_warm_up_does_not_change_results(preparation: Preparation, volumes: list[Volume]) -> None:
    """A run after the warm-up equals one without it."""
    _, cold = prepare_all(preparation, volumes[:3])
    preparation.warm_up()
    _, warm = prepare_all(preparation, volumes[:3])
    assert [p.motion for p in cold] == [p.motion for p in warm]


def test_all_problems_are_reported_together(space: Space) -> None:
    """One error lists the problems of settings and space."""
    broken = replace(space, coordinates_mm=space.coordinates_mm[1:])
    with pytest.raises(ConfigError) as caught:
        Preparation(broken, PreparationSettings(repetition_time_s=2.0, memory_s=3.0))
    assert len(caught.value.problems) == 2
    assert "preparation.memory_s" in str(caught.value)
    assert "space.coordinates_mm" in str(caught.value)


def test_wrong_state_index_or_shape_is_refused(
    preparation: Preparation, volumes: list[Volume]
) -> None:
    """Another mask's state, a repeated index and a volume of one slice are errors."""
    state = preparation.initial_state()
    other = state | {"normalise.level": np.zeros(5, np.float32)}
    with pytest.raises(RunError, match="start a new run"):
        preparation.step(other, volumes[0])
    with pytest.raises(RunError, match="too low"):
        preparation.step(state, volumes[0], elapsed=0)
    with pytest.raises(VolumeError, match="2 voxels or more"):
        preparation.step(state, replace(volumes[0], data=volumes[0].data[:, :, :1]))
