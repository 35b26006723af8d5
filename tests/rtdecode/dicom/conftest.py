"""Small synthetic DICOM objects in the formats of the vendors."""

from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

MR, ENHANCED = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1"
OBLIQUE = (0.96, 0.28, 0.0, -0.28, 0.96, 0.0)


def csa_header(**tags: tuple[float, ...]) -> bytes:
    """Build a CSA2 header with numbers."""
    body = b""
    for name, values in tags.items():
        body += name.encode().ljust(64, b"\0")
        body += np.array([len(values)], "<i4").tobytes() + b"FD\0\0"
        body += np.array([4, len(values), 77], "<i4").tobytes()
        for value in values:
            text = f"{value:.8f}".encode() + b"\0"
            body += np.array([len(text), len(text), 77, len(text)], "<i4").tobytes()
            body += text.ljust((len(text) + 3) // 4 * 4, b"\0")
    return b"SV10\4\3\2\1" + np.array([len(tags), 77], "<u4").tobytes() + body


@dataclass
class Builder:
    """One simulated run; each method returns the bytes of one object."""

    series_uid: str = field(default_factory=lambda: generate_uid(entropy_srcs=["run"]))
    series_number: int = 5
    orientation: tuple[float, ...] = OBLIQUE
    spacing_mm: tuple[float, float, float] = (3.0, 2.5, 4.0)
    repetition_time_ms: float = 1500.0
    implicit: bool = False

    def base(self, sop_class: str = MR, manufacturer: str = "SIEMENS") -> FileDataset:
        """Build the elements that every MR object has."""
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = sop_class
        meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["object"])
        meta.TransferSyntaxUID = ImplicitVRLittleEndian if self.implicit else ExplicitVRLittleEndian
        ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        ds.SOPClassUID = sop_class
        ds.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
        ds.Modality = "MR"
        ds.Manufacturer = manufacturer
        ds.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"]
        ds.SeriesInstanceUID = self.series_uid
        ds.SeriesNumber = self.series_number
        ds.SamplesPerPixel = 1
        ds.PhotometricInterpretation = "MONOCHROME2"
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
        return ds

    def write(self, ds: FileDataset) -> bytes:
        """Encode an object."""
        buffer = BytesIO()
        ds.save_as(buffer, enforce_file_format=True)
        return buffer.getvalue()

    def _plane(self, ds: Dataset, position: np.ndarray) -> None:
        ds.ImagePositionPatient = [f"{p:.6f}" for p in position]
        ds.ImageOrientationPatient = list(self.orientation)
        ds.PixelSpacing = list(self.spacing_mm[:2])
        ds.SpacingBetweenSlices = self.spacing_mm[2]
        ds.SliceThickness = self.spacing_mm[2]

    def mosaic(
        self,
        volume: np.ndarray,
        number: int,
        *,
        count_in: str = "element",
        normal_sign: int = 1,
    ) -> bytes:
        """Build a Siemens mosaic of `volume` (slices, rows, columns) as scanned."""
        ds = self.base()
        ds.ImageType = [*ds.ImageType, "MOSAIC"]
        slices, rows, columns = volume.shape
        tiles = int(np.ceil(np.sqrt(slices)))
        picture = np.zeros((tiles * rows, tiles * columns), "<u2")
        for at in range(slices):
            y, x = at // tiles * rows, at % tiles * columns
            picture[y : y + rows, x : x + columns] = volume[at]
        ds.Rows, ds.Columns = picture.shape
        ds.PixelData = picture.tobytes()
        ds.AcquisitionNumber = ds.InstanceNumber = number
        ds.AcquisitionTime = f"1000{10 + 1.5 * (number - 1):09.6f}"
        ds.RepetitionTime = self.repetition_time_ms
        # The scanner gives the corner of the whole image, centred on the volume.
        row, column = np.array(self.orientation[:3]), np.array(self.orientation[3:])
        margin = row * self.spacing_mm[1] * columns * (tiles - 1) / 2
        margin += column * self.spacing_mm[0] * rows * (tiles - 1) / 2
        self._plane(ds, np.array([-40.0, -50.0, 10.0]) - margin)
        normal = np.cross(row, column) * normal_sign
        tags = {"SliceNormalVector": tuple(normal)}
        if count_in == "element":
            ds.add_new(0x00190010, "LO", "SIEMENS MR HEADER")
            ds.add_new(0x0019100A, "US", slices)
        elif count_in == "csa":
            tags["NumberOfImagesInMosaic"] = (slices,)
        ds.add_new(0x00290010, "LO", "SIEMENS CSA HEADER")
        ds.add_new(0x00291010, "OB", csa_header(**tags))
        return self.write(ds)

    def slice_dataset(
        self, picture: np.ndarray, at: int, instance: int, manufacturer: str
    ) -> FileDataset:
        """Build a classic slice: the `at`-th along the normal."""
        ds = self.base(manufacturer=manufacturer)
        ds.Rows, ds.Columns = picture.shape
        ds.PixelData = picture.astype("<u2").tobytes()
        ds.InstanceNumber = instance
        ds.RepetitionTime = self.repetition_time_ms
        normal = np.cross(self.orientation[:3], self.orientation[3:])
        self._plane(ds, np.array([-40.0, -50.0, 10.0]) + at * self.spacing_mm[2] * normal)
        return ds

    def ge(self, volume: np.ndarray, number: int, at: int, *, count_in: str = "private") -> bytes:
        """Build the `at`-th slice of GE's volume `number` (from 1): no temporal index."""
        slices = len(volume)
        ds = self.slice_dataset(
            volume[at], at, (number - 1) * slices + at + 1, "GE MEDICAL SYSTEMS"
        )
        if count_in == "private":
            ds.add_new(0x00210010, "LO", "GEMS_RELA_01")
            ds.add_new(0x0021104F, "SS", slices)
        elif count_in == "standard":
            ds.ImagesInAcquisition = slices
        return self.write(ds)

    def philips(
        self,
        volume: np.ndarray,
        number: int,
        at: int,
        *,
        volumes: int = 4,
        slope: float | None = 2.0,
        scale_slope: float | None = 0.5,
        facts: bool = True,
    ) -> bytes:
        """Build the `at`-th slice of Philips' volume `number`: instances count time first."""
        ds = self.slice_dataset(volume[at], at, at * volumes + number, "Philips Medical Systems")
        ds.AcquisitionNumber = 4
        if facts:
            ds.TemporalPositionIdentifier = number
            ds.add_new(0x20010010, "LO", "Philips Imaging DD 001")
            ds.add_new(0x20011018, "SL", len(volume))
        if slope is not None:
            ds.RescaleSlope, ds.RescaleIntercept = slope, 0
        if scale_slope is not None:
            ds.add_new(0x20050010, "LO", "Philips MR Imaging DD 001")
            ds.add_new(0x2005100E, "FL", scale_slope)
        ds.TriggerTime = 1500.0 * (number - 1)
        return self.write(ds)

    def enhanced(
        self,
        run: np.ndarray,
        *,
        first: int = 1,
        slices_outer: bool = False,
        manufacturer: str = "SIEMENS",
    ) -> bytes:
        """Build an enhanced object of `run` (volumes, slices, rows, columns)."""
        ds = self.base(ENHANCED, manufacturer)
        volumes, slices, rows, columns = run.shape
        ds.Rows, ds.Columns, ds.NumberOfFrames = rows, columns, volumes * slices
        ds.InstanceNumber = ds.AcquisitionNumber = first
        order = [(t, z) for t in range(volumes) for z in range(slices)]
        if slices_outer:
            order.sort(key=lambda tz: (tz[1], tz[0]))
        ds.PixelData = b"".join(run[t, z].astype("<u2").tobytes() for t, z in order)
        shared = Dataset()
        timing, measures = Dataset(), Dataset()
        timing.RepetitionTime = self.repetition_time_ms
        measures.PixelSpacing = list(self.spacing_mm[:2])
        measures.SpacingBetweenSlices = self.spacing_mm[2]
        shared.MRTimingAndRelatedParametersSequence = Sequence([timing])
        shared.PixelMeasuresSequence = Sequence([measures])
        ds.SharedFunctionalGroupsSequence = Sequence([shared])
        normal = np.cross(self.orientation[:3], self.orientation[3:])
        frames = []
        for t, z in order:
            frame, content, place, plane = Dataset(), Dataset(), Dataset(), Dataset()
            content.TemporalPositionIndex = first + t
            content.InStackPositionNumber = z + 1
            content.FrameAcquisitionDateTime = f"201902191000{10 + 1.5 * (first - 1 + t):09.6f}"
            where = np.array([-40.0, -50.0, 10.0]) + z * self.spacing_mm[2] * normal
            place.ImagePositionPatient = [f"{p:.6f}" for p in where]
            plane.ImageOrientationPatient = list(self.orientation)
            frame.FrameContentSequence = Sequence([content])
            frame.PlanePositionSequence = Sequence([place])
            frame.PlaneOrientationSequence = Sequence([plane])
            frames.append(frame)
        ds.PerFrameFunctionalGroupsSequence = Sequence(frames)
        return self.write(ds)


@pytest.fixture(scope="session")
def builder() -> Builder:
    """Return a builder of one run's objects."""
    return Builder()


@pytest.fixture
def make_builder() -> Callable[..., Builder]:
    """Return the builder's class, for runs with other settings."""
    return Builder


@pytest.fixture(scope="session")
def run() -> np.ndarray:
    """Return a small run as scanned, (volumes, slices, rows, columns), with distinct values."""
    values = np.arange(4 * 5 * 6 * 7, dtype=np.uint16).reshape(4, 5, 6, 7)
    values.setflags(write=False)
    return values


@pytest.fixture
def expected_affine() -> np.ndarray:
    """Return the affine that dcm2niix gives the builder's run (worked out by hand)."""
    row, column = np.array(OBLIQUE[:3]), np.array(OBLIQUE[3:])
    lps = np.eye(4)
    lps[:3, 0], lps[:3, 1] = row * 2.5, -column * 3.0
    lps[:3, 2] = np.cross(row, column) * 4.0
    lps[:3, 3] = np.array([-40.0, -50.0, 10.0]) + 5 * column * 3.0
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps
