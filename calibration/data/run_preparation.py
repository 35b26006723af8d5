"""Preparation of one calibration run, during or after its acquisition."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self

from calibration.data.mean_epi import N_VOLUMES, mean_epi
from calibration.data.prepared_runs import (
    LEARN,
    SERVE,
    ExtractorFactory,
    PreparedRuns,
    spread_volumes,
)
from calibration.networks.features import Extractor, FeatureTable
from calibration.progress import Progress, silent
from calibration.registration import Registration
from rtdecode.errors import ConfigError
from rtdecode.stages import Preparation, PreparationSettings, Space
from rtdecode.types import Float32, Float64, Prepared, State, Volume

Locate = Callable[[Float32, Float64], Registration]
"""Registers a mean EPI with its affine: returns the positions of the decoder's voxels."""
MIN_VOLUMES = 10
"""Volumes that a mean image needs."""
BACKLOG_VOLUMES = 3
"""Waiting volumes that are processed when a new volume arrives."""


@dataclass(frozen=True, slots=True, eq=False)
class VoxelLocation:
    """Positions of the decoder's voxels, and the feature extractor for them."""

    space: Space
    registration: Registration
    extract: Extractor | None


class RunPreparation:
    """Prepares a run while it is acquired.

    A separate thread computes and registers the mean EPI as soon as its volumes have arrived. Then
    the volumes pass the stages twice: first to estimate the spread of each voxel, then as they will
    be served, followed by feature extraction. Little work remains after the last volume.

    Parameters
    ----------
    locate
        Registers the mean EPI.
    grid_affine
        Affine of the decoder's grid, mm.
    smoothing_fwhm_mm
        Smoothing in that grid.
    expected
        Number of volumes of the run, if it is known. The result is the same as with the complete
        run.
    make_extractor
        Makes the feature extractor; `None` if no features are needed.
    """

    def __init__(
        self,
        locate: Locate,
        grid_affine: Float64,
        smoothing_fwhm_mm: float,
        expected: int | None = None,
        make_extractor: ExtractorFactory | None = None,
    ) -> None:
        self.volumes: list[Volume] = []
        self._locate = locate
        self._grid_affine = grid_affine
        self._smoothing_fwhm_mm = smoothing_fwhm_mm
        self._expected = expected
        self._make_extractor = make_extractor
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="registration")
        self._location: Future[VoxelLocation] | None = None
        self._stages: Preparation | None = None
        self._learning = _Pass()
        self._serving = _Pass()
        self._initial: State = {}
        self._table = FeatureTable()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def add(self, volume: Volume) -> None:
        """Take the next volume, and process what is possible."""
        self.volumes.append(volume)
        if self._location is None and self._expected is not None:
            start = min(self._expected // 10, N_VOLUMES)
            if len(self.volumes) >= start + N_VOLUMES:
                self._start_registration(self.volumes[start : start + N_VOLUMES])
        if self._location is not None and self._location.done() and self._expected is not None:
            for _ in range(BACKLOG_VOLUMES):
                if not self._learn_next(self._expected, silent) and not self._serve_next(silent):
                    break

    def learn_spread(self, progress: Progress) -> tuple[Preparation, VoxelLocation, Float32]:
        """Return the stages, the positions of the voxels, and the spread of each voxel, (V,).

        Raises
        ------
        ConfigError
            The run is too short.
        RunError
            The registration failed.
        """
        if len(self.volumes) < MIN_VOLUMES:
            raise ConfigError(
                f"the run has {len(self.volumes)} volumes; a mean image needs at least "
                f"{MIN_VOLUMES}"
            )
        if self._expected != len(self.volumes):  # the expected number was wrong: start again
            self._expected = len(self.volumes)
            self._learning, self._serving, self._table = _Pass(), _Pass(), FeatureTable()
        if self._location is None:
            start = min(len(self.volumes) // 10, N_VOLUMES)
            self._location = self._start_registration(self.volumes[start : start + N_VOLUMES])
        progress("register to MNI", 0, 1)
        location = self._location.result()
        progress("register to MNI", 1, 1)
        while self._learn_next(len(self.volumes), progress):
            pass
        stages = self._prepare_stages()
        return stages, location, stages.spread_of(self._learning.state)

    def finish(self, progress: Progress) -> PreparedRuns:
        """Return the prepared run.

        Raises
        ------
        ConfigError
            The run is too short.
        RunError
            The registration failed.
        """
        stages, location, _ = self.learn_spread(progress)
        while self._serve_next(progress):
            pass
        return PreparedRuns(
            stages=stages,
            space=location.space,
            initial=self._initial,
            registration=location.registration,
            registration_method=location.registration.method,
            registration_overlap=location.registration.overlap,
            prepared=(tuple(self._serving.prepared),),
            features=self._table.arrays,
            extract=location.extract,
        )

    def _start_registration(self, chosen: Sequence[Volume]) -> Future[VoxelLocation]:
        def locate() -> VoxelLocation:
            reference, affine = mean_epi(chosen)
            found = self._locate(reference, affine)
            space = Space(reference, affine, found.mask, self._grid_affine, found.coordinates_mm)
            extract = None if self._make_extractor is None else self._make_extractor(space.mask)
            return VoxelLocation(space, found, extract)

        self._location = self._pool.submit(locate)
        return self._location

    def _prepare_stages(self) -> Preparation:
        if self._stages is None:
            if self._location is None:
                raise ConfigError("the run has no mean EPI yet")
            settings = PreparationSettings(
                repetition_time_s=self.volumes[0].repetition_time_s,
                smoothing_fwhm_mm=self._smoothing_fwhm_mm,
            )
            self._stages = Preparation(self._location.result().space, settings)
        return self._stages

    def _learn_next(self, total: int, progress: Progress) -> bool:
        """Use one more volume for the spread; return whether there was one."""
        stages, last = self._prepare_stages(), spread_volumes(total)
        if self._learning.done >= min(len(self.volumes), last):
            return False
        self._learning.step(stages, stages.initial_state(), self.volumes)
        self._learning.prepared.clear()
        if self._learning.done == last:
            self._initial = stages.initial_state(spread=stages.spread_of(self._learning.state))
        progress(LEARN, self._learning.done, last)
        return True

    def _serve_next(self, progress: Progress) -> bool:
        """Prepare one more volume; return whether there was one."""
        if not self._initial or self._location is None or self._serving.done == len(self.volumes):
            return False
        prepared = self._serving.step(self._prepare_stages(), self._initial, self.volumes)
        extract = self._location.result().extract
        if extract is not None:
            rows = self._expected or len(self.volumes)
            self._table.put(self._serving.done - 1, rows, extract(prepared.data))
        progress(SERVE, self._serving.done, len(self.volumes))
        return True


class _Pass:
    """One pass of a run through the stages."""

    def __init__(self) -> None:
        self.done = 0
        self.state: State = {}
        self.prepared: list[Prepared] = []

    def step(self, stages: Preparation, initial: State, volumes: Sequence[Volume]) -> Prepared:
        """Prepare the next volume."""
        volume = volumes[self.done]
        elapsed = volume.index - volumes[self.done - 1].index if self.done else 1
        state = self.state if self.done else initial
        self.state, prepared = stages.step(state, volume, elapsed)
        self.done += 1
        self.prepared.append(prepared)
        return prepared
