"""The data of one DICOM object, before volumes are assembled."""

from dataclasses import dataclass

from rtdecode.types import Float32, Float64


@dataclass(frozen=True, slots=True)
class Series:
    """Values that all objects of one run share."""

    digest: str
    """First 12 digits of SHA-256(SeriesInstanceUID)."""
    series_number: int
    matrix: tuple[int, int]
    """Columns and rows of one slice: X and Y of the volume."""
    echo_time_ms: float
    """Echo time, 0 if the header gives none. Each echo of a series is a separate run."""
    repetition_time_s: float
    """Repetition time, `nan` if the header gives none."""
    image_type: tuple[str, ...]
    volumes: int | None = None
    """Number of volumes in the header, `None` if it gives none."""
    kind: str = ""
    """Kind of these images for the operator if they cannot be a run, else empty."""

    def same_run(self, other: "Series") -> bool:
        """Return whether objects of both series belong to one run."""
        return (self.digest, self.matrix, self.echo_time_ms) == (
            other.digest,
            other.matrix,
            other.echo_time_ms,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Slab:
    """The part of one volume that one object has: one slice, or all slices."""

    data: Float32
    """Intensities (X, Y, slices), with rows and slices in dcm2niix's order."""
    affine: Float64
    """Matrix from voxels of `data` to scanner millimetres, RAS+, (4, 4)."""
    location_mm: float
    """Position of the first slice along the slice normal."""
    temporal: int | None
    """Temporal position from 1; `None` if only the whole series shows it."""
    instance: int
    """InstanceNumber, 0 if there is none."""
    slices: int | None
    """Number of slices of a whole volume; `None` if only the whole series shows it."""
    acquisition_clock_s: float
    """Acquisition start in seconds since midnight, `nan` if there is none."""
    trigger_clock_s: float
    """TriggerTime in seconds, `nan` if there is none."""


@dataclass(frozen=True, slots=True, eq=False)
class Parsed:
    """The series and the slabs of one DICOM object."""

    series: Series
    slabs: tuple[Slab, ...]
    """One slab for each volume of the object; most objects have one."""
