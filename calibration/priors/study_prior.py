"""Priors from a study of other people (`rtdecode group`)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from calibration.data.labels import REST
from calibration.decoders.prior import ClassMeans, LayerPrior, PoolRule
from calibration.networks.features import VOXELS
from calibration.weights.study import LayerStatistics, Study
from rtdecode.errors import ConfigError
from rtdecode.types import Bool


def check_study_classes(study: Study, classes: Sequence[str]) -> None:
    """Refuse classes that the study does not know.

    Raises
    ------
    ConfigError
        With every such class, and those that the study knows.
    """
    if unknown := [name for name in classes if name not in study.about.classes]:
        hint = "; without --rest" if REST in unknown else ""
        raise ConfigError(
            f"--weights: the study has no class {', '.join(unknown)}; it has "
            f"{', '.join(study.about.classes)}: name the trial types with --classes so that they "
            f"agree, or use other weights{hint}"
        )


def study_priors(study: Study, classes: Sequence[str], mask: Bool) -> tuple[LayerPrior, ...]:
    """Return the study's priors for a person.

    Parameters
    ----------
    study
        The study.
    classes
        The decoder's classes, in order; the study has them all.
    mask
        The voxels of the person's prepared volumes, on the study's grid, (X, Y, Z).
    """
    rows = np.array([study.about.classes.index(name) for name in classes])
    priors = []
    for layer, statistics in study.layers.items():
        found, index = person_index(layer, statistics, mask)
        what = "voxels" if layer == VOXELS else f"convolution {layer}"
        prior = ClassMeans(
            index=index,
            scale=statistics.scale[found].astype(np.float64),
            means=statistics.means[np.ix_(rows, found)].astype(np.float64),
            scatter=statistics.scatter[:, found].astype(np.float64),
            n_scatter=float(study.about.n_volumes),
            pseudo_blocks=study.about.pseudo_blocks,
        )
        origin = f"study of {study.about.n_people} people"
        priors.append(LayerPrior(f"{what} with others", layer, origin, prior))
    return tuple(priors)


def pool_rule(study: Study) -> PoolRule:
    """Return the rule that was fitted on the people of the study."""
    return PoolRule(study.about.pseudo_blocks, study.about.blocks_of_prior)


def person_index(
    layer: int, statistics: LayerStatistics, mask: Bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return which of the study's features a person has, and their positions in the person's data.

    Returns
    -------
    found : ndarray
        (m,) places among the study's features.
    index : ndarray
        (m,) positions among the person's features, ascending.
    """
    if layer == VOXELS:
        place = np.full(mask.size, -1)
        place[mask.ravel()] = np.arange(int(mask.sum()))
        index = place[statistics.index]
    else:
        present = np.flatnonzero(mask.any(axis=(0, 1)))
        rank = np.full(mask.shape[2], -1)
        rank[present] = np.arange(len(present))
        per_slice = statistics.per_slice
        slice_of = rank[statistics.index // per_slice]
        inside = statistics.index % per_slice
        index = np.where(slice_of >= 0, slice_of * per_slice + inside, -1)
    found = np.flatnonzero(index >= 0)
    return found, index[found]
