"""One simulated participant: anatomy, activity, noise and motion."""

from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from calibration.simulation.activation import (
    ActivationSettings,
    TaskState,
    default_states,
    draw_patterns,
)
from calibration.simulation.anatomy import HeadTemplate, halve
from calibration.simulation.deformation import AnatomySettings, Deformation, draw_deformation
from calibration.simulation.distortion import DistortionSettings, draw_peak_mm
from calibration.simulation.epi_protocol import (
    ANATOMY_GRID,
    DYNAMICS_GRID,
    EpiProtocol,
    apply_transform,
    inverse,
    place_slab,
    rotation,
)
from calibration.simulation.haemodynamics import (
    Haemodynamics,
    HaemodynamicSettings,
    draw_haemodynamics,
)
from calibration.simulation.motion import MotionSettings
from calibration.simulation.noise import NoiseMaps, NoiseSettings, draw_networks, draw_weight
from calibration.simulation.seeds import lognormal, stream
from rtdecode.errors import ConfigError
from rtdecode.types import Float32, Float64

TOP_MM = 80.0
"""Height of the top of the MNI152 brain, MNI millimetres."""


@dataclass(frozen=True)
class ParticipantSettings:
    """The population of the participants."""

    states: tuple[TaskState, ...] = field(default_factory=default_states)
    activation: ActivationSettings = field(default_factory=ActivationSettings)
    anatomy: AnatomySettings = field(default_factory=AnatomySettings)
    haemodynamics: HaemodynamicSettings = field(default_factory=HaemodynamicSettings)
    noise: NoiseSettings = field(default_factory=NoiseSettings)
    distortion: DistortionSettings = field(default_factory=DistortionSettings)
    motion: MotionSettings = field(default_factory=MotionSettings)

    def __post_init__(self) -> None:
        names = [state.trial_type for state in self.states]
        problems = []
        if not names or len(set(names)) != len(names) or "" in names:
            problems.append(f"ParticipantSettings.states must have distinct names: {names}")
        if not 0.0 <= self.activation.sharing <= 1.0:
            problems.append(
                f"ActivationSettings.sharing must lie in 0..1: {self.activation.sharing}"
            )
        if self.noise.thermal_snr <= 0:
            problems.append(f"NoiseSettings.thermal_snr must be positive: {self.noise.thermal_snr}")
        if problems:
            raise ConfigError(problems)


@dataclass(frozen=True, eq=False)
class Participant:
    """One simulated participant in the scanner."""

    seed: int
    settings: ParticipantSettings
    deformation: Deformation
    """The map from head millimetres to MNI millimetres."""
    pose: Float64
    """Affine from head millimetres to scanner RAS+ millimetres, (4, 4)."""
    coil: Float64
    """The coil's gain at the rim, and its slopes along x, y and z per 100 mm, (4,)."""
    distortion_mm: float
    """Maximum shift of tissue along the phase encoding."""
    signal: Float32
    """Signal relative to grey matter, on `epi_protocol.ANATOMY_GRID`."""
    patterns: Float32
    """BOLD change of each state as a fraction of the signal, (states, voxels of `noise.mask`)."""
    noise: NoiseMaps
    haemodynamics: Haemodynamics

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the states, in the order of `patterns`."""
        return tuple(state.trial_type for state in self.settings.states)

    def to_mni(self, scanner_mm: Float64) -> Float64:
        """Return the true MNI millimetres (3, n) of scanner millimetres (3, n) at zero motion."""
        return self.deformation.to_mni(apply_transform(inverse(self.pose), scanner_mm))

    def epi_affine(self, protocol: EpiProtocol) -> Float64:
        """Return the affine (4, 4) of the slices that the operator planned for this head."""
        top = self.deformation.from_mni(np.array([[0.0], [-20.0], [TOP_MM]]))
        return place_slab(protocol, self.pose, float(top[2, 0]))


def make_participant(
    template: HeadTemplate, settings: ParticipantSettings, seed: int
) -> Participant:
    """Draw one participant; the same settings and seed give the same one.

    Parameters
    ----------
    template
        From `anatomy.load_template`.
    settings
        The population.
    seed
        Seed of the participant, not negative.
    """
    if seed < 0:
        raise ConfigError(f"The seed of a simulated participant must be 0 or more: {seed}")
    deformation = draw_deformation(settings.anatomy, stream("shape", seed))
    mni_mm = deformation.to_mni(ANATOMY_GRID.points_mm())
    grey, white, csf, relative = (
        template.sample(name, mni_mm).reshape(ANATOMY_GRID.shape)
        for name in ("grey", "white", "csf", "signal")
    )
    # From `ANATOMY_GRID` to `DYNAMICS_GRID`.
    coarse_grey, coarse_white, coarse_csf = (halve(each) for each in (grey, white, csf))
    mask = coarse_grey + coarse_white + coarse_csf > 0.3
    mask_mni_mm = deformation.to_mni(DYNAMICS_GRID.points_mm()[:, mask.ravel()])
    patterns = draw_patterns(
        settings.states,
        settings.activation,
        template,
        mask_mni_mm,
        coarse_grey[mask],
        stream("activation", seed),
    )
    noise = NoiseMaps(
        mask,
        draw_weight(
            mask,
            (coarse_grey[mask], coarse_white[mask], coarse_csf[mask]),
            settings.noise,
            stream("noisy places", seed),
        ),
        coarse_csf[mask],
        draw_networks(mask, coarse_grey[mask], settings.noise, stream("networks", seed)),
        float(lognormal(stream("noise level", seed), settings.noise.person_spread)),
    )
    return Participant(
        seed=seed,
        settings=settings,
        deformation=deformation,
        pose=_draw_pose(stream("pose", seed)),
        coil=np.array([0.35, 0.0, -0.05, -0.10]) + 0.05 * stream("coil", seed).standard_normal(4),
        distortion_mm=draw_peak_mm(settings.distortion, stream("distortion", seed)),
        signal=_individual(relative, grey, stream("texture", seed)),
        patterns=patterns,
        noise=noise,
        haemodynamics=draw_haemodynamics(settings.haemodynamics, stream("haemodynamics", seed)),
    )


def _individual(relative: Float32, grey: Float32, rng: np.random.Generator) -> Float32:
    """Return the signal with individual folds, blurred as by an EPI read-out."""
    texture = ndimage.gaussian_filter(
        rng.standard_normal(relative.shape, dtype=np.float32), 0.8, mode="reflect"
    )
    texture *= 0.11 / texture.std()
    return ndimage.gaussian_filter(relative * (1 + texture * (0.3 + grey)), 0.5, mode="constant")


def _draw_pose(rng: np.random.Generator) -> Float64:
    """Draw the head's position: mostly pitch, little rotation about other axes, off-centre."""
    pose = np.eye(4)
    pose[:3, :3] = rotation(*np.deg2rad([7.0, 1.5, 2.0] * rng.standard_normal(3)))
    pose[:3, 3] = [0.0, 5.0, -5.0] + np.array([2.0, 8.0, 12.0]) * rng.standard_normal(3)
    return pose
