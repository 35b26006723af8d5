"""Causal level, spread and z."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtdecode.stages import normalise
from rtdecode.types import State

SETTINGS = normalise.NormaliseSettings(repetition_time_s=2.0, memory_s=16.0, spread_memory_s=30.0)


def run(
    series: np.ndarray,
    state: State,
    elapsed: list[int] | None = None,
    learn: list[bool] | None = None,
) -> tuple[State, np.ndarray]:
    """Return the final state and the z of all volumes."""
    scores = []
    for t, values in enumerate(series.astype(np.float32)):
        state, z = normalise.step(
            SETTINGS,
            state,
            values,
            elapsed[t] if elapsed else 1,
            learn=learn[t] if learn else True,
        )
        scores.append(z)
    return state, np.array(scores)


def explicit_z(series: np.ndarray, times: np.ndarray, learn: list[bool]) -> np.ndarray:
    """Return z by explicit weights over each voxel's whole past, in quadratic time.

    Later gains reduce a volume's weight in the level. The spread is the weighted mean of squared
    prediction errors, each divided by its variance for white noise.
    """
    keep = np.exp(-SETTINGS.repetition_time_s / SETTINGS.memory_s)
    keep_spread = np.exp(-SETTINGS.repetition_time_s / SETTINGS.spread_memory_s)
    past: list[int] = []
    level_weights, spread_weights = np.zeros(0), np.zeros(0)
    level_count = spread_count = 0.0
    squares: list[np.ndarray] = []
    out = np.zeros_like(series)
    for t, values in enumerate(series):
        if past:
            level = level_weights @ series[past]
            excess = 1 + (level_weights**2).sum()
            error = values - level
            if squares:
                spread = np.sqrt(spread_weights @ np.array(squares) * excess)
                out[t] = np.clip(error / spread, -normalise.Z_BOUND, normalise.Z_BOUND)
        if not learn[t]:
            continue
        age = times[t] - times[past[-1]] if past else 1
        cap = sum(keep ** (age + k) for k in range(5000))
        if past:
            spread_cap = sum(keep_spread ** (age + k) for k in range(5000))
            spread_count = min(spread_count, spread_cap) + 1
            spread_weights = np.append(spread_weights * (1 - 1 / spread_count), 1 / spread_count)
            squares.append(error**2 / excess)
        level_count = min(level_count, cap) + 1
        level_weights = np.append(level_weights * (1 - 1 / level_count), 1 / level_count)
        past.append(t)
    return out


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    steps=st.lists(st.tuples(st.integers(1, 4), st.booleans()), min_size=8, max_size=40),
)
def test_the_online_update_equals_the_explicit_formula(
    seed: int, steps: list[tuple[int, bool]]
) -> None:
    """Explicit weights give the same z, also with missing or unlearnt volumes."""
    rng = np.random.default_rng(seed)
    series = 500 + 3 * rng.standard_normal((len(steps), 5)).cumsum(axis=0)
    elapsed, learn = [e for e, _ in steps], [keep for _, keep in steps]
    _, scores = run(series, normalise.initial_state(SETTINGS, 5), elapsed, learn)
    expected = explicit_z(series.astype(np.float32).astype(float), np.cumsum(elapsed), learn)
    # In the first volumes, the spread may be below the floor or only rounding error.
    known = np.cumsum(learn) - np.array(learn) >= 5
    np.testing.assert_allclose(scores[known], expected[known], rtol=2e-3, atol=2e-3)


def test_the_level_begins_as_the_plain_mean_and_forgets_exponentially() -> None:
    """Weights are 1/n while the run is short, and 1 - exp(-TR / memory) from then on."""
    state = normalise.initial_state(SETTINGS, 1)
    gains = []
    for _ in range(40):
        state, _ = normalise.step(SETTINGS, state, np.ones(1, np.float32))
        gains.append(1 / float(state["level_weight"]))
    alpha = 1 - np.exp(-2 / 16)
    np.testing.assert_allclose(gains, [max(1 / n, alpha) for n in range(1, 41)])


def test_white_noise_has_unit_variance_from_the_first_ready_volumes(
    rng: np.random.Generator,
) -> None:
    """The uncertainty of the level enters z, so early values are not too large."""
    series = 900 + 7 * rng.standard_normal((60, 20000))
    _, scores = run(series, normalise.initial_state(SETTINGS, 20000))
    spread = scores.std(axis=1)
    assert 0.95 < np.median(np.abs(scores[12:])) / 0.6745 < 1.1
    assert np.all(np.abs(spread[12:] - 1) < 0.2)
    assert np.all(np.abs(scores[12:].mean(axis=1)) < 0.05)


def test_the_spread_is_learnt_over_the_whole_run(rng: np.random.Generator) -> None:
    """After minutes its error is that of all volumes, far below that of the level's memory."""
    long = normalise.NormaliseSettings(repetition_time_s=2.0)
    state = normalise.initial_state(long, 4000)
    for values in (600 + 5 * rng.standard_normal((200, 4000))).astype(np.float32):
        state, _ = normalise.step(long, state, values)
    spread = normalise.spread_of(state)
    # The relative error of the standard deviation of n independent values is 1 / sqrt(2 n).
    assert spread.std() / spread.mean() < 1.2 / np.sqrt(2 * 200)
    np.testing.assert_allclose(spread.mean(), 5, rtol=0.02)


def test_task_activity_does_not_change_the_unit_of_z(rng: np.random.Generator) -> None:
    """After two strong blocks, a later, equal block has the same z."""
    task = np.zeros(150)
    for onset in (60, 72, 84, 96, 130):
        task[onset : onset + 8] = 3
    series = 600 + rng.standard_normal((150, 3000)) + task[:, None]
    long = normalise.NormaliseSettings(repetition_time_s=2.0)
    state, spreads = normalise.initial_state(long, 3000), []
    for values in series.astype(np.float32):
        state, _ = normalise.step(long, state, values)
        spreads.append(float(np.median(normalise.spread_of(state))))
    assert max(spreads[104:]) / min(spreads[104:]) < 1.1


def test_drift_is_removed(rng: np.random.Generator) -> None:
    """A drift of many spreads over a run changes z little."""
    noise = rng.standard_normal((200, 500))
    drift = 40 * np.sin(np.linspace(0, 3, 200))[:, None]
    _, scores = run(800 + noise + drift, normalise.initial_state(SETTINGS, 500))
    assert np.abs(scores[50:].mean(axis=1)).max() < 2


def test_a_volume_that_is_not_learnt_only_ages_the_memory(rng: np.random.Generator) -> None:
    """A spike has a clipped z; later z equal those of a run with a gap instead."""
    series = 700 + 5 * rng.standard_normal((30, 50))
    spiked = series.copy()
    spiked[15] += 400
    learn = [t != 15 for t in range(30)]
    start = normalise.initial_state(SETTINGS, 50)
    _, scores = run(spiked, start, learn=learn)
    without = np.delete(series, 15, axis=0)
    _, expected = run(without, start, elapsed=[2 if t == 15 else 1 for t in range(29)])
    np.testing.assert_array_equal(np.delete(scores, 15, axis=0), expected)
    assert np.all(scores[15] == normalise.Z_BOUND)


def test_voxels_without_measurement_are_zero(rng: np.random.Generator) -> None:
    """A constant voxel and one outside the field of view give 0, not amplified noise."""
    series = 600 + rng.standard_normal((20, 3))
    series[:, 1], series[:, 2] = 0, 412.3
    _, scores = run(series, normalise.initial_state(SETTINGS, 3))
    assert np.all(scores[5:, 0] != 0)
    np.testing.assert_array_equal(scores[:, 1:], 0)


def test_a_known_spread_makes_a_run_ready_sooner(rng: np.random.Generator) -> None:
    """With an earlier run's spread, the fifth volume is ready and has the correct scale."""
    series = 600 + 3 * rng.standard_normal((40, 4000))
    learnt, _ = run(series, normalise.initial_state(SETTINGS, 4000))
    spread = normalise.spread_of(learnt)
    fresh, known = (normalise.initial_state(SETTINGS, 4000, s) for s in (None, spread))
    for values in series[:4].astype(np.float32):
        assert not normalise.is_ready(SETTINGS, known)
        fresh, _ = normalise.step(SETTINGS, fresh, values)
        known, _ = normalise.step(SETTINGS, known, values)
    assert normalise.is_ready(SETTINGS, known)
    assert not normalise.is_ready(SETTINGS, fresh)
    _, z = normalise.step(SETTINGS, known, series[4].astype(np.float32))
    assert 0.85 < z.std() < 1.15


@pytest.mark.parametrize(("repetition_time_s", "volumes"), [(0.72, 28), (2.0, 10), (3.0, 8)])
def test_the_spread_is_learnt_for_20_s_and_8_volumes(
    repetition_time_s: float, volumes: int
) -> None:
    """Readiness needs a time, and a minimum number of volumes for slow sequences."""
    assert normalise.NormaliseSettings(repetition_time_s).spread_volumes == volumes


def test_a_restart_forgets_the_level_and_keeps_the_spread(rng: np.random.Generator) -> None:
    """After a restart, the next volume is the new level."""
    series = 600 + 3 * rng.standard_normal((20, 100))
    state, _ = run(series, normalise.initial_state(SETTINGS, 100))
    after, _ = normalise.step(SETTINGS, normalise.restart(state), series[0].astype(np.float32))
    np.testing.assert_allclose(after["level"], series[0], rtol=1e-6)
    np.testing.assert_array_equal(after["variance"], state["variance"])
