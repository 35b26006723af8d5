"""Several people's sessions on disk, as a scanner and a stimulus program would leave them."""

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
"""Blocks of each state, to have one to hold out."""
SHORTEST_TR_S, LONGEST_TR_S = 0.3, 5.0
EVENTS = RunDesign(block_s=2.0, rest_s=6.0, jitter_s=6.0)
APART = 1000
"""Seeds of two cohorts are so far apart, so that no person is in both."""


@dataclass(frozen=True, slots=True)
class CohortSettings:
    """Who is scanned, doing what, and how."""

    subjects: int = 5
    states: int = 4
    """Up to four are hands, faces and places; more are drawn from the dictionary of regions."""
    minutes: float = 6.0
    """Largest number for each run."""
    runs: int = 2
    repetition_time_s: float = 1.0
    design: Literal["block", "event"] = "block"
    """Blocks of 12 s, or events of 2 s with 6 to 12 s between them."""
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
    """Simulate people and write `sub-*/run-*/dicom` and `events.tsv`, and what is true of all.

    Parameters
    ----------
    settings
        See `CohortSettings`; the same ones give the same files.
    out
        Folder to make; it must not exist or be empty.
    progress
        Told how many volumes are written.

    Raises
    ------
    ConfigError
        The settings make no sense, with every problem.
    """
    design = _design(settings, out)
    population = ParticipantSettings(states_of(settings.states, settings.seed))
    template = load_template()
    volumes = design.volumes(settings.states)
    done = [0] * settings.subjects
    total = settings.subjects * settings.runs * volumes

    def write(number: int) -> list[WrittenRun]:
        participant = make_participant(template, population, settings.seed * APART + number)
        subject = f"sub-{number:02d}"
        written = []
        for run in range(1, settings.runs + 1):
            folder = out / subject / f"run-{run}"
            numbered = replace(design, series_number=FIRST_SERIES + run - 1)
            simulated = simulate_run(participant, numbered, run)

            def tell(count: int, _of: int, before: int = (run - 1) * volumes) -> None:
                done[number - 1] = before + count
                progress("write volumes", sum(done), total)

            write_dicom(simulated, folder / "dicom", settings.vendor, tell)
            events = write_events(simulated.events, folder / "events.tsv")
            written.append(WrittenRun(subject, run, folder / "dicom", events, volumes))
        return written

    out.mkdir(parents=True, exist_ok=True)
    # Simulation leaves Python's lock alone for most of its time.
    with ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="simulate") as pool:
        written = [run for runs in pool.map(write, range(1, settings.subjects + 1)) for run in runs]
    truth = {"cohort": settings, "design": design, "population": population}
    text = msgspec.json.format(msgspec.json.encode(truth), indent=2)
    (out / "simulation.json").write_bytes(text + b"\n")
    return tuple(written)


def states_of(count: int, seed: int) -> tuple[TaskState, ...]:
    """Return the requested number of states: default ones, then ones drawn from the dictionary."""
    known = default_states()
    if count <= len(known):
        return known[:count]
    drawn = draw_states(count - len(known), stream("states", seed))
    return known + drawn


def _design(settings: CohortSettings, out: Path) -> RunDesign:
    """Return what every run looks like.

    Raises
    ------
    ConfigError
        With every problem of the settings.
    """
    plain = EVENTS if settings.design == "event" else RunDesign()
    round_s = settings.states * (plain.block_s + plain.rest_s + plain.jitter_s / 2)
    rounds = int((settings.minutes * 60 - plain.lead_in_s) / round_s) if round_s > 0 else 0
    needed = (plain.lead_in_s + MIN_ROUNDS * round_s) / 60
    tr_s = settings.repetition_time_s
    problems = []
    if settings.subjects < 1 or settings.runs < 1 or settings.seed < 0:
        problems.append("subjects and runs must be 1 or more, and the seed not negative")
    if settings.subjects >= APART:
        problems.append(f"{settings.subjects} subjects are too many; fewer than {APART}")
    if settings.states < 1:
        problems.append(f"{settings.states} states are none; ask for one or more")
    elif rounds < MIN_ROUNDS:
        problems.append(
            f"{settings.minutes:g} minutes are too short for {MIN_ROUNDS} blocks of each of "
            f"{settings.states} states: give {needed:.1f} minutes or more, or fewer states"
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
    return replace(plain, blocks_per_state=rounds, protocol=protocol)
