"""What a calibration reads, looked at before torch is imported, which takes seconds."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from calibration.weights.store import describe, find_weights
from rtdecode.errors import ConfigError, check_all

if TYPE_CHECKING:
    from rtdecode.service import ServiceSettings


def check_inputs(
    files: Mapping[str, list[Path]],
    weights: str,
    live: "ServiceSettings | None",
    earlier: Path | None,
) -> None:
    """Refuse what is not there, before anything is read.

    Parameters
    ----------
    files
        Files and folders, by their options.
    weights
        Pretrained weights, by their name or as a file.
    live
        How the run is taken in as it is acquired, if it is.
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
    """Refuse files and folders that are not there.

    Raises
    ------
    ConfigError
        Naming each with its option.
    """
    problems = [
        f"{option} {path}: is not there"
        for option, paths in files.items()
        for path in paths
        if not path.exists()
    ]
    if problems:
        raise ConfigError(problems)


def check_weights(weights: str) -> None:
    """Refuse pretrained weights that are unknown, not on this machine, or no weights.

    Raises
    ------
    ConfigError
        The message says how to get them.
    """
    describe(find_weights(weights))
