"""A few simulated people whose runs the demo's network learns from."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from calibration.dataset import Labels, label_volumes
from calibration.events import Block, parse_classes
from calibration.progress import Progress
from calibration.registration.geometry import voxel_centres_mm
from calibration.registration.template import on_grid
from calibration.simulation import (
    ActivationSettings,
    EpiProtocol,
    Event,
    Participant,
    ParticipantSettings,
    RunDesign,
    SimulatedRun,
    Template,
    make_participant,
    simulate_run,
)
from calibration.simulation.geometry import transformed
from rtdecode.stages import Preparation, PreparationSettings, Space, dilate
from rtdecode.types import Bool, Float32, Float64

GRID_SHAPE = (46, 55, 46)
GRID_ORIGIN_MM = (90.0, -126.0, -72.0)
GRID_MM = 4.0
"""Every other voxel of the published network's grid; the first axis runs from right to left."""
SMOOTHING_FWHM_MM = 6.0
HAEMODYNAMIC_LAG_S = 5.0
CHEAP = EpiProtocol(matrix=(48, 48, 28), voxel_mm=(4.5, 4.5, 4.5))
"""A scan that takes a simulated scanner little time: 4.5 mm, one volume a second."""


def grid_affine() -> Float64:
    """Return the network's grid, voxel to MNI millimetres, (4, 4)."""
    affine = np.diag([-GRID_MM, GRID_MM, GRID_MM, 1.0])
    affine[:3, 3] = GRID_ORIGIN_MM
    return affine


def population() -> ParticipantSettings:
    """Return who the simulated people are: brains alike, but by no means the same."""
    return ParticipantSettings(activation=ActivationSettings(bold_percent=3.0, sharing=0.7))


@dataclass(frozen=True, slots=True)
class GroupSettings:
    """Which people, and how they are scanned."""

    people: int = 5
    blocks_per_state: int = 2
    population: ParticipantSettings = field(default_factory=population)
    protocol: EpiProtocol = CHEAP


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """One person's run on the network's grid."""

    data: Float32
    """(volumes, voxels in mask), detrended and z-scored as when serving."""
    labels: Labels


def brain_mask() -> Bool:
    """Return the voxels that the network sees, on its grid."""
    return on_grid(GRID_SHAPE, grid_affine()).mask


def simulate_group(
    template: Template, mask: Bool, settings: GroupSettings, seed: int, progress: Progress
) -> list[Recording]:
    """Scan people and prepare their runs.

    Their registration is the true one, so that nothing is estimated here that calibration
    estimates for the demo's participant.

    Parameters
    ----------
    template
        From `simulation.load_template`.
    mask
        From `brain_mask`.
    settings
        Which people.
    seed
        Of the first person; the others have the numbers after it.
    progress
        Told how many people are done.
    """

    def scan(number: int) -> Recording:
        participant = make_participant(template, settings.population, number)
        design = RunDesign(blocks_per_state=settings.blocks_per_state, protocol=settings.protocol)
        return prepare(simulate_run(participant, design, number), mask)

    recordings = []
    # Simulation and stages leave Python's lock alone for most of their time.
    with ThreadPoolExecutor(2, thread_name_prefix="group") as pool:
        people = range(seed, seed + settings.people)
        for done, recording in enumerate(pool.map(scan, people), start=1):
            recordings.append(recording)
            progress("scan simulated people", done, settings.people)
    return recordings


def prepare(run: SimulatedRun, mask: Bool) -> Recording:
    """Take a simulated run through the serving stages, onto the network's grid."""
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
    shown = blocks(run.events)
    spec = parse_classes(None, [block.trial_type for block in shown])
    return Recording(data, label_volumes((shown,), (acquired_s,), spec, HAEMODYNAMIC_LAG_S))


def true_coordinates(participant: Participant, mask: Bool) -> Float32:
    """Return where each voxel of `dilate(mask)` truly lies, scanner millimetres, (n, 3)."""
    mni_mm = voxel_centres_mm(mask.shape, grid_affine())[dilate(mask).ravel()]
    head_mm = participant.deformation.from_mni(np.ascontiguousarray(mni_mm.T))
    return transformed(participant.pose, head_mm).T.astype(np.float32)


def blocks(events: tuple[Event, ...]) -> tuple[Block, ...]:
    """Return simulated events as the blocks that volumes are labelled by."""
    return tuple(Block(e.trial_type, e.onset_s, e.onset_s + e.duration_s) for e in events)
