"""Pretrained networks."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.networks import DeepLight
from calibration.weights import Description, describe, find_weights, load_deeplight
from calibration.weights.study import Study, StudyDescription, is_study, load_study


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

    A study of `rtdecode group` contains its network.

    Raises
    ------
    ConfigError
        If they are not on this machine, or the file holds something else.
    """
    path = find_weights(weights)
    study = None
    if is_study(path):
        study, network = load_study(path)
        description = study.about.network
        name, sha256 = study.about.weights, study.about.weights_sha256
    else:
        network, description = load_deeplight(path), describe(path)
        name, sha256 = path.stem, hashlib.sha256(path.read_bytes()).hexdigest()
    return Pretrained(
        name=name,
        network=network,
        states=description.states,
        grid_affine=np.array(description.grid_affine),
        sha256=sha256,
        layers=description.layers,
        smoothing_fwhm_mm=description.smoothing_fwhm_mm,
        study=study,
    )


def describe_new_study(pretrained: Pretrained, classes: tuple[str, ...]) -> StudyDescription:
    """Return the description of a study with these weights, before people are in it."""
    network = Description(
        grid_shape=pretrained.grid_shape,
        states=pretrained.states,
        source=pretrained.name,
        grid_affine=tuple(tuple(row) for row in pretrained.grid_affine.tolist()),
        layers=pretrained.layers,
        smoothing_fwhm_mm=pretrained.smoothing_fwhm_mm,
    )
    return StudyDescription(
        weights=pretrained.name,
        weights_sha256=pretrained.sha256,
        network=network,
        classes=classes,
        n_people=0,
        n_volumes=0,
        temperature=1.0,
        pseudo_blocks=1.0,
        blocks_of_prior=5.0,
        fingerprints=(),
        left_out=(),
    )
