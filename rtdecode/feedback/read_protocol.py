"""The settings file: TOML, or JSON with the same names."""

import json
import math
import tomllib
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_type_hints

import msgspec

from rtdecode.errors import ConfigError
from rtdecode.feedback.feedback_settings import Blinding, FeedbackSettings, FirstVolumes, Kind
from rtdecode.feedback.protocol import FeedbackBlock, Protocol, Role, Text, problems_of, read_blocks

IMAGE_TYPES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".svg")


@dataclass(frozen=True, slots=True)
class _File:
    """What may be in the file; see `FeedbackSettings` for what it means."""

    display: Kind
    trial_types: dict[str, Role | Text]
    events: str = ""
    blocks: tuple[FeedbackBlock, ...] = ()
    of: str | dict[str, float] = ""
    probabilities: Literal["fast", "window"] = "fast"
    smoothing_s: float = 0.0
    delay_s: float = 0.0
    baseline: float | Literal["rest"] | FirstVolumes = 0.0
    lag_s: float = 5.0
    sign: Literal[1, -1] = 1
    range: tuple[float, float] = (0.0, 1.0)
    threshold: float = 0.5
    max_age_s: float | None = None
    texts: dict[str, str] = field(default_factory=dict)
    images: dict[str, str] = field(default_factory=dict)
    rest_text: str = "Rest"
    sham: dict[Literal["table", "key"], str] | None = None


def read_settings(path: Path) -> FeedbackSettings:
    """Read a settings file; the paths in it are relative to it.

    Raises
    ------
    ConfigError
        Naming every problem with the file and the files it names.
    """
    read, problems = _convert(path, _content(path))
    if read is None:
        raise ConfigError(problems)
    protocol, found = _protocol(path, read)
    problems += [f"{path}: {problem}" for problem in [*found, *_wrong(path, read)]]
    if problems:
        raise ConfigError(problems)
    same = {f.name for f in fields(_File)} & {f.name for f in fields(FeedbackSettings)}
    values = {name: getattr(read, name) for name in same - {"images", "sham"}}
    folder = path.parent
    return FeedbackSettings(
        **values,
        protocol=protocol,
        images={name: folder / image for name, image in read.images.items()},
        sham=None
        if read.sham is None
        else Blinding(folder / read.sham["table"], folder / read.sham["key"]),
    )


def _content(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text("utf-8")
        content = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as TOML or JSON: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: the file has to be a table of settings")
    return content


def _convert(path: Path, content: dict[str, Any]) -> tuple[_File | None, list[str]]:
    """Return the file as far as it can be understood, and each setting that cannot."""
    hints = get_type_hints(_File)
    values: dict[str, Any] = {}
    problems = []
    for name, value in content.items():
        if name not in hints:
            known = ", ".join(hints)
            problems.append(f"{path}: there is no setting {name!r}; there are {known}")
            continue
        try:
            values[name] = msgspec.convert(value, hints[name])
        except msgspec.ValidationError as error:
            problems.append(f"{path}: {name}: {error}")
    needed = [f.name for f in fields(_File) if f.default is f.default_factory is MISSING]
    problems += [f"{path}: {name} is missing" for name in needed if name not in content]
    if any(name not in values for name in needed):
        return None, problems
    return _File(**values), problems


def _protocol(path: Path, read: _File) -> tuple[Protocol, list[str]]:
    if read.events and read.blocks:
        return Protocol((), {}), ["`events` and `blocks` say the same: give one of them"]
    blocks = tuple(sorted(read.blocks, key=lambda block: block.onset_s))
    if read.events:
        try:
            blocks = read_blocks(path.parent / read.events)
        except ConfigError as error:
            return Protocol((), {}), list(error.problems)
    protocol = Protocol(blocks, read.trial_types)
    return protocol, problems_of(protocol)


def _wrong(path: Path, read: _File) -> list[str]:
    low, high = read.range
    empty, full = f"{low:g}", f"{high:g}"
    rules = {
        "`of` is missing: name a class, or classes with their weights": read.display
        in {"text", "image"}
        or bool(read.of),
        f"`range` is {empty} to {full}: it goes from a lower to a higher value": low < high
        and math.isfinite(high - low),
        f"`threshold` is {read.threshold:g}: it is a probability, 0 to 1": 0 <= read.threshold <= 1,
        "`sham` needs `table` and `key`, as `rtdecode display randomise` made them": read.sham
        is None
        or {*read.sham} == {"table", "key"},
        "`baseline`: `first_volumes` is 1 or more": not isinstance(read.baseline, FirstVolumes)
        or read.baseline.first_volumes >= 1,
        "`baseline` is not a finite number": not isinstance(read.baseline, float)
        or math.isfinite(read.baseline),
        "`baseline` is `rest`, and no trial type is": read.baseline != "rest"
        or "rest" in read.trial_types.values(),
        "`of`: every weight has to be finite, and one of them not 0": isinstance(read.of, str)
        or (any(read.of.values()) and all(map(math.isfinite, read.of.values()))),
    }
    times = {"smoothing_s": read.smoothing_s, "delay_s": read.delay_s, "lag_s": read.lag_s}
    rules |= {
        f"`{name}` is {value:g}: seconds, 0 or more": 0 <= value < math.inf
        for name, value in times.items()
    }
    age_s = read.max_age_s
    rules["`max_age_s`: seconds, above 0"] = age_s is None or 0 < age_s < math.inf
    problems = [problem for problem, kept in rules.items() if not kept]
    for name, image in read.images.items():
        file = path.parent / image
        if file.suffix.lower() not in IMAGE_TYPES:
            problems.append(f"the picture of {name!r} is {image}: it is {', '.join(IMAGE_TYPES)}")
        elif not file.is_file():
            problems.append(f"the picture of {name!r} is not there: {file}")
    return problems
