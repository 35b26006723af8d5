"""A calibration run on its way through the serving stages, while it is acquired or afterwards."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self

from calibration.data.mean_epi import N_VOLUMES, mean_epi
from calibration.data.prepared_runs import LEARN, SERVE, Extract, Ready, spread_volumes
from calibration.networks.features import FeatureTable, Step
from calibration.progress import Progress, silent
from calibration.registration import Registration
from rtdecode.errors import ConfigError
from rtdecode.stages import Preparation, PreparationSettings, Space
from rtdecode.types import Float32, Float64, Prepared, State, Volume

Locate = Callable[[Float32, Float64], Registration]
"""From a mean EPI and its affine to where the decoder's voxels lie in it."""
MIN_VOLUMES = 10
"""Volumes that are needed to know a mean."""
BACKLOG_VOLUMES = 3
"""Volumes of a backlog that are caught up with when one more comes."""


@dataclass(frozen=True, slots=True, eq=False)
class Located:
    """Where the decoder's voxels lie, and what needs to know that."""

    space: Space
    registration: Registration
    extract: Step | None


class Preparing:
    """What can be done of a run before it is over.

    The mean EPI is made and registered as soon as its volumes are there, in a thread of its own.
    From then on the volumes pass the stages once, for the spread of the voxels, and, when that is
    known, once more as they will be served; then their features are extracted. When the last volume
    comes, little is left to do.

    Parameters
    ----------
    locate
        Registers the mean EPI.
    grid_affine
        Of the decoder's grid.
    smoothing_fwhm_mm
        In that grid.
    expected
        How many volumes the run will have, where that is known: the result is then the same as
        if they were all there.
    extract
        Makes what extracts features; `None` where none are needed.
    """

    def __init__(
        self,
        locate: Locate,
        grid_affine: Float64,
        smoothing_fwhm_mm: float,
        expected: int | None = None,
        extract: Extract | None = None,
    ) -> None:
        self.volumes: list[Volume] = []
        self._locate = locate
        self._grid_affine = grid_affine
        self._smoothing_fwhm_mm = smoothing_fwhm_mm
        self._expected = expected
        self._extract = extract
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="registration")
        self._located: Future[Located] | None = None
        self._stages: Preparation | None = None
        self._spread = _Pass()
        self._served = _Pass()
        self._initial: State = {}
        self._table = FeatureTable()

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
        if self._located is not None and self._located.done() and self._expected is not None:
            for _ in range(BACKLOG_VOLUMES):
                if not self._learn(self._expected, silent) and not self._serve(silent):
                    break

    def learn_spread(self, progress: Progress) -> tuple[Preparation, Located, Float32]:
        """Return the stages, where the voxels lie, and the spread of each voxel, (V,).

        Raises
        ------
        ConfigError
            The run is too short.
        RunError
            The registration failed.
        """
        if len(self.volumes) < MIN_VOLUMES:
            raise ConfigError(
                f"the run has {len(self.volumes)} volumes; at least {MIN_VOLUMES} are needed to "
                "know a mean"
            )
        if self._expected != len(self.volumes):  # nothing may hang on a wrong expectation
            self._expected = len(self.volumes)
            self._spread, self._served, self._table = _Pass(), _Pass(), FeatureTable()
        if self._located is None:
            start = min(len(self.volumes) // 10, N_VOLUMES)
            self._located = self._begin(self.volumes[start : start + N_VOLUMES])
        progress("register to MNI", 0, 1)
        located = self._located.result()
        progress("register to MNI", 1, 1)
        while self._learn(len(self.volumes), progress):
            pass
        stages = self._prepare_stages()
        return stages, located, stages.spread_of(self._spread.state)

    def finish(self, progress: Progress) -> Ready:
        """Return the run as it will be served.

        Raises
        ------
        ConfigError
            The run is too short.
        RunError
            The registration failed.
        """
        stages, located, _ = self.learn_spread(progress)
        while self._serve(progress):
            pass
        return Ready(
            stages=stages,
            space=located.space,
            initial=self._initial,
            registration=located.registration,
            registration_method=located.registration.method,
            registration_overlap=located.registration.overlap,
            prepared=(tuple(self._served.prepared),),
            features=self._table.arrays,
            extract=located.extract,
        )

    def _begin(self, chosen: Sequence[Volume]) -> Future[Located]:
        def locate() -> Located:
            reference, affine = mean_epi(chosen)
            found = self._locate(reference, affine)
            space = Space(reference, affine, found.mask, self._grid_affine, found.coordinates_mm)
            extract = None if self._extract is None else self._extract(space.mask)
            return Located(space, found, extract)

        self._located = self._pool.submit(locate)
        return self._located

    def _prepare_stages(self) -> Preparation:
        if self._stages is None:
            if self._located is None:
                raise ConfigError("the run has no reference yet")
            settings = PreparationSettings(
                repetition_time_s=self.volumes[0].repetition_time_s,
                smoothing_fwhm_mm=self._smoothing_fwhm_mm,
            )
            self._stages = Preparation(self._located.result().space, settings)
        return self._stages

    def _learn(self, total: int, progress: Progress) -> bool:
        """Let one more volume pass for the spread; return whether there was one."""
        stages, last = self._prepare_stages(), spread_volumes(total)
        if self._spread.done >= min(len(self.volumes), last):
            return False
        self._spread.step(stages, stages.initial_state(), self.volumes)
        self._spread.prepared.clear()
        if self._spread.done == last:
            self._initial = stages.initial_state(spread=stages.spread_of(self._spread.state))
        progress(LEARN, self._spread.done, last)
        return True

    def _serve(self, progress: Progress) -> bool:
        """Let one more volume pass as it will be served; return whether there was one."""
        if not self._initial or self._located is None or self._served.done == len(self.volumes):
            return False
        prepared = self._served.step(self._prepare_stages(), self._initial, self.volumes)
        extract = self._located.result().extract
        if extract is not None:
            rows = self._expected or len(self.volumes)
            self._table.put(self._served.done - 1, rows, extract(prepared.data))
        progress(SERVE, self._served.done, len(self.volumes))
        return True


class _Pass:
    """How far a run has come through the stages."""

    def __init__(self) -> None:
        self.done = 0
        self.state: State = {}
        self.prepared: list[Prepared] = []

    def step(self, stages: Preparation, initial: State, volumes: Sequence[Volume]) -> Prepared:
        """Let the next volume pass."""
        volume = volumes[self.done]
        elapsed = volume.index - volumes[self.done - 1].index if self.done else 1
        state = self.state if self.done else initial
        self.state, prepared = stages.step(state, volume, elapsed)
        self.done += 1
        self.prepared.append(prepared)
        return prepared
