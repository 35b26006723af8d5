"""The settings of the feedback."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rtdecode.errors import ConfigError
from rtdecode.feedback.protocol import Protocol
from rtdecode.types import NONE


@dataclass(frozen=True, slots=True)
class FirstVolumes:
    """A baseline that is the mean of the run's first decisions."""

    first_volumes: int


@dataclass(frozen=True, slots=True)
class Blinding:
    """The files that assign participants to arms, see `rtdecode.feedback.arms`."""

    table: Path
    """Table with the arm code of each participant."""
    key: Path
    """The arm of each code, and the secret that encrypts the record."""


@dataclass(frozen=True, slots=True)
class FeedbackSettings:
    """What the participant sees when, and how it is computed from decisions.

    The probabilities are smoothed, and `of` combines them into one number. The baseline is
    subtracted, and `sign` multiplies the result. Its position in `range` is the level, 0 to 1.
    Thermometer and disc show the level. Text and image show the likeliest class.
    """

    display: Literal["thermometer", "disc", "text", "image"]
    protocol: Protocol
    of: str | dict[str, float] = ""
    """A class, or classes with their weights: {faces: 1, houses: -1}."""
    probabilities: Literal["fast", "window"] = "fast"
    """Which probabilities of a decision are used, see docs/protocol.md."""
    smoothing_s: float = 0.0
    """Time constant of the exponential smoothing; 0 for none."""
    delay_s: float = 0.0
    """Time from the publication of a decision to its display."""
    baseline: float | Literal["rest"] | FirstVolumes = 0.0
    """A number, the mean of the rest blocks until now, or the mean of the first decisions."""
    lag_s: float = 5.0
    """Delay from the participant's activity to its volume; the baseline `rest` uses it."""
    sign: Literal[1, -1] = 1
    range: tuple[float, float] = (0.0, 1.0)
    """Values of the empty and the full level, in the units of `of` minus the baseline."""
    threshold: float = 0.5
    """Lowest probability at which text and image show a class; below it they show `none`."""
    max_age_s: float | None = None
    """Longest display of a decision after the arrival of its volume and the delay; `None`: two
    repetition times."""
    texts: dict[str, str] = field(default_factory=dict)
    """Words for classes and for `none`; the default is the name."""
    images: dict[str, Path] = field(default_factory=dict)
    """The picture of each class; `none` may have one."""
    rest_text: str = "Rest"
    sham: Blinding | None = None

    @property
    def by_level(self) -> bool:
        """Whether a level is shown instead of a class."""
        return self.display in {"thermometer", "disc"}

    def weights(self, classes: tuple[str, ...]) -> tuple[float, ...]:
        """Return the weight of each class in `of`."""
        of = {self.of: 1.0} if isinstance(self.of, str) else self.of
        return tuple(of.get(name, 0.0) for name in classes)

    def check(self, classes: tuple[str, ...]) -> None:
        """Refuse settings that do not fit a decoder's classes.

        Raises
        ------
        ConfigError
            Names every setting that does not fit.
        """
        of = [self.of] if isinstance(self.of, str) else list(self.of)
        named = {"of": of if self.by_level else [], "texts": self.texts, "images": self.images}
        problems = [
            f"`{setting}` names {name!r}, which is not a class of the decoder; its classes are "
            f"{', '.join(classes)}"
            for setting, names in named.items()
            for name in names
            if name not in classes and (setting == "of" or name != NONE)
        ]
        if self.display == "image":
            problems += [
                f"`images` has no picture for {name!r}"
                for name in classes
                if name not in self.images
            ]
        if problems:
            raise ConfigError(problems)
