"""Pretrained networks."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.networks import DeepLight
from calibration.weights import describe, find_weights, load_deeplight
from calibration.weights.study import Study, is_study, load_study
from rtdecode.errors import ConfigError


@dataclass(frozen=True, slots=True, eq=False)
class Pretrained:
    """A network to start from."""

    name: str
    network: DeepLight
    states: tuple[str, ...]
    """The states of the outputs, in order."""
    grid_affine: NDArray[np.float64]
    """(4, 4) affine of the input grid: voxel to MNI millimetres, RAS+."""
    sha256: str
    layers: tuple[int, ...] = (10, 8, 12)
    """Numbers of convolutions after which a person's head may read, 0 for the recurrent features;
    the first is the default."""
    smoothing_fwhm_mm: float = 3.0
    """Smoothing of the training volumes, which input volumes must also have, mm."""
    study: Study | None = None
    """What other people's calibrations with this network have in common."""

    @property
    def grid_shape(self) -> tuple[int, int, int]:
        """(X, Y, Z) shape of the input."""
        return self.network.grid_shape


def load_pretrained(weights: str) -> Pretrained:
    """Load pretrained weights by their name, shipped or in this user's cache, or from a file.

    A study of `rtdecode group` names its weights, which are loaded with it.

    Raises
    ------
    ConfigError
        If they are not on this machine, or the file holds something else.
    """
    path = Path(weights)
    if is_study(path):
        study = load_study(path)
        pretrained = load_pretrained(study.about.weights)
        if pretrained.sha256 != study.about.weights_sha256:
            raise ConfigError(
                f"--weights {path}: the study was made with other weights named "
                f"{study.about.weights} than those on this machine: import those, or run "
                "`rtdecode group` again"
            )
        return replace(pretrained, study=study)
    path = find_weights(weights)
    description = describe(path)
    return Pretrained(
        name=path.stem,
        network=load_deeplight(path),
        states=description.states,
        grid_affine=np.array(description.grid_affine),
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        layers=description.layers,
        smoothing_fwhm_mm=description.smoothing_fwhm_mm,
    )
