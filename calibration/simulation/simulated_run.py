"""One simulated run: its true states, and its volumes as a scanner reconstructs them."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from pydicom.uid import generate_uid
from scipy import ndimage

from calibration.simulation.design import RunDesign, schedule, states_at
from calibration.simulation.distortion import displaced_tissue
from calibration.simulation.epi_protocol import (
    ANATOMY_GRID,
    DYNAMICS_GRID,
    Grid,
    apply_transform,
    epi_points_mm,
    inverse,
    rigid,
)
from calibration.simulation.haemodynamics import block_responses
from calibration.simulation.motion import draw_motion
from calibration.simulation.noise import physiological_noise
from calibration.simulation.participant import Participant
from calibration.simulation.sampling import trilinear
from calibration.simulation.seeds import lognormal, stream
from calibration.simulation.spin_history import slice_brightness
from rtdecode.errors import ConfigError
from rtdecode.events import Event
from rtdecode.types import Float32, Float64, Identity, Motion, Volume

GREY_INTENSITY = 750.0
"""Scanner intensity of grey matter at the coil's mean sensitivity."""
MIN_RESPONSE = 1e-6
MAXIMUM = 4095
"""Maximum intensity; Siemens stores 12 bits."""
_GHOST = 0.012
"""Intensity of the N/2 ghost, half a field of view away, as a share of the image."""
_MARGIN_VOXELS = 4
"""Margin around the head for its motion, in voxels of the anatomy."""


@dataclass(frozen=True, eq=False)
class SimulatedRun:
    """A run and its true state; its volumes are simulated on demand."""

    participant: Participant
    design: RunDesign
    seed: int
    affine: Float64
    """Voxel to scanner RAS+ millimetres, (4, 4)."""
    events: tuple[Event, ...]
    truth: tuple[str, ...]
    """The state of the participant at each volume, without haemodynamic lag; '' at rest."""
    responses: Float64
    """BOLD responses, (volumes, states); 1 at the plateau of a long block of mean strength."""
    motion: tuple[Motion, ...]
    """Motion of each volume relative to the head's nominal pose, about the volume's centre."""
    series_uid: str
    study_uid: str

    def __len__(self) -> int:
        """Return the number of volumes."""
        return len(self.truth)

    @property
    def centre_mm(self) -> Float64:
        """The centre of rotation of `motion`: the volume's centre, scanner millimetres."""
        middle = (np.array(self.design.protocol.matrix) - 1) / 2
        return self.affine[:3, :3] @ middle + self.affine[:3, 3]

    def volumes(self) -> Iterator[Volume]:
        """Yield the volumes in order, the same on every call."""
        digest = hashlib.sha256(self.series_uid.encode()).hexdigest()[:12]
        step_s = self.design.protocol.repetition_time_s
        for index, data in enumerate(_images(self)):
            yield Volume(
                index=index,
                data=data,
                affine=self.affine,
                acquired_s=index * step_s,
                repetition_time_s=step_s,
                identity=Identity(digest, self.design.series_number, index + 1),
            )


def simulate_run(participant: Participant, design: RunDesign, seed: int) -> SimulatedRun:
    """Draw one run of a participant; the same arguments give the same run.

    Parameters
    ----------
    participant
        From `participant.make_participant`.
    design
        The blocks and the acquisition.
    seed
        Seed of this run, not negative; it is combined with the participant's.
    """
    if seed < 0:
        raise ConfigError(f"The seed of a simulated run must be 0 or more: {seed}")
    settings = participant.settings
    path = (participant.seed, seed)
    events = schedule(design, participant.states, stream("order", *path))
    # The time of all slices is the middle of the volume: slice timing is not simulated.
    volumes = design.volumes(len(participant.states))
    times_s = (np.arange(volumes, dtype=np.float64) + 0.5) * design.protocol.repetition_time_s
    amplitudes = lognormal(stream("blocks", *path), settings.activation.block_spread, len(events))
    motion = draw_motion(settings.motion, times_s, design.lead_in_s, stream("motion", *path))
    return SimulatedRun(
        participant=participant,
        design=design,
        seed=seed,
        affine=participant.epi_affine(design.protocol),
        events=events,
        truth=states_at(events, times_s),
        responses=block_responses(
            events, participant.states, amplitudes, participant.haemodynamics, times_s
        ),
        motion=tuple(Motion.from_array(row) for row in motion),
        series_uid=generate_uid(
            entropy_srcs=["rtdecode", *map(str, path), str(design.series_number)]
        ),
        study_uid=generate_uid(entropy_srcs=["rtdecode", str(participant.seed)]),
    )


def _images(run: SimulatedRun) -> Iterator[Float32]:
    """Yield the intensities of each volume, integers in 0..`MAXIMUM`."""
    participant, protocol = run.participant, run.design.protocol
    settings, path = participant.settings.noise, (participant.seed, run.seed)
    points = epi_points_mm(protocol, run.affine)
    from_scanner = inverse(participant.pose)
    near = _near_head(participant, apply_transform(from_scanner, points))
    tissue, brightness = displaced_tissue(
        points[:, near],
        run.affine[:3, 1] / np.linalg.norm(run.affine[:3, 1]),
        participant.deformation.affine @ from_scanner,
        participant.distortion_mm,
    )
    head = np.ascontiguousarray(tissue, dtype=np.float32)
    coil = GREY_INTENSITY * _coil(participant, points, run.centre_mm)[near]
    sensitivity = (brightness * coil).astype(np.float32)
    history = slice_brightness(run.motion, run.affine, run.centre_mm, protocol).astype(np.float32)
    of_slice = np.flatnonzero(near) % protocol.matrix[2]
    still = np.zeros(protocol.matrix, dtype=np.float32)
    still.reshape(-1)[near] = sensitivity * _sample(
        participant.signal, ANATOMY_GRID, from_scanner, head
    )
    ghost = _GHOST * np.roll(still, protocol.matrix[1] // 2, axis=1)
    sigma = np.float32(participant.noise.level * GREY_INTENSITY / settings.thermal_snr)
    thermal = stream("thermal", *path)
    times_s = np.arange(len(run), dtype=np.float64) * protocol.repetition_time_s
    noises = physiological_noise(settings, participant.noise, times_s, stream("physiology", *path))
    # A response's far tails are denormal numbers, which processors handle ten times more slowly.
    responses = np.where(np.abs(run.responses) < MIN_RESPONSE, 0, run.responses)
    responses = responses.astype(np.float32)
    change = np.zeros(DYNAMICS_GRID.shape, dtype=np.float32)
    for motion, response, noise, slices in zip(run.motion, responses, noises, history, strict=True):
        head_motion = rigid(motion.as_array(), run.centre_mm)
        to_head = from_scanner @ inverse(head_motion)
        change[participant.noise.mask] = response @ participant.patterns + noise
        bright = _sample(participant.signal, ANATOMY_GRID, to_head, head)
        bright *= (
            sensitivity * slices[of_slice] * (1 + _sample(change, DYNAMICS_GRID, to_head, head))
        )
        image = ghost.copy()
        image.reshape(-1)[near] += bright
        yield _rician(image, sigma, thermal)


def _sample(volume: Float32, grid: Grid, to_head: Float64, scanner_mm: Float32) -> Float32:
    """Interpolate `volume`, on `grid` in the head, at scanner millimetres (3, n)."""
    to_voxels = to_head[:3] / grid.spacing_mm
    to_voxels[:, 3] -= np.array(grid.origin_mm) / grid.spacing_mm
    sampled = np.empty(scanner_mm.shape[1], dtype=np.float32)
    trilinear(volume, to_voxels.astype(np.float32), scanner_mm, sampled)
    return sampled


def _near_head(participant: Participant, head_mm: Float64) -> np.ndarray:
    """Return which points (3, n) lie in the head or in the margin for its motion."""
    head_and_margin = ndimage.binary_dilation(participant.signal > 0, iterations=_MARGIN_VOXELS)
    voxels = ANATOMY_GRID.voxels(head_mm)
    near: np.ndarray = (
        ndimage.map_coordinates(head_and_margin.astype(np.float32), voxels, order=0) > 0
    )
    return near


def _coil(participant: Participant, points_mm: Float64, centre_mm: Float64) -> Float64:
    """Return the coil's sensitivity (n,) at scanner points: higher at the rim, with slopes."""
    away = (points_mm - centre_mm[:, None]) / 100.0
    rim, slopes = participant.coil[0], participant.coil[1:]
    sensitivity: Float64 = 0.85 + rim * np.sum(away**2, axis=0) + slopes @ away
    return np.clip(sensitivity, 0.4, 1.8)


def _rician(image: Float32, sigma: np.float32, rng: np.random.Generator) -> Float32:
    """Return the magnitude of `image` with complex thermal noise, as integers."""
    real = rng.standard_normal(image.shape, dtype=np.float32)
    real *= sigma
    real += image
    imaginary = rng.standard_normal(image.shape, dtype=np.float32)
    imaginary *= sigma
    real *= real
    imaginary *= imaginary
    real += imaginary
    magnitude = np.rint(np.sqrt(real, out=real), out=real)
    return np.minimum(magnitude, np.float32(MAXIMUM), out=magnitude)
