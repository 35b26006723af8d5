"""From a decision to what is seen: the settings."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rtdecode.errors import ConfigError
from rtdecode.feedback.protocol import Protocol
from rtdecode.types import NONE

Kind = Literal["thermometer", "disc", "text", "image"]


@dataclass(frozen=True, slots=True)
class FirstVolumes:
    """A baseline: the mean of the run's first decisions."""

    first_volumes: int


@dataclass(frozen=True, slots=True)
class Blinding:
    """How participants are assigned to real and sham feedback, see `rtdecode.feedback.arms`."""

    table: Path
    """Which participant has which arm code."""
    key: Path
    """Which arm each code is, and the secret that seals the record."""


@dataclass(frozen=True, slots=True)
class FeedbackSettings:
    """What is shown when, and how decisions become it.

    The probabilities are smoothed and `of` makes one number of them. That less the baseline, times
    `sign`, lies somewhere in `range`: its place there is the level, from 0 to 1, which thermometer
    and disc show. Text and image show the likeliest class.
    """

    display: Kind
    protocol: Protocol
    of: str | dict[str, float] = ""
    """A class, or classes with their weights: {faces: 1, houses: -1}."""
    probabilities: Literal["fast", "window"] = "fast"
    """Which of a decision's two, see docs/protocol.md."""
    smoothing_s: float = 0.0
    """Time constant of the exponential smoothing; 0 for none."""
    delay_s: float = 0.0
    """A decision is shown so long after it was published."""
    baseline: float | Literal["rest"] | FirstVolumes = 0.0
    """A value, the mean of the rest blocks so far, or of the first decisions."""
    lag_s: float = 5.0
    """A volume tells of what the participant did so long before; so `rest` finds its volumes."""
    sign: Literal[1, -1] = 1
    range: tuple[float, float] = (0.0, 1.0)
    """What empty and full stand for, in the units of `of` less the baseline."""
    threshold: float = 0.5
    """Text and image show a class from this probability on, and `none` below it."""
    max_age_s: float | None = None
    """A decision is shown for so long after its volume came (and the delay); `None`: for two
    repetition times."""
    texts: dict[str, str] = field(default_factory=dict)
    """The word for a class, or for `none`, where it is not its name."""
    images: dict[str, Path] = field(default_factory=dict)
    """The picture of each class; `none` may have one."""
    rest_text: str = "Rest"
    sham: Blinding | None = None

    @property
    def by_level(self) -> bool:
        """Whether a level is shown, not a class."""
        return self.display in {"thermometer", "disc"}

    def weights(self, classes: tuple[str, ...]) -> tuple[float, ...]:
        """Return what each class's probability counts in `of`."""
        of = {self.of: 1.0} if isinstance(self.of, str) else self.of
        return tuple(of.get(name, 0.0) for name in classes)

    def check(self, classes: tuple[str, ...]) -> None:
        """Refuse settings that do not fit a decoder's classes.

        Raises
        ------
        ConfigError
            Naming everything that does not.
        """
        of = [self.of] if isinstance(self.of, str) else list(self.of)
        named = {"of": of if self.by_level else [], "texts": self.texts, "images": self.images}
        problems = [
            f"`{setting}` names {name!r}, which the decoder does not know; its classes are "
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
