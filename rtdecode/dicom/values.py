"""What one DICOM object gives, before it is known which volumes are whole."""

from dataclasses import dataclass

from rtdecode.types import Float32, Float64


@dataclass(frozen=True, slots=True)
class Series:
    """What every object of one run has in common."""

    digest: str
    """First 12 digits of SHA-256(SeriesInstanceUID)."""
    series_number: int
    matrix: tuple[int, int]
    """Columns and rows of one slice: X and Y of the volume."""
    echo_time_ms: float
    """0 where the header gives none; the echoes of one series are different runs."""
    repetition_time_s: float
    """`nan` where the header gives none."""
    image_type: tuple[str, ...]
    volumes: int | None = None
    """How many volumes the header announces, `None` where it does not."""
    kind: str = ""
    """What these images are where they cannot be a run, for the operator; empty where they can."""

    def same_run(self, other: "Series") -> bool:
        """Whether objects of both series belong to one run."""
        return (self.digest, self.matrix, self.echo_time_ms) == (
            other.digest,
            other.matrix,
            other.echo_time_ms,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Slab:
    """What one object gives to one volume: one slice, or all of them."""

    data: Float32
    """(X, Y, slices), rows and slices in dcm2niix's order."""
    affine: Float64
    """Voxel of `data` to scanner millimetres, RAS+, (4, 4)."""
    location_mm: float
    """Position of the first slice along the slice normal."""
    temporal: int | None
    """Temporal position from 1; `None` where only the whole series tells."""
    instance: int
    """InstanceNumber, 0 where there is none."""
    slices: int | None
    """Slices of a whole volume; `None` where only the whole series tells."""
    acquisition_clock_s: float
    """Acquisition start in seconds since midnight, `nan` where there is none."""
    trigger_clock_s: float
    """TriggerTime in seconds, `nan` where there is none."""


@dataclass(frozen=True, slots=True, eq=False)
class Parsed:
    """One DICOM object, read."""

    series: Series
    slabs: tuple[Slab, ...]
    """One for each volume that the object gives to; most objects give to one."""
