"""Checks of runs, events and an earlier bundle before anything is computed."""

from collections.abc import Sequence
from pathlib import Path

from calibration.data.calibration_data import CalibrationData, fingerprint
from calibration.data.run_preparation import MIN_VOLUMES
from calibration.weights.pretrained import Pretrained
from rtdecode.bundle import Bundle
from rtdecode.errors import ConfigError
from rtdecode.types import Volume


def check_runs(
    runs: Sequence[Sequence[Volume]],
    events: Sequence[Path],
    out: Path,
    pretrained: Pretrained,
    earlier: Bundle | None,
) -> float:
    """Check that the runs fit each other, their events, the network and an earlier bundle.

    Returns
    -------
    The repetition time, seconds.

    Raises
    ------
    ConfigError
        With every problem.
    """
    problems = []
    if out.exists():
        problems.append(f"{out}: already exists; choose another --out or remove it first")
    if not runs or any(len(run) < MIN_VOLUMES for run in runs):
        shortest = min((len(run) for run in runs), default=0)
        problems.append(f"a run has {shortest} volumes; a mean image needs at least {MIN_VOLUMES}")
    if events and len(events) != len(runs):
        problems.append(f"{len(runs)} runs and {len(events)} events files: one for each run")
    repetition_time_s = runs[0][0].repetition_time_s if runs and runs[0] else float("nan")
    if runs and runs[0] and not repetition_time_s > 0:
        problems.append("the run's headers give no RepetitionTime; is this a BOLD series?")
    protocols = {(run[0].data.shape, round(run[0].repetition_time_s, 3)) for run in runs if run}
    if earlier is not None:
        manifest = earlier.manifest
        protocols.add((manifest.source_shape, round(manifest.repetition_time_s, 3)))
        if manifest.model_shape != pretrained.grid_shape:
            problems.append(
                f"--from {earlier.path}: prepared on a grid of {manifest.model_shape}, but "
                f"{pretrained.name} reads {pretrained.grid_shape}; use the weights that it was "
                f"made with ({manifest.provenance.weights})"
            )
    if len(protocols) > 1:
        listed = "; ".join(f"matrix {shape}, {time_s:g} s" for shape, time_s in sorted(protocols))
        problems.append(f"the runs have different protocols ({listed}); calibrate on one")
    if problems:
        raise ConfigError(problems)
    return repetition_time_s


def check_distinct(runs: Sequence[Sequence[Volume]], earlier: CalibrationData | None) -> None:
    """Refuse a run that occurs twice: it would be held out and trained on at the same time.

    Raises
    ------
    ConfigError
        With every problem.
    """
    known = [] if earlier is None else list(earlier.fingerprints)
    n_earlier = len(known)
    problems = []
    for number, run in enumerate(runs, start=1):
        digest = fingerprint(run)
        if digest in known:
            place = known.index(digest) - n_earlier + 1
            where = f"is run {place} again" if place > 0 else "is in the --from bundle already"
            problems.append(f"run {number} {where}: give each run once")
        known.append(digest)
    if problems:
        raise ConfigError(problems)
