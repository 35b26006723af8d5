"""Quality of a volume."""

import numpy as np
import pytest

from rtdecode.stages import quality
from rtdecode.types import Quality, State

LIMITS = quality.QualityLimits()
FINE = quality.Measurements(motion=np.zeros(6), lost=False, outside=0.0, ready=True)
RETENTION = 0.95


@pytest.fixture
def brain(rng: np.random.Generator) -> np.ndarray:
    """Return ten volumes of 2,000 voxels with a temporal SNR of 50."""
    return (500 + 10 * rng.standard_normal((10, 2000))).astype(np.float32)


def judge(state: State, values: np.ndarray, **changes: object) -> tuple[State, Quality]:
    """Return the quality of one volume that is good except for `changes`."""
    measured = {name: getattr(FINE, name) for name in ("motion", "lost", "outside", "ready")}
    return quality.step(
        LIMITS, RETENTION, state, values, quality.Measurements(**(measured | changes))
    )


def settled(brain: np.ndarray) -> State:
    """Return the state after all volumes but the last."""
    state = quality.initial_state(brain.shape[1])
    for values in brain[:-1]:
        state, _ = judge(state, values)
    return state


def test_framewise_displacement_follows_power_2012() -> None:
    """Translations add up in mm, rotations as arcs on a sphere of 50 mm."""
    before, after = np.zeros(6), np.array([0.1, -0.2, 0.3, 0.01, -0.02, 0.0])
    assert quality.framewise_displacement(after, before) == pytest.approx(0.6 + 50 * 0.03)


def test_the_first_volume_has_no_displacement_and_no_dvars(brain: np.ndarray) -> None:
    """The first volume has no change and no temporal SNR."""
    _, first = judge(quality.initial_state(2000), brain[0], motion=np.full(6, 3.0))
    assert first.framewise_displacement == first.dvars == first.signal_drop == 0
    assert np.isnan(first.temporal_snr)
    assert first.usable


def test_dvars_and_temporal_snr_follow_their_definitions(brain: np.ndarray) -> None:
    """Both equal their formulas; DVARS is in per cent of the mean signal."""
    _, found = judge(settled(brain), brain[-1])
    change = brain[-1].astype(float) - brain[-2]
    assert found.dvars == pytest.approx(100 * np.sqrt((change**2).mean()) / 500, rel=1e-2)
    snr = brain.mean(axis=0) / brain.std(axis=0, ddof=1)
    assert found.temporal_snr == pytest.approx(np.median(snr), rel=1e-4)


@pytest.mark.parametrize(
    ("changes", "scale", "why"),
    [
        ({}, 1.0, ()),
        ({"motion": np.array([0.5, 0.3, 0.2, 0, 0, 0])}, 1.0, ("motion",)),
        ({"lost": True}, 1.0, ("realignment",)),
        ({"outside": 0.2}, 1.0, ("field_of_view",)),
        ({}, 0.9, ("signal_drop",)),
        ({}, 1.1, ("signal_rise",)),
        ({"ready": False}, 1.0, ("not_ready",)),
        ({"lost": True}, 0.2, ("realignment", "signal_drop")),
    ],
)
def test_all_reasons_are_reported(
    changes: dict[str, object], scale: float, why: tuple[str, ...], brain: np.ndarray
) -> None:
    """A volume is usable if and only if no reason applies."""
    _, found = judge(settled(brain), brain[-1] * np.float32(scale), **changes)
    assert found.why == why
    assert found.usable is (not why)
    if not why:
        assert quality.enters_statistics(found.why)


def test_volumes_are_usable_again_after_a_lasting_change_of_gain(brain: np.ndarray) -> None:
    """The mean signal follows the new gain."""
    state, usable = settled(brain), []
    for _ in range(40):
        state, found = judge(state, brain[-1] * np.float32(0.8))
        usable.append(found.usable)
    assert not usable[0]
    assert usable[-1]


def test_a_signal_jump_before_readiness_restarts_the_statistics(brain: np.ndarray) -> None:
    """A volume with a jump before readiness enters the restarted statistics."""
    state, _ = judge(quality.initial_state(2000), brain[0] * np.float32(1.4), ready=False)
    state, second = judge(state, brain[1], ready=False)
    assert second.why == ("not_ready", "signal_drop")
    assert quality.restarts_statistics(second.why)
    assert quality.enters_statistics(second.why)
    assert float(state["signal"]) == pytest.approx(500, rel=1e-2)
    _, third = judge(state, brain[2], ready=False)
    assert third.why == ("not_ready",)
    assert abs(third.signal_drop) < 0.01


def test_volumes_without_signal_give_finite_values() -> None:
    """A mean signal of zero does not divide by zero."""
    state = quality.initial_state(50)
    for _ in range(3):
        state, found = judge(state, np.zeros(50, np.float32))
    assert found.dvars == found.signal_drop == 0
    assert np.isnan(found.temporal_snr)
