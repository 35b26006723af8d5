"""A calibration run on its way through the serving stages, while it is acquired or afterwards."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self

import numpy as np

from calibration.progress import Progress, silent
from calibration.reference import N_VOLUMES, mean_epi
from calibration.registration import Registration
from rtdecode import bundle
from rtdecode.errors import ConfigError
from rtdecode.stages import Preparation, PreparationSettings, Space
from rtdecode.types import Float32, Float64, Prepared, State, Volume

PREPARATION = "preparation/"
"""What its part of a bundle's initial state is called."""
Locate = Callable[[Float32, Float64], Registration]
"""From a mean EPI and its affine to where the decoder's voxels lie in it."""
LEAST_VOLUMES = 10
"""To know a mean."""
AT_ONCE = 3
"""How many volumes of a backlog are caught up with when one more comes."""


class Preparing:
    """What can be done of a run before it is over.

    The mean EPI is made and registered as soon as its volumes are there, in a thread of its own;
    from then on each volume passes the stages once, for the voxels' spread. What is left at the end
    is the second pass, as the run would have been served with that spread.

    Parameters
    ----------
    locate
        Registers the mean EPI.
    grid_affine
        Of the decoder's grid.
    smoothing_fwhm_mm
        In that grid.
    expected
        How many volumes the run will have, where that is known: the reference is then the same as
        if they were all there.
    """

    def __init__(
        self,
        locate: Locate,
        grid_affine: Float64,
        smoothing_fwhm_mm: float,
        expected: int | None = None,
    ) -> None:
        self.volumes: list[Volume] = []
        self._locate = locate
        self._grid_affine = grid_affine
        self._smoothing_fwhm_mm = smoothing_fwhm_mm
        self._expected = expected
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="registration")
        self._located: Future[tuple[Space, Registration]] | None = None
        self._stages: Preparation | None = None
        self._state: State = {}
        self._walked = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def add(self, volume: Volume) -> None:
        """Take the next volume, and do what can be done by now."""
        self.volumes.append(volume)
        if self._located is None and self._expected is not None:
            start = min(self._expected // 10, N_VOLUMES)
            if len(self.volumes) >= start + N_VOLUMES:
                self._begin(self.volumes[start : start + N_VOLUMES])
        if self._located is not None and self._located.done():
            self._walk(AT_ONCE, silent)

    def finish(self, progress: Progress) -> tuple[Preparation, Space, Registration, Float32]:
        """Return stages, space and registration, and the spread of each voxel, (V,).

        Raises
        ------
        ConfigError
            The run is too short.
        RunError
            The registration failed.
        """
        if len(self.volumes) < LEAST_VOLUMES:
            raise ConfigError(
                f"the run has {len(self.volumes)} volumes; at least {LEAST_VOLUMES} are needed to "
                "know a mean"
            )
        if self._located is None:
            start = min(len(self.volumes) // 10, N_VOLUMES)
            self._begin(self.volumes[start : start + N_VOLUMES])
        if self._located is None:
            raise ConfigError("the run has no volumes")
        progress("register to MNI", 0, 1)
        space, registration = self._located.result()
        progress("register to MNI", 1, 1)
        stages = self._walk(len(self.volumes), progress)
        return stages, space, registration, stages.spread_of(self._state)

    def _begin(self, chosen: Sequence[Volume]) -> None:
        def located() -> tuple[Space, Registration]:
            reference, affine = mean_epi(chosen)
            found = self._locate(reference, affine)
            space = Space(reference, affine, found.mask, self._grid_affine, found.coordinates_mm)
            return space, found

        self._located = self._pool.submit(located)

    def _walk(self, most: int, progress: Progress) -> Preparation:
        if self._located is None:
            raise ConfigError("the run has no reference yet")
        if self._stages is None:
            settings = PreparationSettings(
                repetition_time_s=self.volumes[0].repetition_time_s,
                smoothing_fwhm_mm=self._smoothing_fwhm_mm,
            )
            self._stages = Preparation(self._located.result()[0], settings)
            self._state = self._stages.initial_state()
        for volume in self.volumes[self._walked : self._walked + most]:
            elapsed = volume.index - self.volumes[self._walked - 1].index if self._walked else 1
            self._state, _ = self._stages.step(self._state, volume, elapsed)
            self._walked += 1
            progress("learn the voxels' spread", self._walked, len(self.volumes))
        return self._stages


def walk(
    stages: Preparation, state: State, volumes: Sequence[Volume], progress: Progress, step: str
) -> tuple[list[Prepared], State]:
    """Prepare a run exactly as it is served; return its prepared volumes and the last state."""
    prepared = []
    previous = volumes[0].index - 1
    for done, volume in enumerate(volumes, start=1):
        state, one = stages.step(state, volume, volume.index - previous)
        previous = volume.index
        prepared.append(one)
        progress(step, done, len(volumes))
    return prepared, state


def pooled_spread(spreads: Sequence[Float32]) -> Float32:
    """Return one spread for several runs: the root of the mean variance."""
    return np.sqrt(np.mean(np.square(spreads), axis=0)).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Ready:
    """Runs that have passed the serving stages."""

    stages: Preparation
    space: Space
    initial: State
    registration: Registration | None
    """None: that of an earlier bundle."""
    registration_method: str
    registration_overlap: float
    prepared: tuple[tuple[Prepared, ...], ...]
    """Of each run."""


def prepare(
    runs: Sequence[Sequence[Volume]],
    first: Preparing,
    earlier: bundle.Bundle | None,
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
    progress
        Told how far each step has come.
    """
    registration = None
    if earlier is not None:
        made = earlier.manifest.provenance
        method, overlap = made.registration, made.registration_overlap
        space, settings = earlier.space, earlier.manifest.preparation
        stages = Preparation(space, settings)
        initial = {
            name.removeprefix(PREPARATION): array
            for name, array in earlier.initial_state.items()
            if name.startswith(PREPARATION)
        }
    else:
        if not first.volumes:
            for volume in runs[0]:
                first.add(volume)
        stages, space, registration, spread = first.finish(progress)
        method, overlap = registration.method, registration.overlap
        spreads = [spread]
        for run in runs[1:]:
            _, end = walk(stages, stages.initial_state(), run, progress, "learn the voxels' spread")
            spreads.append(stages.spread_of(end))
        initial = stages.initial_state(spread=pooled_spread(spreads))
    prepared = [tuple(walk(stages, initial, run, progress, "prepare as served")[0]) for run in runs]
    return Ready(stages, space, initial, registration, method, overlap, tuple(prepared))
