"""Run the stages in order, from the acquired volume to the decoder's input."""

from dataclasses import dataclass, replace

import numpy as np

from rtdecode.clock import Clock, SystemClock
from rtdecode.errors import ConfigError, RunError, VolumeError
from rtdecode.stages import normalise, quality, realign, reference, resample, smooth
from rtdecode.stages.rigid import motion_matrix
from rtdecode.types import (
    Bool,
    Float32,
    Float64,
    Identity,
    Prepared,
    State,
    Volume,
    frozen,
)


@dataclass(frozen=True, slots=True, eq=False)
class Space:
    """Reference image, decoder grid, and the mapping between them."""

    reference: Float32
    """Reference EPI, (X, Y, Z)."""
    reference_affine: Float64
    """Matrix from voxels of the reference to scanner millimetres, RAS+, (4, 4)."""
    mask: Bool
    """Voxels of the decoder in its grid, (GX, GY, GZ)."""
    grid_affine: Float64
    """Matrix from the decoder's grid to its millimetres (MNI), RAS+, (4, 4)."""
    coordinates_mm: Float32
    """Positions of the voxels of `dilate(mask)` in the reference, scanner millimetres, in C order,
    (n_dilated, 3). They include the mapping from subject to MNI, affine or dense warp."""

    def __post_init__(self) -> None:
        kinds = {
            "reference": np.float32,
            "reference_affine": np.float64,
            "mask": np.bool_,
            "grid_affine": np.float64,
            "coordinates_mm": np.float32,
        }
        for name, dtype in kinds.items():
            object.__setattr__(self, name, frozen(getattr(self, name), dtype))


@dataclass(frozen=True, slots=True)
class PreparationSettings:
    """Settings of the preparation; the defaults suit block designs of 10 to 20 s."""

    repetition_time_s: float
    smoothing_fwhm_mm: float = 3.0
    """Full width at half maximum in the decoder's grid; 0 for no smoothing."""
    memory_s: float = 60.0
    """Time constant of the online level: two to three block lengths. A shorter one removes the
    task's own signal; a longer one leaves drift."""
    ready_after_s: float = 20.0
    """Time to learn the spread (at least 8 volumes) before volumes count as evidence."""
    framewise_displacement_limit_mm: float = 0.9
    """A volume above this limit is no evidence and is not learnt (Siegel et al. 2014)."""
    signal_drop_limit: float = 0.05
    """The same limit for a relative change of the mask's mean signal, in both directions."""

    def problems(self) -> list[str]:
        """Return the problems of these settings, in words."""
        rules = {
            "repetition_time_s": (self.repetition_time_s > 0, "must be above 0"),
            "smoothing_fwhm_mm": (0 <= self.smoothing_fwhm_mm <= 20, "must be from 0 to 20"),
            "memory_s": (
                self.memory_s >= 4 * self.repetition_time_s,
                "must be at least 4 repetition times",
            ),
            "ready_after_s": (self.ready_after_s >= 0, "must be 0 or more"),
            "framewise_displacement_limit_mm": (
                self.framewise_displacement_limit_mm > 0,
                "must be above 0",
            ),
            "signal_drop_limit": (0 < self.signal_drop_limit <= 1, "must be above 0, at most 1"),
        }
        return [
            f"preparation.{name}: {rule}, and is {getattr(self, name):g}"
            for name, (valid, rule) in rules.items()
            if not valid
        ]


def _problems(space: Space) -> list[str]:
    """Return the problems of a space, in words."""
    found = []
    if space.reference.ndim != 3 or min(space.reference.shape) < 4:
        found.append(f"space.reference: must be a volume of 4 voxels or more along each axis, and "
                     f"is {space.reference.shape}")  # fmt: skip
    for name in ("reference_affine", "grid_affine"):
        affine = getattr(space, name)
        if affine.shape != (4, 4) or not abs(np.linalg.det(affine)) > 0:
            found.append(f"space.{name}: must be an invertible 4x4 matrix")
    if space.mask.ndim != 3 or not space.mask.any():
        found.append("space.mask: must be a 3-D mask with voxels in it, and has none")
    elif space.coordinates_mm.shape != (expected := (int(resample.dilate(space.mask).sum()), 3)):
        found.append(f"space.coordinates_mm: must be {expected}, one row for each voxel of the "
                     f"dilated mask, and is {space.coordinates_mm.shape}")  # fmt: skip
    if not np.isfinite(space.coordinates_mm).all():
        found.append("space.coordinates_mm: must be finite, and some are not")
    return found


def _part(state: State, stage: str) -> State:
    return {name.partition(".")[2]: a for name, a in state.items() if name.startswith(stage + ".")}


def _join(**parts: State) -> State:
    return {f"{stage}.{name}": a for stage, part in parts.items() for name, a in part.items()}


class Preparation:
    """Prepares volumes for the decoder. Constants of a run are computed once here.

    The memory is outside, in a `State` of named arrays. Therefore a checkpoint is an `.npz`, and a
    run that is resumed from it gives the same bits.

    Parameters
    ----------
    space
        Reference, grid, mask and the mapping between them.
    settings
        Settings of the preparation.
    clock
        Clock for the stamps.

    Raises
    ------
    ConfigError
        Settings or space are invalid; the error lists all problems.
    """

    def __init__(
        self, space: Space, settings: PreparationSettings, clock: Clock | None = None
    ) -> None:
        problems = settings.problems() + _problems(space)
        if problems:
            raise ConfigError(problems)
        dilated = resample.dilate(space.mask)
        self.settings = settings
        self._space = space
        self._clock: Clock = clock or SystemClock()
        self._voxels = int(space.mask.sum())
        self._reference = reference.build(space.reference, space.reference_affine)
        self._smoothing = smooth.plan(
            space.mask, dilated, space.grid_affine, settings.smoothing_fwhm_mm
        )
        self._normalise = normalise.NormaliseSettings(
            settings.repetition_time_s,
            memory_s=settings.memory_s,
            ready_after_s=settings.ready_after_s,
        )
        self._limits = quality.QualityLimits(
            settings.framewise_displacement_limit_mm, settings.signal_drop_limit
        )
        self._outside_in_reference = resample.step(
            space.reference, space.reference_affine, np.eye(4), space.coordinates_mm
        )[1]

    def initial_state(self, spread: Float32 | None = None) -> State:
        """Return the state before a run's first volume.

        Parameters
        ----------
        spread
            (voxels in mask,) result of `spread_of` at the end of an earlier run of this person with
            the same space and settings. This run is then ready after 4 volumes.

        Raises
        ------
        ConfigError
            `spread` has another number of voxels than the mask, or is negative or not finite.
        """
        if spread is not None and (
            spread.shape != (self._voxels,) or not (np.isfinite(spread) & (spread >= 0)).all()
        ):
            raise ConfigError(
                f"initial spread: must have {self._voxels} finite values of 0 or more, one for "
                "each voxel of the mask; calibrate again, or start without one"
            )
        return _join(
            realign=realign.initial_state(),
            quality=quality.initial_state(self._voxels),
            normalise=normalise.initial_state(self._normalise, self._voxels, spread),
        )

    def spread_of(self, state: State) -> Float32:
        """Return the standard deviation of each voxel learnt so far, (voxels in mask,)."""
        return normalise.spread_of(_part(state, "normalise"))

    def step(self, state: State, volume: Volume, elapsed: int = 1) -> tuple[State, Prepared]:
        """Prepare one volume.

        Parameters
        ----------
        state
            State after the previous volume; it and its arrays are not changed.
        volume
            Volume on any grid; the motion found includes the difference between the grids.
        elapsed
            Difference to the index of the previous volume; above 1 after a gap.

        Returns
        -------
        state : State
        prepared : Prepared

        Raises
        ------
        VolumeError
            The volume is not 3-D or its intensities are not finite; `state` remains valid.
        RunError
            The state belongs to another mask, or the index is not after the previous one.
        """
        self._check(state, volume, elapsed)
        space, now = self._space, self._clock.monotonic_ns
        realign_state, motion, correlation = realign.step(
            self._reference, _part(state, "realign"), volume.data, volume.affine
        )
        stamps = replace(volume.stamps, realigned_ns=now())

        matrix = motion_matrix(motion, self._reference.centre_mm)
        values, outside = resample.step(volume.data, volume.affine, matrix, space.coordinates_mm)
        stamps = replace(stamps, resampled_ns=now())

        values = smooth.step(self._smoothing, values)
        stamps = replace(stamps, smoothed_ns=now())

        past = _part(state, "normalise")
        ready = normalise.is_ready(self._normalise, past)
        measurements = quality.Measurements(
            motion=motion.as_array(),
            lost=correlation < realign.LOST_CORRELATION,
            outside=(outside - self._outside_in_reference) / len(space.coordinates_mm),
            ready=ready,
        )
        quality_state, verdict = quality.step(
            self._limits,
            self._normalise.retention,
            _part(state, "quality"),
            values,
            measurements,
            elapsed,
        )
        if quality.restarts_statistics(verdict.why):
            past = normalise.restart(past)
        normalise_state, z = normalise.step(
            self._normalise, past, values, elapsed, learn=quality.enters_statistics(verdict.why)
        )
        prepared = Prepared(
            index=volume.index,
            data=z if ready else np.zeros_like(z),
            motion=motion,
            quality=verdict,
            stamps=replace(stamps, normalised_ns=now()),
        )
        return _join(
            realign=realign_state, quality=quality_state, normalise=normalise_state
        ), prepared

    def _check(self, state: State, volume: Volume, elapsed: int) -> None:
        if elapsed < 1:
            raise RunError(f"volume {volume.index}: must follow the previous one, and its index "
                           f"is {1 - elapsed} too low")  # fmt: skip
        if (voxels := state["normalise.level"].size) != self._voxels:
            raise RunError(f"state: must have {self._voxels} voxels like the bundle's mask, and "
                           f"has {voxels}; start a new run with this bundle")  # fmt: skip
        if volume.data.ndim != 3 or min(volume.data.shape) < 2:
            raise VolumeError(f"volume {volume.index}: must have 2 voxels or more along each of "
                              f"three axes, and is {volume.data.shape}")  # fmt: skip

    def warm_up(self) -> None:
        """Compile all kernels, so that a run's first volume is not delayed.

        This takes seconds on a machine's first run; the compiled code is stored on disk.
        """
        volume = Volume(
            index=0,
            data=self._space.reference,
            affine=self._space.reference_affine,
            acquired_s=0.0,
            repetition_time_s=self.settings.repetition_time_s,
            identity=Identity(series="", series_number=0, acquisition=1),
        )
        self.step(self.initial_state(), volume)
