"""Checks of options and input files before torch is imported, which takes seconds."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from calibration.data.blocks import find_blocks, parse_classes
from calibration.weights.store import describe, find_weights
from calibration.weights.study import describe_study, is_study
from rtdecode.errors import ConfigError, check_all
from rtdecode.events import read_events

if TYPE_CHECKING:
    from rtdecode.service import ServiceSettings


def check_inputs(
    files: Mapping[str, list[Path]],
    weights: str,
    live: "ServiceSettings | None",
    earlier: Path | None,
) -> None:
    """Refuse missing inputs before anything is read.

    Parameters
    ----------
    files
        Files and folders of each option.
    weights
        Name or file of the pretrained weights.
    live
        Settings of the service, if the run is being acquired.
    earlier
        An earlier bundle of the person.

    Raises
    ------
    ConfigError
        With every problem.
    """
    checks: list[Callable[[], object]] = [
        lambda: check_files(files),
        lambda: check_weights(weights),
    ]
    if live is not None:
        from rtdecode.service import check_start

        checks.append(partial(check_start, live))
    if earlier is not None:
        from rtdecode.service import check_bundle

        checks.append(partial(check_bundle, earlier))
    check_all(*checks)


def check_files(files: Mapping[str, list[Path]]) -> None:
    """Refuse files and folders that do not exist.

    Raises
    ------
    ConfigError
        With each path and its option.
    """
    problems = [
        f"{option} {path}: does not exist"
        for option, paths in files.items()
        for path in paths
        if not path.exists()
    ]
    if problems:
        raise ConfigError(problems)


def check_weights(weights: str) -> None:
    """Refuse pretrained weights that are unknown, not downloaded or invalid.

    Raises
    ------
    ConfigError
        The message says how to get them.
    """
    path = find_weights(weights)
    if is_study(path):
        describe_study(path)
    else:
        describe(path)


def check_events(events: list[Path], classes: str | None) -> None:
    """Refuse invalid events before the run is read or acquired.

    Raises
    ------
    ConfigError
        With every problem.
    """
    types: list[str] = []
    for path in events:
        blocks = find_blocks(read_events(path), path, math.inf)
        types += [block.trial_type for block in blocks]
    if events:
        parse_classes(classes, types)


def check_options(
    runs: list[Path],
    source: str | None,
    events: list[Path],
    *,
    zero_shot: bool,
    earlier: Path | None,
    volumes: int | None,
    out: Path,
) -> None:
    """Refuse options that contradict each other.

    Raises
    ------
    ConfigError
        With every problem.
    """
    problems = []
    if out.exists():
        problems.append(f"{out}: already exists; choose another --out or remove it first")
    if bool(runs) == (source is not None):
        problems.append("give either --run (once for each run) or --source, not both")
    if source is not None and volumes is None:
        problems.append("--source needs --volumes, the number of volumes of the calibration run")
    if zero_shot and (events or earlier is not None):
        problems.append("--zero-shot keeps what the weights know: it takes no --events or --from")
    if not zero_shot and not events:
        problems.append("give --events FILE to fit to this person, or --zero-shot")
    if events and len(events) != max(1, len(runs)):
        problems.append(
            f"{len(runs)} runs and {len(events)} events files: give one --events for each --run, "
            "in the same order"
        )
    if problems:
        raise ConfigError(problems)
