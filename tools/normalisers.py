"""Online normalisers that `compare_normalisers` compares; everything here sees only the past.

Each *level* predicts a volume from the volumes before it and returns the errors of its predictions,
each over the square root of what white noise of unit variance would give them (recursive residuals,
Brown, Durbin & Evans 1975). Each *spread* says what unit the errors are in. Voxels z-scored are one
level with one spread. They are written for clarity, over a whole run at once; the one that serving
uses is `rtdecode.stages.normalise`.
"""

from dataclasses import dataclass

import numpy as np

from rtdecode.types import Bool, Float32, Float64

Z_BOUND = 8.0
LEVEL_VOLUMES = 4
"""Errors before so many volumes are no measure of a spread."""


@dataclass(frozen=True, eq=False)
class Run:
    """One run as it reaches the normaliser."""

    values: Float32
    """(volumes, voxels) realigned, resampled and smoothed."""
    motion: Float64
    """(volumes, 6) mm and rad."""
    learn: Bool
    """(volumes,) whether the volume may become past: no head motion, no signal drop."""
    repetition_time_s: float

    def __len__(self) -> int:
        """Return the number of volumes."""
        return len(self.values)

    def part(self, chosen: Bool) -> "Run":
        """Return the chosen volumes, (volumes,), which must be neighbours, as a run."""
        return Run(
            self.values[chosen], self.motion[chosen], self.learn[chosen], self.repetition_time_s
        )


def exponential(run: Run, memory_s: float) -> Float32:
    """Level: exponentially weighted mean, a plain mean at first; infinite memory is Welford's."""
    retention = np.exp(-run.repetition_time_s / memory_s)
    most = retention / (1 - retention) if retention < 1 else np.inf
    level, weight, own = run.values[0].astype(np.float64), 0.0, 0.0
    errors = np.zeros_like(run.values)
    for t, volume in enumerate(run.values):
        error = volume - level
        errors[t] = error / np.sqrt(1 + own)
        if run.learn[t]:
            weight = min(weight, most) + 1
            level = level + error / weight
            own = (1 - 1 / weight) ** 2 * own + 1 / weight**2
    return errors


def baseline(run: Run, baseline_s: float) -> Float32:
    """Level: the mean of the run's first seconds, for ever; 0 while they last."""
    n = round(baseline_s / run.repetition_time_s)
    level = run.values[:n][run.learn[:n]].mean(axis=0, dtype=np.float64)
    errors: Float32 = ((run.values - level) / np.sqrt(1 + 1 / n)).astype(np.float32)
    errors[:n] *= np.sqrt((n + 1) / (n - 1))  # these helped to make the mean they are held against
    return errors


def window(run: Run, window_s: float) -> Float32:
    """Level: the mean of the last volumes predicts the next (as Hinds et al. 2011, windowed)."""
    length = round(window_s / run.repetition_time_s)
    errors = np.zeros_like(run.values)
    for t in range(1, len(run)):
        past = np.flatnonzero(run.learn[:t])[-length:]
        if len(past):
            level = run.values[past].mean(axis=0, dtype=np.float64)
            errors[t] = (run.values[t] - level) / np.sqrt(1 + 1 / len(past))
    return errors


def recursive_glm(run: Run, memory_s: float, *, drift: bool = True, motion: bool = True) -> Float32:
    """Level: recursive least squares with forgetting predicts the next volume.

    Regressors are an intercept, time and the six parameters of motion (Bagarinao et al. 2003; Hinds
    et al. 2011). A ridge that never fades keeps slopes finite where the past cannot tell them:
    it is worth four volumes of a drift of 1 per 100 s and of motion of 0.2 mm or 0.2 degrees.
    """
    n, tr = len(run), run.repetition_time_s
    columns = [np.ones(n)]
    if drift:
        columns.append(np.arange(n) * tr / 100)
    if motion:
        moved = run.motion - run.motion[0]
        columns.extend((moved / np.repeat([0.2, np.deg2rad(0.2)], 3)).T)
    design = np.array(columns).T
    ridge = np.diag([1e-6] + [4.0] * (design.shape[1] - 1))
    retention = np.exp(-tr / memory_s)
    gram = np.zeros_like(ridge)
    origin = run.values[0].astype(np.float64)
    product = np.zeros((design.shape[1], run.values.shape[1]))
    errors = np.zeros_like(run.values)
    for t, row in enumerate(design):
        solved = np.linalg.solve(gram + ridge, row)
        change = run.values[t] - origin
        if gram[0, 0] > 0:
            errors[t] = (change - solved @ product) / np.sqrt(1 + row @ solved)
        if run.learn[t]:
            gram = retention * gram + np.outer(row, row)
            product = retention * product + row[:, None] * change
    return errors


def spread_of(errors: Float32, chosen: Bool) -> Float32:
    """Return the root mean square error of each voxel over the chosen volumes, (voxels,)."""
    counted = chosen.copy()
    counted[:LEVEL_VOLUMES] = False
    return np.sqrt(np.square(errors[counted], dtype=np.float64).mean(axis=0)).astype(np.float32)


def fixed(errors: Float32, spread: Float32) -> Float32:
    """Spread: the calibration run's, unchanged."""
    safe = np.where(spread > 1e-4 * np.median(spread), spread, np.inf)
    return np.clip(errors / safe, -Z_BOUND, Z_BOUND).astype(np.float32)


def adapted(run: Run, errors: Float32, memory_s: float, spread: Float32 | None = None) -> Float32:
    """Spread: of the errors so far with a memory, starting from the calibration run's if given."""
    retention = np.exp(-run.repetition_time_s / memory_s)
    most = retention / (1 - retention) if retention < 1 else np.inf
    variance = np.zeros(errors.shape[1]) if spread is None else np.square(spread, dtype=np.float64)
    weight = 0.0 if spread is None else min(most, 1e3)
    scores = np.zeros_like(errors)
    for t, error in enumerate(errors):
        least = 1e-8 * np.median(variance)
        scores[t] = np.where(variance > least, error / np.sqrt(np.maximum(variance, 1e-12)), 0)
        if run.learn[t] and t > 0:
            weight = min(weight, most) + 1
            variance = variance + (np.square(error, dtype=np.float64) - variance) / weight
    return np.clip(scores, -Z_BOUND, Z_BOUND)


def offline(run: Run, period_s: float = 200.0) -> Float32:
    """Take cosines slower than `period_s` from the whole run, and z-score: not causal.

    Faster than about twice the time in which every class comes once, it takes the classes with it.
    """
    n = len(run)
    order = int(2 * n * run.repetition_time_s / period_s) + 1
    times = (np.arange(n) + 0.5) / n
    basis = np.cos(np.pi * np.outer(times, np.arange(order)))
    good = run.learn
    fitted = np.linalg.lstsq(basis[good], run.values[good].astype(np.float64), rcond=None)[0]
    cleaned = run.values - basis @ fitted
    return fixed(cleaned.astype(np.float32), cleaned[good].std(axis=0).astype(np.float32))
