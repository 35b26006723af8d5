"""The values that flow from scanner to stimulus, all immutable."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Bool = NDArray[np.bool_]
NONE = "none"
"""The label of a decision for no class; no class is called so."""
State = dict[str, NDArray[Any]]
"""A stage's or a decoder's memory: named arrays, ready for an `.npz`."""


def frozen(array: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """Return `array`, or a copy of it, C-contiguous, read-only and of `dtype`."""
    if array.dtype == dtype and array.flags.c_contiguous and not array.flags.writeable:
        return array
    copy = np.array(array, dtype=dtype, order="C", copy=True)
    copy.setflags(write=False)
    return copy


@dataclass(frozen=True, slots=True)
class Identity:
    """Which acquisition a volume is, as its header says."""

    series: str
    """First 12 digits of SHA-256(SeriesInstanceUID): comparable, not identifying."""
    series_number: int
    """SeriesNumber (0020,0011)."""
    acquisition: int
    """Temporal position in the series as the header counts it, from 1."""


@dataclass(frozen=True, slots=True)
class Stamps:
    """When each step finished, in monotonic nanoseconds of this machine; 0 where not reached."""

    received_ns: int = 0
    """The volume's last byte was read from the source."""
    journalled_ns: int = 0
    """The volume's last object was durable."""
    parsed_ns: int = 0
    """Its last object had become pixels and geometry, and the volume was whole."""
    realigned_ns: int = 0
    resampled_ns: int = 0
    smoothed_ns: int = 0
    normalised_ns: int = 0
    decided_ns: int = 0
    """The decoder had answered."""
    recorded_ns: int = 0
    """The outcome was durable; it is published next."""


STAGES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "journal": ("received_ns", "journalled_ns"),
        "parse": ("journalled_ns", "parsed_ns"),
        "realign": ("parsed_ns", "realigned_ns"),
        "resample": ("realigned_ns", "resampled_ns"),
        "smooth": ("resampled_ns", "smoothed_ns"),
        "normalise": ("smoothed_ns", "normalised_ns"),
        "decode": ("normalised_ns", "decided_ns"),
        "record": ("decided_ns", "recorded_ns"),
        "total": ("received_ns", "recorded_ns"),
    }
)
"""Between which stamps a stage lies. `parse` includes the wait for the decoder behind earlier
volumes, `realign` that for an earlier volume that is missing."""


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """One BOLD volume as acquired."""

    index: int
    """Position in the run from 0, as the header says, dummy volumes included."""
    data: Float32
    """Scanner intensities, (X, Y, Z), stored as dcm2niix stores them."""
    affine: Float64
    """Voxel to scanner millimetres, RAS+, (4, 4)."""
    acquired_s: float
    """Acquisition start in seconds since the run's first volume (index x repetition time where the
    header gives no clock)."""
    repetition_time_s: float
    """RepetitionTime in seconds; `nan` where the header gives none."""
    identity: Identity
    stamps: Stamps = field(default_factory=Stamps)

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", frozen(self.data, np.float32))
        object.__setattr__(self, "affine", frozen(self.affine, np.float64))

    def __repr__(self) -> str:
        size = "x".join(map(str, self.data.shape))
        return f"Volume(index={self.index}, {size}, acquired_s={self.acquired_s:.3f})"


@dataclass(frozen=True, slots=True)
class Motion:
    """Rigid head motion of a volume against the reference EPI, under fMRIPrep's confound names.

    The transform maps reference millimetres (RAS+) to this volume's: rotate about the reference's
    centre by rot_x, then rot_y, then rot_z, then translate.
    """

    trans_x: float = 0.0
    """Millimetres."""
    trans_y: float = 0.0
    trans_z: float = 0.0
    rot_x: float = 0.0
    """Radians."""
    rot_y: float = 0.0
    rot_z: float = 0.0

    def as_array(self) -> Float64:
        """Return (trans_x, trans_y, trans_z, rot_x, rot_y, rot_z) in mm and rad."""
        return np.array([getattr(self, f.name) for f in fields(self)], dtype=np.float64)

    @classmethod
    def from_array(cls, parameters: Float64) -> Self:
        """Build from (trans_x, trans_y, trans_z, rot_x, rot_y, rot_z) in mm and rad."""
        return cls(*(float(p) for p in parameters))


FD_MARKS_MM = (0.2, 0.5)
"""Framewise displacement: the usual strict and lenient limits (Power et al. 2012, 2014)."""


@dataclass(frozen=True, slots=True)
class Quality:
    """How far a volume can be trusted."""

    framewise_displacement: float
    """Millimetres, Power et al. 2012, rotations on a 50 mm sphere; 0 for a run's first volume."""
    dvars: float
    """Root mean square over the mask of the change since the last volume, % of mean signal."""
    temporal_snr: float
    """Median over the mask of mean / standard deviation so far; `nan` at first."""
    signal_drop: float
    """Fall of the mask's mean signal against its mean so far, a fraction (0.2: a fifth is gone)."""
    usable: bool
    """Whether the volume counts as evidence."""
    why: tuple[str, ...] = ()
    """Every reason it does not: `not_ready`, `motion`, `signal_drop`, ..."""


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A volume on the decoder's grid, detrended and z-scored."""

    index: int
    data: Float32
    """(voxels in mask,), in C order of the mask; zeros while the statistics are not ready."""
    motion: Motion
    quality: Quality
    stamps: Stamps

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", frozen(self.data, np.float32))


class SkipReason(StrEnum):
    """Why a volume has no decision."""

    GAP = "gap"
    """It never came."""
    INCOMPLETE = "incomplete"
    """Some of its slices never came."""
    LATE = "late"
    """It was decided after its deadline, and the service withholds such decisions."""
    CORRUPT = "corrupt"
    """It came, and could not be read."""
    WRONG_SERIES = "wrong_series"
    """It came, and does not match the bundle: matrix, voxel size, repetition time or place."""
    DUMMY = "dummy"
    """One of the run's first, in which magnetisation is not in its steady state: it is not used."""
    PAUSED = "paused"
    """The operator has paused the run; it went into the statistics all the same."""
    NOT_READY = "not_ready"
    """The online statistics do not mean anything yet."""
    NO_EVIDENCE = "no_evidence"
    """No volume in the decision window, or in the filter's last dwell time, can be trusted."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What the decoder made of the run up to one volume."""

    index: int
    probabilities: tuple[float, ...]
    """Of the decision window or the filter: one per class of the bundle, in its order; they sum
    to 1."""
    fast: tuple[float, ...]
    """The same of the fast read-out, which follows within some three volumes: for display."""
    label: str
    """The class with the highest probability, or `NONE` where that is below the threshold."""
    window_volumes: int
    """How many volumes carried evidence in this decision's window; with a filter, in the last dwell
    time. Without any there is no decision (`NO_EVIDENCE`)."""
    motion: Motion
    quality: Quality
    bundle: str
    """Digest of the bundle that decided, twelve hexadecimal digits."""
    acquired_s: float
    stamps: Stamps
    late: bool = False
    """Whether it was recorded later after its volume than the service's deadline."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A volume without a decision, and why."""

    index: int
    reason: SkipReason
    detail: str = ""
    """For the operator, in words."""
    motion: Motion | None = None
    """Where the volume was read and realigned all the same."""
    quality: Quality | None = None
    stamps: Stamps = field(default_factory=Stamps)


Outcome = Decision | Skipped
"""One volume in, exactly one outcome out."""
