"""Reads the settings of the feedback from a TOML file, or a JSON file with the same names."""

import json
import math
import tomllib
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_type_hints

import msgspec

from rtdecode.errors import ConfigError
from rtdecode.feedback.feedback_settings import Blinding, FeedbackSettings, FirstVolumes
from rtdecode.feedback.protocol import FeedbackBlock, Protocol, Role, Text, problems_of, read_blocks

IMAGE_TYPES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".svg")
_REQUIRED = ("display", "trial_types")
# In the file, `events` or `blocks`, with `trial_types`, describe the protocol.
_TYPES: dict[str, Any] = {
    **{n: hint for n, hint in get_type_hints(FeedbackSettings).items() if n != "protocol"},
    "events": str,
    "blocks": tuple[FeedbackBlock, ...],
    "trial_types": dict[str, Role | Text],
    "sham": dict[Literal["table", "key"], Path],
}


def read_settings(path: Path) -> FeedbackSettings:
    """Read a settings file. Paths in the file are relative to its folder.

    Raises
    ------
    ConfigError
        Names every problem of the file and of the files that it names.
    """
    values, problems = _convert(path, _content(path))
    if any(name not in values for name in _REQUIRED):
        raise ConfigError(problems)
    trial_types, sham = values.pop("trial_types"), values.pop("sham", None)
    protocol, own_problems = _protocol(
        trial_types, values.pop("blocks", ()), path.parent, values.pop("events", "")
    )
    settings = FeedbackSettings(protocol=protocol, **values)
    own_problems += _problems(settings)
    if sham is not None:
        if {*sham} != {"table", "key"}:
            own_problems.append(
                "`sham` needs `table` and `key`, the files of `rtdecode display randomise`"
            )
        else:
            values["sham"] = Blinding(**sham)
    problems += [f"{path}: {problem}" for problem in own_problems]
    if problems:
        raise ConfigError(problems)
    return FeedbackSettings(protocol=protocol, **values)


def _content(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text("utf-8")
        content = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as TOML or JSON: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: the file must be a table of settings")
    return content


def _convert(path: Path, content: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the valid settings of a file, and a problem for each of the others."""
    values: dict[str, Any] = {}
    problems = []
    for name, value in content.items():
        if name not in _TYPES:
            names = ", ".join(_TYPES)
            problems.append(f"{path}: there is no setting {name!r}; the settings are {names}")
            continue
        try:
            values[name] = msgspec.convert(
                value, _TYPES[name], dec_hook=partial(_path, path.parent)
            )
        except msgspec.ValidationError as error:
            problems.append(f"{path}: {name}: {error}")
    problems += [f"{path}: {name} is missing" for name in _REQUIRED if name not in content]
    return values, problems


def _path(folder: Path, _type: type, name: object) -> Path:
    """Return the path of a file that the settings name; the hook of `msgspec.convert`."""
    if not isinstance(name, str):
        raise TypeError(f"Expected the name of a file, got {name!r}")
    return folder / name


def _protocol(
    trial_types: dict[str, Role | Text],
    blocks: tuple[FeedbackBlock, ...],
    folder: Path,
    events: str,
) -> tuple[Protocol, list[str]]:
    """Return the protocol of a run and its problems; without blocks if they cannot be read."""
    if events and blocks:
        return Protocol((), trial_types), ["`events` and `blocks` are both given: give one of them"]
    blocks = tuple(sorted(blocks, key=lambda block: block.onset_s))
    if events:
        try:
            blocks = read_blocks(folder / events)
        except ConfigError as error:
            return Protocol((), trial_types), list(error.problems)
    protocol = Protocol(blocks, trial_types)
    return protocol, problems_of(protocol)


def _problems(settings: FeedbackSettings) -> list[str]:
    """Return a message for each setting whose value is not possible."""
    (low, high), of, baseline = settings.range, settings.of, settings.baseline
    weights = [1.0] if isinstance(of, str) else [*of.values()]
    rules = [
        (
            bool(of) or not settings.by_level,
            "`of` is missing: name a class, or classes with their weights",
        ),
        (
            any(weights) and all(map(math.isfinite, weights)),
            "`of`: every weight must be finite, and at least one must not be 0",
        ),
        (
            low < high and math.isfinite(high - low),
            f"`range` is {low:g} to {high:g}: give a lower and a higher finite value",
        ),
        (
            0 <= settings.threshold <= 1,
            f"`threshold` is {settings.threshold:g}: it must be a probability, 0 to 1",
        ),
        (
            not isinstance(baseline, FirstVolumes) or baseline.first_volumes >= 1,
            "`baseline`: `first_volumes` must be 1 or more",
        ),
        (
            not isinstance(baseline, float) or math.isfinite(baseline),
            "`baseline` must be a finite number",
        ),
        (
            baseline != "rest" or "rest" in settings.protocol.roles.values(),
            "`baseline` is `rest`, but no trial type is `rest`",
        ),
        (
            settings.max_age_s is None or 0 < settings.max_age_s < math.inf,
            f"`max_age_s` is {settings.max_age_s}: it must be seconds above 0",
        ),
    ]
    for name in ("smoothing_s", "delay_s", "lag_s"):
        value = getattr(settings, name)
        rules.append(
            (0 <= value < math.inf, f"`{name}` is {value:g}: it must be seconds, 0 or more")
        )
    problems = [problem for is_possible, problem in rules if not is_possible]
    for name, image in settings.images.items():
        if image.suffix.lower() not in IMAGE_TYPES:
            types = ", ".join(IMAGE_TYPES)
            problems.append(f"the picture of {name!r} is {image}: its type must be one of {types}")
        elif not image.is_file():
            problems.append(f"the picture of {name!r} does not exist: {image}")
    return problems
