"""The options `--states` and `--prior`, checked before torch is imported."""

from collections.abc import Sequence
from pathlib import Path

from rtdecode.errors import ConfigError


def parse_states(text: str | None) -> dict[str, str] | None:
    """Parse `--states left_hand=motor_lh,right_hand=motor_rh`: the state of each class, if given.

    Raises
    ------
    ConfigError
        A part is not CLASS=STATE, or a class is named twice.
    """
    if text is None:
        return None
    states: dict[str, str] = {}
    problems = []
    for part in text.split(","):
        name, equals, state = (each.strip() for each in part.partition("="))
        if not (name and equals and state):
            problems.append(f"--states: {part.strip()!r} is not CLASS=STATE")
        elif name in states:
            problems.append(f"--states: {name} is named twice; name it once")
        states[name] = state
    if problems:
        raise ConfigError(problems)
    return states


def parse_maps(texts: Sequence[str]) -> dict[str, Path]:
    """Parse `--prior faces=faces_z.nii.gz`: the map of each class.

    Raises
    ------
    ConfigError
        A part is not CLASS=FILE, a class is named twice, or a file does not exist.
    """
    maps: dict[str, Path] = {}
    problems = []
    for text in texts:
        name, equals, file = (each.strip() for each in text.partition("="))
        if not (name and equals and file):
            problems.append(f"--prior: {text!r} is not CLASS=FILE.nii.gz")
        elif name in maps:
            problems.append(f"--prior: {name} is named twice; name it once")
        elif not Path(file).is_file():
            problems.append(f"--prior {file}: does not exist")
        maps[name] = Path(file)
    if problems:
        raise ConfigError(problems)
    return maps
