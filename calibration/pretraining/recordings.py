"""Simulated runs on the network's grid, prepared by the stages of the service."""

from dataclasses import dataclass

import numpy as np

from calibration.data.blocks import parse_classes
from calibration.data.labels import Labels, label_volumes
from calibration.pretraining.grid import (
    HAEMODYNAMIC_LAG_S,
    SMOOTHING_FWHM_MM,
    grid_affine,
)
from calibration.registration.image_geometry import voxel_centres_mm
from calibration.simulation import EpiProtocol, Participant, SimulatedRun
from calibration.simulation.epi_protocol import apply_transform
from rtdecode.events import Block, Event
from rtdecode.stages import Preparation, PreparationSettings, Space, dilate
from rtdecode.types import Bool, Float32

CHEAP = EpiProtocol(matrix=(48, 48, 28), voxel_mm=(4.5, 4.5, 4.5))
"""A protocol that is fast to simulate: 4.5 mm, one volume per second."""


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """One person's run on the network's grid."""

    data: Float32
    """Volumes, detrended and z-scored as in the service, (volumes, voxels in mask)."""
    labels: Labels


def prepare(run: SimulatedRun, mask: Bool) -> Recording:
    """Prepare a simulated run with the stages of the service, on the network's grid.

    The registration is the true one, except for the distortion of the EPI, which the registration
    of a calibration does not correct either.
    """
    volumes = run.volumes()
    first = next(volumes)
    space = Space(
        reference=first.data,
        reference_affine=first.affine,
        mask=mask,
        grid_affine=grid_affine(),
        coordinates_mm=true_coordinates(run.participant, mask),
    )
    step_s = run.design.protocol.repetition_time_s
    settings = PreparationSettings(repetition_time_s=step_s, smoothing_fwhm_mm=SMOOTHING_FWHM_MM)
    stages = Preparation(space, settings)
    data = np.empty((len(run), int(mask.sum())), np.float32)
    state = stages.initial_state()
    for volume in (first, *volumes):
        state, prepared = stages.step(state, volume)
        data[volume.index] = prepared.data
    acquired_s = np.arange(len(run), dtype=np.float64) * step_s
    run_blocks = blocks(run.events)
    spec = parse_classes(None, [block.trial_type for block in run_blocks])
    labels = label_volumes((run_blocks,), (acquired_s,), spec, HAEMODYNAMIC_LAG_S, min_blocks=1)
    return Recording(data, labels)


def true_coordinates(participant: Participant, mask: Bool) -> Float32:
    """Return the true position of each voxel of `dilate(mask)`, scanner millimetres, (n, 3)."""
    mni_mm = voxel_centres_mm(mask.shape, grid_affine())[dilate(mask).ravel()]
    head_mm = participant.deformation.from_mni(np.ascontiguousarray(mni_mm.T))
    return apply_transform(participant.pose, head_mm).T.astype(np.float32)


def blocks(events: tuple[Event, ...]) -> tuple[Block, ...]:
    """Return simulated events as blocks, for the labels of volumes."""
    return tuple(Block(e.trial_type, e.onset_s, e.end_s) for e in events)
