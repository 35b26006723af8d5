"""One simulated run: its truth, and its volumes as a scanner would reconstruct them."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from pydicom.uid import generate_uid
from scipy import ndimage

from calibration.simulation.design import RunDesign, schedule, states_at
from calibration.simulation.distortion import distorted
from calibration.simulation.epi_protocol import (
    ANATOMY_GRID,
    DYNAMICS_GRID,
    Grid,
    epi_points_mm,
    inverse,
    rigid,
    transformed,
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
"""Siemens stores 12 bits."""
_GHOST = 0.012
"""Share of the image that appears again half a field of view away (N/2 ghost)."""
_REACH_VOXELS = 4
"""How far beyond the head, in anatomy voxels, motion may carry it."""


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
    """The state of the participant at each volume, '' at rest; no haemodynamic lag."""
    responses: Float64
    """(volumes, states): BOLD response, 1 at the plateau of a long block of mean strength."""
    motion: tuple[Motion, ...]
    """Motion of each volume relative to the head's nominal pose, about the centre of the volume."""
    series_uid: str
    study_uid: str

    def __len__(self) -> int:
        """Return the number of volumes."""
        return len(self.truth)

    @property
    def centre_mm(self) -> Float64:
        """Centre of the volume in scanner millimetres, about which `motion` rotates."""
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
        Blocks and scan.
    seed
        Of this run, not negative; it joins the participant's own.
    """
    if seed < 0:
        raise ConfigError(f"The seed of a simulated run must not be negative: {seed}")
    settings = participant.settings
    path = (participant.seed, seed)
    events = schedule(design, participant.states, stream("order", *path))
    # Slices share the volume's middle as their time: no slice timing is simulated or claimed.
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
    """Yield the intensities of each volume, whole numbers in 0..`MAXIMUM`."""
    participant, protocol = run.participant, run.design.protocol
    settings, path = participant.settings.noise, (participant.seed, run.seed)
    points = epi_points_mm(protocol, run.affine)
    from_scanner = inverse(participant.pose)
    near = _near_head(participant, transformed(from_scanner, points))
    tissue, brightness = distorted(
        points[:, near],
        run.affine[:3, 1] / np.linalg.norm(run.affine[:3, 1]),
        participant.deformation.affine @ from_scanner,
        participant.distortion_mm,
    )
    head = np.ascontiguousarray(tissue, dtype=np.float32)
    coil = GREY_INTENSITY * _coil(participant, points, run.centre_mm)[near]
    seen = (brightness * coil).astype(np.float32)
    history = slice_brightness(run.motion, run.affine, run.centre_mm, protocol).astype(np.float32)
    of_slice = np.flatnonzero(near) % protocol.matrix[2]
    still = np.zeros(protocol.matrix, dtype=np.float32)
    still.reshape(-1)[near] = seen * _sample(participant.signal, ANATOMY_GRID, from_scanner, head)
    ghost = _GHOST * np.roll(still, protocol.matrix[1] // 2, axis=1)
    sigma = np.float32(participant.noise.level * GREY_INTENSITY / settings.thermal_snr)
    thermal = stream("thermal", *path)
    times_s = np.arange(len(run), dtype=np.float64) * protocol.repetition_time_s
    noises = physiological_noise(settings, participant.noise, times_s, stream("physiology", *path))
    # A response's far tails are denormal numbers, with which processors take ten times as long.
    responses = np.where(np.abs(run.responses) < MIN_RESPONSE, 0, run.responses)
    responses = responses.astype(np.float32)
    change = np.zeros(DYNAMICS_GRID.shape, dtype=np.float32)
    for motion, response, noise, slices in zip(run.motion, responses, noises, history, strict=True):
        moved = rigid(motion.as_array(), run.centre_mm)
        to_head = from_scanner @ inverse(moved)
        change[participant.noise.mask] = response @ participant.patterns + noise
        bright = _sample(participant.signal, ANATOMY_GRID, to_head, head)
        bright *= seen * slices[of_slice] * (1 + _sample(change, DYNAMICS_GRID, to_head, head))
        image = ghost.copy()
        image.reshape(-1)[near] += bright
        yield _rician(image, sigma, thermal)


def _sample(volume: Float32, grid: Grid, to_head: Float64, scanner_mm: Float32) -> Float32:
    """Interpolate `volume`, which lies on `grid` in the head, at scanner millimetres (3, n)."""
    to_voxels = to_head[:3] / grid.spacing_mm
    to_voxels[:, 3] -= np.array(grid.origin_mm) / grid.spacing_mm
    sampled = np.empty(scanner_mm.shape[1], dtype=np.float32)
    trilinear(volume, to_voxels.astype(np.float32), scanner_mm, sampled)
    return sampled


def _near_head(participant: Participant, head_mm: Float64) -> np.ndarray:
    """Return which points (3, n) lie in the head or so close that motion may bring it there."""
    reach = ndimage.binary_dilation(participant.signal > 0, iterations=_REACH_VOXELS)
    voxels = ANATOMY_GRID.voxels(head_mm)
    near: np.ndarray = ndimage.map_coordinates(reach.astype(np.float32), voxels, order=0) > 0
    return near


def _coil(participant: Participant, points_mm: Float64, centre_mm: Float64) -> Float64:
    """Return the coil's sensitivity (n,) at scanner points: brighter at the rim, sloping."""
    away = (points_mm - centre_mm[:, None]) / 100.0
    rim, slopes = participant.coil[0], participant.coil[1:]
    sensitivity: Float64 = 0.85 + rim * np.sum(away**2, axis=0) + slopes @ away
    return np.clip(sensitivity, 0.4, 1.8)


def _rician(image: Float32, sigma: np.float32, rng: np.random.Generator) -> Float32:
    """Return the magnitude of `image` with complex thermal noise, in whole numbers."""
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
