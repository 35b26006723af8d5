"""Prepare all runs of a calibration with the stages that serve."""

from collections.abc import Sequence

import numpy as np

from calibration.data.calibration_data import CalibrationData
from calibration.data.prepared_runs import (
    LEARN,
    PREPARATION,
    SERVE,
    ExtractorFactory,
    PreparedRuns,
    pooled_spread,
    prepare_run,
    spread_volumes,
)
from calibration.data.run_preparation import RunPreparation
from calibration.networks.features import Extractor, FeatureTable
from calibration.progress import Progress
from rtdecode import bundle
from rtdecode.stages import Preparation
from rtdecode.types import Float32, Prepared, State, Volume


def prepare(
    runs: Sequence[Sequence[Volume]],
    first: RunPreparation,
    earlier: bundle.Bundle | None,
    make_extractor: ExtractorFactory | None,
    progress: Progress,
) -> PreparedRuns:
    """Prepare all runs exactly as they would be served.

    Parameters
    ----------
    runs
        Runs, each in temporal order.
    first
        The preparation of the first run; it may hold the volumes already.
    earlier
        A bundle whose space and voxel spread are used, so that old and new data are comparable.
    make_extractor
        Makes the feature extractor; `None` if no features are needed.
    progress
        Called with the progress of each step.
    """
    if earlier is not None:
        return _prepare_like(runs, earlier, make_extractor, progress)
    if not first.volumes:
        for volume in runs[0]:
            first.add(volume)
    if len(runs) == 1:
        return first.finish(progress)
    stages, location, spread = first.learn_spread(progress)
    spreads = [spread]
    for run in runs[1:]:
        first_volumes = run[: spread_volumes(len(run))]
        _, state = prepare_run(stages, stages.initial_state(), first_volumes, progress, LEARN)
        spreads.append(stages.spread_of(state))
    initial = stages.initial_state(spread=pooled_spread(spreads))
    prepared, table = _serve_all(stages, initial, runs, location.extract, progress)
    return PreparedRuns(
        stages=stages,
        space=location.space,
        initial=initial,
        registration=location.registration,
        registration_method=location.registration.method,
        registration_overlap=location.registration.overlap,
        prepared=prepared,
        features=table.arrays,
        extract=location.extract,
    )


def _prepare_like(
    runs: Sequence[Sequence[Volume]],
    earlier: bundle.Bundle,
    make_extractor: ExtractorFactory | None,
    progress: Progress,
) -> PreparedRuns:
    """Prepare runs with the stages of an earlier bundle."""
    stages = Preparation(earlier.space, earlier.manifest.preparation)
    initial = {
        name.removeprefix(PREPARATION): array
        for name, array in earlier.initial_state.items()
        if name.startswith(PREPARATION)
    }
    extract = None if make_extractor is None else make_extractor(earlier.space.mask)
    prepared, table = _serve_all(stages, initial, runs, extract, progress)
    provenance = earlier.manifest.provenance
    return PreparedRuns(
        stages=stages,
        space=earlier.space,
        initial=initial,
        registration=None,
        registration_method=provenance.registration,
        registration_overlap=provenance.registration_overlap,
        prepared=prepared,
        features=table.arrays,
        extract=extract,
    )


def _serve_all(
    stages: Preparation,
    initial: State,
    runs: Sequence[Sequence[Volume]],
    extract: Extractor | None,
    progress: Progress,
) -> tuple[tuple[tuple[Prepared, ...], ...], FeatureTable]:
    total, table = sum(map(len, runs)), FeatureTable()
    prepared = tuple(tuple(prepare_run(stages, initial, run, progress, SERVE)[0]) for run in runs)
    if extract is not None:
        for row, volume in enumerate(volume for run in prepared for volume in run):
            table.put(row, total, extract(volume.data))
            progress("network's features", row + 1, total)
    return prepared, table


def all_features(
    runs: PreparedRuns,
    layers: Sequence[int],
    earlier: CalibrationData | None,
    progress: Progress,
) -> dict[int, Float32]:
    """Return the features of all volumes, by layer in the given order; earlier runs come first."""
    features = dict(runs.features)
    if earlier is not None and runs.extract is not None:
        table, total = FeatureTable(), len(earlier.prepared)
        for row, volume in enumerate(earlier.prepared):
            table.put(row, total, runs.extract(volume))
            progress("features of the earlier runs", row + 1, total)
        features = {n: np.concatenate([table.arrays[n], new]) for n, new in features.items()}
    return {layer: features[layer] for layer in layers}
