"""The demo's simulated scan: a calibration run and a feedback run of one participant."""

from dataclasses import dataclass, field
from pathlib import Path

from calibration.demo.feedback_report import DemoPlan
from calibration.pretraining.grid import HAEMODYNAMIC_LAG_S
from calibration.pretraining.recordings import CHEAP, blocks
from calibration.progress import Progress
from calibration.simulation import (
    ActivationSettings,
    HeadTemplate,
    ParticipantSettings,
    RunDesign,
    SimulatedRun,
    make_participant,
    simulate_run,
    write_dicom,
    write_events,
)


@dataclass(frozen=True, slots=True)
class ScanSettings:
    """Design of the simulated scan."""

    calibration: RunDesign = field(default_factory=lambda: _design(5, series_number=5))
    feedback: RunDesign = field(default_factory=lambda: _design(3, series_number=7))


def population() -> ParticipantSettings:
    """Return the participant's population; the network was not trained on its states."""
    return ParticipantSettings(activation=ActivationSettings(bold_percent=3.0))


def scan(
    template: HeadTemplate, settings: ScanSettings, seed: int
) -> tuple[SimulatedRun, SimulatedRun]:
    """Return the calibration run and the feedback run of a new participant.

    Parameters
    ----------
    template
        From `simulation.load_template`.
    settings
        The two runs.
    seed
        Seed of the participant.
    """
    participant = make_participant(template, population(), seed)
    calibration = simulate_run(participant, settings.calibration, seed=1)
    return calibration, simulate_run(participant, settings.feedback, seed=2)


def write(run: SimulatedRun, folder: Path, progress: Progress) -> Path:
    """Write images to `folder/dicom` and events to `folder`; return the images' folder."""
    images = folder / "dicom"
    write_dicom(run, images, progress=lambda done, total: progress("images", done, total))
    write_events(run.events, folder / "events.tsv")
    return images


def plan(run: SimulatedRun, classes: tuple[str, ...]) -> DemoPlan:
    """Return the run's blocks, with the classes in the decoder's order."""
    return DemoPlan(
        classes=classes,
        blocks=blocks(run.events),
        volumes=len(run),
        repetition_time_s=run.design.protocol.repetition_time_s,
        lag_s=HAEMODYNAMIC_LAG_S,
    )


def _design(blocks_per_state: int, series_number: int) -> RunDesign:
    return RunDesign(blocks_per_state=blocks_per_state, protocol=CHEAP, series_number=series_number)
