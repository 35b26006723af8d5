"""The options of a calibration."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from calibration.decoders.fit import FittingSettings


@dataclass(frozen=True, slots=True)
class CalibrationSettings:
    """The options of a calibration."""

    name: str
    """The decoder's name, shown to the operator."""
    classes: str | None = None
    """The trial types to decode, and which of them form one class: `face+body:people,house`."""
    rest: bool = False
    """Whether rest is a class."""
    states: Mapping[str, str] | None = None
    """The pretrained network's state of each class, as a prior. None: by their names."""
    maps: Mapping[str, Path] = field(default_factory=dict)
    """The group map of each class, as a prior."""
    fitting: FittingSettings = field(default_factory=FittingSettings)
    t1: Path | None = None
    """The subject's T1-weighted image, NIfTI."""
    transform: Path | None = None
    """A transform from the EPI to MNI that the user already has."""
    quick_registration: bool = False
    """Use affine registration only; it is sufficient for the demo's simulated participants."""
    seed: int = 0
