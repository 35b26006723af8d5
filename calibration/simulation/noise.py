"""Noise of the voxels: physiological and thermal.

Physiological noise scales with the signal and moves with the head; thermal noise does neither
(Krüger & Glover 2001). The physiological noise has components of few modes (drift, resting
networks, global fluctuation, heart and breath) and one of full rank, spatially smooth and
autoregressive, so that no decoder can project it out.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage, signal

from calibration.simulation.epi_protocol import DYNAMICS_GRID
from rtdecode.types import Bool, Float32, Float64


@dataclass(frozen=True)
class NoiseSettings:
    """Size of each component. Percentages are standard deviations over grey matter's signal."""

    person_spread: float = 0.2
    """Standard deviation of the logarithm of a person's noise level."""
    place_spread: float = 0.3
    """Standard deviation of the logarithm of the noise level over the places of one brain."""

    thermal_snr: float = 110.0
    """Ratio of grey matter's signal to the thermal noise's standard deviation, in one volume."""
    smooth_percent: float = 0.60
    """Amount of spatially smooth, autoregressive noise."""
    smooth_fwhm_mm: float = 8.0
    autoregression: float = 0.35
    """Correlation of the smooth noise from one second to the next."""
    networks: int = 8
    """Number of resting networks, which are fixed maps with slow time courses."""
    network_percent: float = 0.30
    """Amount of noise of each network."""
    network_memory_s: float = 8.0
    """Time in which the autocorrelation of a network's activity falls to 1/e."""
    global_percent: float = 0.15
    drift_percent: float = 0.6
    """Drift of the scanner and the head over a run."""
    cardiac_percent: float = 0.5
    """Amplitude in fluid, where pulsation is strongest."""
    cardiac_hz: float = 1.1
    breathing_percent: float = 0.2
    breathing_hz: float = 0.27


@dataclass(frozen=True, eq=False)
class NoiseMaps:
    """Spatial maps of one participant's noise sources, for the voxels of `mask`."""

    mask: Bool
    """The brain on `epi_protocol.DYNAMICS_GRID`."""
    weight: Float32
    """Relative noise, (voxels,): about 1 in grey matter, less in white matter, more in fluid."""
    fluid: Float32
    """Share of cerebrospinal fluid, (voxels,)."""
    networks: Float32
    """Maps of the networks, (networks, voxels), with unit root mean square in grey matter."""
    level: float
    """Noise level of the person; 1 is the population's median."""


def draw_weight(
    mask: Bool,
    tissues: tuple[Float32, Float32, Float32],
    settings: NoiseSettings,
    rng: np.random.Generator,
) -> Float32:
    """Draw the noise of each voxel, (voxels,), from its grey matter, white matter and fluid."""
    grey, white, csf = tissues
    place = np.exp(settings.place_spread * _smooth_map(mask, 20.0, rng))
    return np.asarray((grey + 0.6 * white + 1.3 * csf) * place, dtype=np.float32)


def draw_networks(
    mask: Bool, grey: Float32, settings: NoiseSettings, rng: np.random.Generator
) -> Float32:
    """Draw one participant's resting networks, (networks, voxels): smooth maps in grey matter."""
    maps = np.empty((settings.networks, int(mask.sum())), dtype=np.float32)
    for index in range(settings.networks):
        network = _smooth_map(mask, 24.0, rng) * np.sqrt(grey)
        maps[index] = network / np.sqrt(np.average(network**2, weights=grey))
    return maps


def _smooth_map(mask: Bool, fwhm_mm: float, rng: np.random.Generator) -> Float32:
    """Return a smooth random map over `mask` of zero mean and unit standard deviation."""
    sigma = fwhm_mm / 2.355 / DYNAMICS_GRID.spacing_mm
    field = rng.standard_normal(mask.shape, dtype=np.float32)
    values = ndimage.gaussian_filter(field, sigma, mode="reflect")[mask]
    return (values - values.mean()) / values.std()


def _memory(volumes: int, correlation: float, rng: np.random.Generator) -> Float64:
    """Return first-order autoregressive noise (volumes,) of unit variance."""
    white = rng.standard_normal(volumes)
    white[1:] *= np.sqrt(1 - correlation**2)
    return signal.lfilter([1.0], [1.0, -correlation], white)


def _oscillation(times_s: Float64, hertz: float, rng: np.random.Generator) -> Float64:
    """Return the sine and cosine (2, volumes), of unit variance, of a rate that varies by 5 %."""
    step_s = np.diff(times_s, prepend=times_s[0])
    wander = np.cumsum(rng.standard_normal(len(times_s))) * 0.05 * np.sqrt(step_s.max())
    phase = 2 * np.pi * (hertz * times_s + rng.uniform()) + 2 * np.pi * hertz * wander
    return np.sqrt(2.0) * np.array([np.sin(phase), np.cos(phase)])


def _components(
    settings: NoiseSettings, maps: NoiseMaps, times_s: Float64, rng: np.random.Generator
) -> tuple[Float32, Float32]:
    """Return the components of few modes: courses (volumes, modes) and maps (modes, voxels)."""
    volumes = len(times_s)
    step_s = float(times_s[1] - times_s[0]) if volumes > 1 else 1.0
    courses: list[Float64] = []
    modes: list[Float32] = []

    def add(course: Float64, mode: Float32, percent: float) -> None:
        courses.append(course)
        modes.append(np.asarray(percent / 100 * maps.weight * mode, dtype=np.float32))

    flat = np.ones_like(maps.weight)
    span = np.linspace(-1.0, 1.0, volumes)
    slow = 2 * np.pi * times_s / max(200.0, 0.7 * float(times_s[-1]))
    for course in (span * np.sqrt(3.0), np.sqrt(2.0) * np.sin(slow + rng.uniform(0, 2 * np.pi))):
        add(course, 0.5 + 0.6 * _smooth_map(maps.mask, 60.0, rng), settings.drift_percent)
    stay = float(np.exp(-step_s / settings.network_memory_s))
    for network in maps.networks:
        add(_memory(volumes, stay, rng), network, settings.network_percent)
    add(_memory(volumes, stay, rng), flat, settings.global_percent)
    turn = 0.5 * _smooth_map(maps.mask, 50.0, rng)
    pulsation = maps.fluid + 0.1
    for course, angle in zip(
        _oscillation(times_s, settings.cardiac_hz, rng), (np.cos(turn), np.sin(turn)), strict=True
    ):
        add(course, pulsation * angle, settings.cardiac_percent)
    breath = _oscillation(times_s, settings.breathing_hz, rng)[0]
    add(breath, 0.6 + 0.5 * _smooth_map(maps.mask, 50.0, rng), settings.breathing_percent)
    return np.array(courses, dtype=np.float32).T, np.array(modes)


def physiological_noise(
    settings: NoiseSettings, maps: NoiseMaps, times_s: Float64, rng: np.random.Generator
) -> Iterator[Float32]:
    """Yield each volume's noise (voxels of the mask,) as a fraction of the signal.

    Parameters
    ----------
    settings
        Size of each component.
    maps
        Spatial maps of the noise sources.
    times_s
        Acquisition times of the volumes, (volumes,), evenly spaced.
    rng
        Source of randomness.
    """
    courses, modes = _components(settings, maps, times_s, rng)
    box = ndimage.find_objects(maps.mask.astype(np.int8))[0]
    inside = maps.mask[box]
    kernel = _kernel(settings.smooth_fwhm_mm / 2.355 / DYNAMICS_GRID.spacing_mm)
    unit = np.float32(float(np.sum(kernel**2)) ** 1.5)
    step_s = float(times_s[1] - times_s[0]) if len(times_s) > 1 else 1.0
    stay = np.float32(settings.autoregression**step_s)
    scale = maps.weight * np.float32(settings.smooth_percent / 100)
    past: Float32 | None = None
    for course in courses:
        field = rng.standard_normal(inside.shape, dtype=np.float32)
        for axis in range(3):
            field = ndimage.correlate1d(field, kernel, axis=axis, mode="constant")
        fresh = field[inside] / unit
        past = fresh if past is None else stay * past + np.sqrt(1 - stay**2) * fresh
        yield np.float32(maps.level) * (course @ modes + scale * past)


def _kernel(sigma: float) -> Float32:
    """Return a Gaussian kernel of odd length that sums to 1."""
    radius = max(1, int(np.ceil(2.2 * sigma)))
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return (weights / weights.sum()).astype(np.float32)
