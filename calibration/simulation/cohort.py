"""Write simulated sessions of several people: DICOM files and BIDS events."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import msgspec

from calibration.progress import Progress, silent
from calibration.simulation.activation import TaskState, default_states
from calibration.simulation.anatomy import load_template
from calibration.simulation.design import RunDesign, write_events
from calibration.simulation.dicom_files import Vendor, write_dicom
from calibration.simulation.dictionary import draw_states
from calibration.simulation.epi_protocol import EpiProtocol
from calibration.simulation.participant import ParticipantSettings, make_participant
from calibration.simulation.seeds import stream
from calibration.simulation.simulated_run import simulate_run
from rtdecode.errors import ConfigError

FIRST_SERIES = 5
MIN_ROUNDS = 2
"""Minimum number of blocks of each state, so that one can be held out."""
SHORTEST_TR_S, LONGEST_TR_S = 0.3, 5.0
EVENTS = RunDesign(block_s=2.0, rest_s=6.0, jitter_s=6.0)
SEED_STEP = 1000
"""Distance between the seeds of two cohorts, so that no person belongs to both."""


@dataclass(frozen=True, slots=True)
class CohortSettings:
    """The people, states, runs and scanner of a cohort."""

    subjects: int = 5
    states: int = 4
    """Number of states: hands, faces and places up to four, further ones from the dictionary."""
    minutes: float = 6.0
    """Maximum length of each run."""
    runs: int = 2
    repetition_time_s: float = 1.0
    design: Literal["block", "event"] = "block"
    """Blocks of 12 s, or events of 2 s with pauses of 6 to 12 s."""
    vendor: Vendor = "siemens"
    seed: int = 1


@dataclass(frozen=True, slots=True)
class WrittenRun:
    """One run on disk."""

    subject: str
    """BIDS label, such as `sub-01`."""
    run: int
    dicom: Path
    events: Path
    volumes: int


def write_cohort(
    settings: CohortSettings, out: Path, progress: Progress = silent
) -> tuple[WrittenRun, ...]:
    """Simulate people; write `sub-*/run-*/dicom` and `events.tsv`, and `simulation.json`.

    Parameters
    ----------
    settings
        The same settings give the same files.
    out
        Output folder; it must be new or empty.
    progress
        Called with the number of written volumes.

    Raises
    ------
    ConfigError
        A setting is not valid; the error lists every problem.
    """
    design = _design(settings, out)
    population = ParticipantSettings(states_of(settings.states, settings.seed))
    template = load_template()
    volumes = design.volumes(settings.states)
    written_volumes = [0] * settings.subjects
    total = settings.subjects * settings.runs * volumes

    def write(number: int) -> list[WrittenRun]:
        participant = make_participant(template, population, settings.seed * SEED_STEP + number)
        subject = f"sub-{number:02d}"
        subject_runs = []
        for run in range(1, settings.runs + 1):
            folder = out / subject / f"run-{run}"
            run_design = replace(design, series_number=FIRST_SERIES + run - 1)
            simulated_run = simulate_run(participant, run_design, run)

            def report(count: int, _of: int, before: int = (run - 1) * volumes) -> None:
                written_volumes[number - 1] = before + count
                progress("write volumes", sum(written_volumes), total)

            write_dicom(simulated_run, folder / "dicom", settings.vendor, report)
            events = write_events(simulated_run.events, folder / "events.tsv")
            subject_runs.append(WrittenRun(subject, run, folder / "dicom", events, volumes))
        return subject_runs

    out.mkdir(parents=True, exist_ok=True)
    # The simulation runs without Python's global lock for most of its time.
    with ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="simulate") as pool:
        all_runs = [
            run for runs in pool.map(write, range(1, settings.subjects + 1)) for run in runs
        ]
    truth = {"cohort": settings, "design": design, "population": population}
    text = msgspec.json.format(msgspec.json.encode(truth), indent=2)
    (out / "simulation.json").write_bytes(text + b"\n")
    return tuple(all_runs)


def states_of(count: int, seed: int) -> tuple[TaskState, ...]:
    """Return this number of states: the default ones, then ones from the dictionary."""
    states = default_states()
    if count <= len(states):
        return states[:count]
    return states + draw_states(count - len(states), stream("states", seed))


def _design(settings: CohortSettings, out: Path) -> RunDesign:
    """Return the design of every run.

    Raises
    ------
    ConfigError
        A setting is not valid; the error lists every problem.
    """
    base = EVENTS if settings.design == "event" else RunDesign()
    round_s = settings.states * (base.block_s + base.rest_s + base.jitter_s / 2)
    rounds = int((settings.minutes * 60 - base.lead_in_s) / round_s) if round_s > 0 else 0
    min_minutes = (base.lead_in_s + MIN_ROUNDS * round_s) / 60
    tr_s = settings.repetition_time_s
    problems = []
    if settings.subjects < 1 or settings.runs < 1 or settings.seed < 0:
        problems.append("subjects and runs must be 1 or more, and the seed not negative")
    if settings.subjects >= SEED_STEP:
        problems.append(f"{settings.subjects} subjects are too many; give fewer than {SEED_STEP}")
    if settings.states < 1:
        problems.append(f"{settings.states} states: give 1 or more")
    elif rounds < MIN_ROUNDS:
        problems.append(
            f"{settings.minutes:g} minutes are too short for {MIN_ROUNDS} blocks of each of "
            f"{settings.states} states: give {min_minutes:.1f} minutes or more, or fewer states"
        )
    if not SHORTEST_TR_S <= tr_s <= LONGEST_TR_S:
        problems.append(
            f"a repetition time of {tr_s:g} s: must be {SHORTEST_TR_S:g} to {LONGEST_TR_S:g} s"
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        problems.append(f"{out} already exists; name a new or empty folder")
    if problems:
        raise ConfigError(problems)
    protocol = EpiProtocol(repetition_time_s=tr_s)
    return replace(base, blocks_per_state=rounds, protocol=protocol)
