"""Rigid head motion: slow drift, jitter, breathing and sudden movements."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from rtdecode.types import Float64


@dataclass(frozen=True)
class MotionSettings:
    """Amount of head motion; the default is a cooperative adult.

    Each value is a standard deviation, of translations along and rotations about each axis.
    """

    between_runs_mm: float = 0.4
    between_runs_deg: float = 0.3
    drift_mm: float = 0.20
    """Slow drift over a run."""
    drift_deg: float = 0.15
    jitter_mm: float = 0.02
    """Random motion from volume to volume."""
    jitter_deg: float = 0.02
    breathing_mm: float = 0.04
    """Amplitude of apparent motion along z with each breath."""
    breathing_hz: float = 0.27
    spikes: int = 1
    """Number of sudden movements in a run, after which the head returns only partly."""
    spike_mm: float = 0.25
    spike_deg: float = 0.25


def draw_motion(
    settings: MotionSettings,
    times_s: Float64,
    quiet_s: float,
    rng: np.random.Generator,
) -> Float64:
    """Draw the motion of one run.

    Parameters
    ----------
    settings
        The amount of motion.
    times_s
        Acquisition times of the volumes, (volumes,).
    quiet_s
        There is no sudden movement before this time.
    rng
        Source of randomness.

    Returns
    -------
    (volumes, 6): trans_x, trans_y, trans_z in mm, rot_x, rot_y, rot_z in radians, relative to
    the head's nominal pose, in the convention of `rtdecode.types.Motion`.
    """
    volumes = len(times_s)
    degree = np.deg2rad(1.0)
    scale = np.repeat([1.0, degree], 3)

    def per_axis(mm: float, deg: float) -> Float64:
        return np.repeat([mm, deg], 3) * scale

    start = per_axis(settings.between_runs_mm, settings.between_runs_deg) * rng.standard_normal(6)
    motion = np.tile(start, (volumes, 1))
    motion += per_axis(settings.drift_mm, settings.drift_deg) * _drift(volumes, times_s, rng)
    motion += per_axis(settings.jitter_mm, settings.jitter_deg) * rng.standard_normal((volumes, 6))
    phase = 2 * np.pi * (settings.breathing_hz * times_s + rng.uniform())
    motion[:, 2] += settings.breathing_mm * np.sin(phase)
    late = np.flatnonzero(times_s >= min(quiet_s, float(times_s[-1])))
    for at in rng.choice(late, size=min(settings.spikes, len(late)), replace=False):
        since = times_s[at:] - times_s[at]
        shape = 0.25 + 0.75 * np.exp(-since / 1.5)
        direction = rng.standard_normal(6)
        direction *= np.sqrt(6) / np.linalg.norm(direction)
        jump = per_axis(settings.spike_mm, settings.spike_deg) * direction
        motion[at:] += shape[:, None] * jump
    return motion


def _drift(volumes: int, times_s: Float64, rng: np.random.Generator) -> Float64:
    """Return six slow curves that start at 0 and end at about unit size, (volumes, 6)."""
    linear = np.linspace(0.0, 1.0, volumes)[:, None] * rng.standard_normal(6)
    walk = np.cumsum(rng.standard_normal((volumes, 6)), axis=0) / np.sqrt(volumes)
    step_s = float(times_s[1] - times_s[0]) if volumes > 1 else 1.0
    walk = ndimage.gaussian_filter1d(walk, 8.0 / step_s, axis=0, mode="nearest")
    return linear + walk - walk[0]
