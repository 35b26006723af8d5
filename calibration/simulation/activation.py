"""The pattern of activity of each state, in the group and in one participant."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calibration.simulation.anatomy import HeadTemplate
from calibration.simulation.seeds import lognormal
from rtdecode.types import Float32, Float64

MIN_CHANGE = 1e-9
"""Smaller changes of the signal are set to zero."""


@dataclass(frozen=True)
class Focus:
    """One active region."""

    region: str
    centre_mm: tuple[float, float, float]
    """The centre in MNI millimetres; negative x is left."""
    gain: float = 1.0
    """Height relative to the participant's BOLD amplitude; negative if activity decreases."""
    radius_mm: float = 7.5
    """Standard deviation of the Gaussian profile."""


@dataclass(frozen=True)
class TaskState:
    """A state of the participant, and the group's pattern of activity for it."""

    trial_type: str
    foci: tuple[Focus, ...]


@dataclass(frozen=True)
class ActivationSettings:
    """Variation of activity between people, blocks and volumes."""

    bold_percent: float = 1.8
    """Signal change at the centre of a focus of gain 1, in a long block, in grey matter."""
    sharing: float = 0.6
    """Share of the pattern's variance that all people have in common: 0 for none, 1 for all."""
    focus_jitter_mm: float = 4.0
    """Standard deviation of each focus's position along each axis."""
    gain_spread: float = 0.3
    """Standard deviation of the logarithm of each focus's gain."""
    person_spread: float = 0.2
    """Standard deviation of the logarithm of the participant's amplitude."""
    block_spread: float = 0.3
    """Standard deviation of the logarithm of each block's amplitude."""


_CUE = (
    Focus("V1 left", (-9.0, -88.0, 0.0), 0.7, 9.0),
    Focus("V1 right", (11.0, -86.0, 1.0), 0.7, 9.0),
)


def _hand(side: str) -> tuple[Focus, ...]:
    """Return the foci of moving one hand: crossed in the cortex, uncrossed in the cerebellum."""
    x = 1.0 if side == "left" else -1.0
    return (
        Focus("primary motor", (38.0 * x, -24.0, 56.0), 1.2, 8.0),
        Focus("primary somatosensory", (44.0 * x, -30.0, 50.0), 0.9, 7.5),
        Focus("supplementary motor area", (4.0 * x, -4.0, 60.0), 0.6, 7.5),
        Focus("secondary somatosensory", (50.0 * x, -22.0, 18.0), 0.5, 7.5),
        Focus("putamen", (26.0 * x, -4.0, 4.0), 0.4, 6.0),
        Focus("primary motor, same side", (-38.0 * x, -24.0, 56.0), -0.3, 8.0),
        Focus("cerebellum V", (-18.0 * x, -52.0, -22.0), 0.9, 7.5),
        *_CUE,
    )


def default_states() -> tuple[TaskState, ...]:
    """Return four states of common experiments: two hands, and two kinds of picture.

    Centres are typical of the literature: the hand area and its somatotopic partners (Mayka et al.
    2006), fusiform and occipital face areas and the posterior superior temporal sulcus (Kanwisher
    et al. 1997; Pitcher et al. 2011), parahippocampal, retrosplenial and occipital place areas
    (Epstein & Kanwisher 1998; Dilks et al. 2013).
    """
    faces = (
        Focus("fusiform face area right", (40.0, -53.0, -19.0), 1.2),
        Focus("fusiform face area left", (-39.0, -54.0, -19.0), 0.9),
        Focus("occipital face area right", (39.0, -80.0, -8.0), 1.0),
        Focus("occipital face area left", (-38.0, -81.0, -9.0), 0.8),
        Focus("superior temporal sulcus right", (52.0, -46.0, 9.0), 0.8),
        Focus("amygdala right", (20.0, -6.0, -16.0), 0.5, 6.0),
        Focus("amygdala left", (-20.0, -6.0, -16.0), 0.5, 6.0),
        *_CUE,
    )
    places = (
        Focus("parahippocampal place area right", (27.0, -45.0, -9.0), 1.2),
        Focus("parahippocampal place area left", (-26.0, -46.0, -9.0), 1.1),
        Focus("retrosplenial complex right", (18.0, -55.0, 12.0), 0.9),
        Focus("retrosplenial complex left", (-17.0, -56.0, 11.0), 0.9),
        Focus("occipital place area right", (34.0, -81.0, 21.0), 0.9),
        Focus("occipital place area left", (-32.0, -83.0, 20.0), 0.8),
        *_CUE,
    )
    return (
        TaskState("left_hand", _hand("left")),
        TaskState("right_hand", _hand("right")),
        TaskState("faces", faces),
        TaskState("places", places),
    )


def paint(foci: Sequence[Focus], mni_mm: Float64, grey: Float32) -> Float64:
    """Return the activity (n,) of `foci` at MNI millimetres (3, n), weighted by grey matter."""
    activity = np.zeros(mni_mm.shape[1])
    for focus in foci:
        distance = np.sum((mni_mm - np.array(focus.centre_mm)[:, None]) ** 2, axis=0)
        activity += focus.gain * np.exp(-distance / (2 * focus.radius_mm**2))
    # Most 4 mm voxels of the cortex contain other tissue too, but respond fully.
    return activity * np.minimum(1.0, 1.5 * grey)


def draw_patterns(
    states: Sequence[TaskState],
    settings: ActivationSettings,
    template: HeadTemplate,
    mni_mm: Float64,
    grey: Float32,
    rng: np.random.Generator,
) -> Float32:
    """Draw one participant's pattern for every state.

    It is sqrt(sharing) x the group's pattern (with its foci moved and scaled) + sqrt(1 - sharing) x
    a private pattern (the same number of foci with the same gains, anywhere in grey matter). The
    private pattern is scaled to the energy of the group's.

    Parameters
    ----------
    states
        The states with the group's foci.
    settings
        The variation between people.
    template
        The map of grey matter, for the private foci.
    mni_mm
        MNI millimetres of the participant's voxels, (3, voxels).
    grey
        Share of grey matter in these voxels, (voxels,).
    rng
        Source of randomness.

    Returns
    -------
    (states, voxels), signal change as a fraction of the signal.
    """
    amplitude = settings.bold_percent / 100 * float(lognormal(rng, settings.person_spread))
    grey_voxels = np.argwhere(template.grey > 0.6)
    patterns = []
    for state in states:
        group = paint(state.foci, mni_mm, grey)
        energy = np.linalg.norm(group)
        group_foci = [_vary(focus, focus.centre_mm, settings, rng) for focus in state.foci]
        private_foci = []
        for focus in state.foci:
            voxel = grey_voxels[rng.integers(len(grey_voxels))]
            centre = template.affine[:3, :3] @ voxel + template.affine[:3, 3]
            private_foci.append(_vary(focus, tuple(centre), settings, rng))
        pattern = np.sqrt(settings.sharing) * paint(group_foci, mni_mm, grey)
        private = paint(private_foci, mni_mm, grey)
        norm = np.linalg.norm(private)
        if norm > 0:
            pattern += np.sqrt(1.0 - settings.sharing) * energy / norm * private
        patterns.append(amplitude * pattern)
    changes = np.array(patterns)
    # The far tails are denormal numbers, which processors handle ten times more slowly.
    return np.where(np.abs(changes) < MIN_CHANGE, 0, changes).astype(np.float32)


def _vary(
    focus: Focus,
    centre_mm: tuple[float, ...],
    settings: ActivationSettings,
    rng: np.random.Generator,
) -> Focus:
    """Return one participant's variant of `focus`, near `centre_mm`."""
    x, y, z = np.array(centre_mm) + settings.focus_jitter_mm * rng.standard_normal(3)
    gain = focus.gain * float(lognormal(rng, settings.gain_spread))
    return Focus(focus.region, (float(x), float(y), float(z)), gain, focus.radius_mm)
