"""All runs of a calibration through the serving stages."""

from collections.abc import Sequence

from calibration.data.prepared_runs import (
    LEARN,
    PREPARATION,
    SERVE,
    Extract,
    Ready,
    pooled_spread,
    spread_volumes,
    walk,
)
from calibration.data.run_preparation import Preparing
from calibration.networks.features import FeatureTable, Step
from calibration.progress import Progress
from rtdecode import bundle
from rtdecode.stages import Preparation
from rtdecode.types import Prepared, State, Volume


def prepare(
    runs: Sequence[Sequence[Volume]],
    first: Preparing,
    earlier: bundle.Bundle | None,
    extract: Extract | None,
    progress: Progress,
) -> Ready:
    """Let all runs pass the serving stages, exactly as they would have been served.

    Parameters
    ----------
    runs
        Each in temporal order.
    first
        What has taken the first run's volumes already, or will.
    earlier
        A bundle whose space and spread are taken over, so that its data and these are alike.
    extract
        Makes what extracts features; `None` where none are needed.
    progress
        Called with how far each step has come.
    """
    if earlier is not None:
        return _prepare_like(runs, earlier, extract, progress)
    if not first.volumes:
        for volume in runs[0]:
            first.add(volume)
    if len(runs) == 1:
        return first.finish(progress)
    stages, located, spread = first.learn_spread(progress)
    spreads = [spread]
    for run in runs[1:]:
        known = run[: spread_volumes(len(run))]
        _, end = walk(stages, stages.initial_state(), known, progress, LEARN)
        spreads.append(stages.spread_of(end))
    initial = stages.initial_state(spread=pooled_spread(spreads))
    prepared, table = _serve_all(stages, initial, runs, located.extract, progress)
    return Ready(
        stages=stages,
        space=located.space,
        initial=initial,
        registration=located.registration,
        registration_method=located.registration.method,
        registration_overlap=located.registration.overlap,
        prepared=prepared,
        features=table.arrays,
        extract=located.extract,
    )


def _prepare_like(
    runs: Sequence[Sequence[Volume]],
    earlier: bundle.Bundle,
    make_extract: Extract | None,
    progress: Progress,
) -> Ready:
    """Let runs pass the stages of an earlier bundle."""
    stages = Preparation(earlier.space, earlier.manifest.preparation)
    initial = {
        name.removeprefix(PREPARATION): array
        for name, array in earlier.initial_state.items()
        if name.startswith(PREPARATION)
    }
    extract = None if make_extract is None else make_extract(earlier.space.mask)
    prepared, table = _serve_all(stages, initial, runs, extract, progress)
    provenance = earlier.manifest.provenance
    return Ready(
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
    extract: Step | None,
    progress: Progress,
) -> tuple[tuple[tuple[Prepared, ...], ...], FeatureTable]:
    total, table = sum(map(len, runs)), FeatureTable()
    prepared = tuple(tuple(walk(stages, initial, run, progress, SERVE)[0]) for run in runs)
    if extract is not None:
        for row, one in enumerate(one for run in prepared for one in run):
            table.put(row, total, extract(one.data))
            progress("network's features", row + 1, total)
    return prepared, table
