"""The common elements of the DICOM objects of all simulated scanners."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid
from pydicom.valuerep import format_number_as_ds

from calibration.simulation.simulated_run import MAXIMUM, SimulatedRun
from rtdecode.types import Float64

DATE = "20000101"
START_S = 10 * 3600.0
"""Start of the acquisition, seconds after midnight."""


@dataclass(frozen=True, slots=True)
class Scanner:
    """A scanner, by the names in its objects."""

    manufacturer: str
    software: str
    sop_class: str
    image_type: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Slices:
    """Positions of the slices in DICOM's patient coordinates (LPS)."""

    positions: Float64
    """Centre of each slice's first stored pixel, (slices, 3), millimetres."""
    cosines: Float64
    """Directions of rows and columns, (6,)."""
    normal: Float64
    """Unit vector from one slice to the next, (3,)."""
    step: Float64
    """Steps along a row, a column and from slice to slice, as columns, (3, 3), millimetres."""


def slices_of(run: SimulatedRun) -> Slices:
    """Return the geometry of a run's slices; DICOM's rows run to posterior."""
    _, rows, slices = run.design.protocol.matrix
    lps = np.diag([-1.0, -1.0, 1.0])
    step = lps @ run.affine[:3, :3] @ np.diag([1.0, -1.0, 1.0])
    first = lps @ (run.affine[:3, :3] @ [0, rows - 1, 0] + run.affine[:3, 3])
    positions = first + np.arange(slices)[:, None] * step[:, 2]
    cosines = step / np.linalg.norm(step, axis=0)
    return Slices(positions, np.concatenate([cosines[:, 0], cosines[:, 1]]), cosines[:, 2], step)


def series(run: SimulatedRun, scanner: Scanner) -> FileDataset:
    """Return the elements common to all objects of a run; they mark the data as simulated."""
    protocol = run.design.protocol
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(scanner.sop_class)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.ImageType = list(scanner.image_type)
    dataset.SOPClassUID = UID(scanner.sop_class)
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = DATE
    dataset.StudyTime = dataset.SeriesTime = clock(START_S)
    dataset.Modality = "MR"
    dataset.Manufacturer = scanner.manufacturer
    dataset.ManufacturerModelName = "rtdecode simulation"
    dataset.SoftwareVersions = scanner.software
    dataset.StudyDescription = "Simulated by rtdecode"
    dataset.SeriesDescription = dataset.ProtocolName = "func_task-simulated_bold"
    dataset.PatientName = "Simulated^Participant"
    dataset.PatientID = "simulated"
    dataset.PatientBirthDate = ""
    dataset.PatientSex = ""
    dataset.BodyPartExamined = "BRAIN"
    dataset.PatientPosition = "HFS"
    dataset.StudyInstanceUID = run.study_uid
    dataset.SeriesInstanceUID = run.series_uid
    dataset.FrameOfReferenceUID = generate_uid(entropy_srcs=[run.study_uid, "frame of reference"])
    dataset.StudyID = "1"
    dataset.SeriesNumber = run.design.series_number
    dataset.MRAcquisitionType = "2D"
    dataset.MagneticFieldStrength = "3"
    dataset.EchoTrainLength = protocol.matrix[1]
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Columns, dataset.Rows = protocol.matrix[:2]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, MAXIMUM.bit_length(), 11
    dataset.PixelRepresentation = 0
    return dataset


def classic(dataset: FileDataset, run: SimulatedRun) -> None:
    """Add the elements of classic objects: the parameters of the scan."""
    protocol = run.design.protocol
    width, height, _ = protocol.matrix
    dataset.ScanningSequence = "EP"
    dataset.SequenceVariant = "SK"
    dataset.ScanOptions = "FS"
    dataset.SequenceName = f"*epfid2d1_{height}"
    dataset.SliceThickness = format_number_as_ds(protocol.voxel_mm[2])
    dataset.SpacingBetweenSlices = format_number_as_ds(protocol.voxel_mm[2])
    dataset.RepetitionTime = format_number_as_ds(protocol.repetition_time_s * 1e3)
    dataset.EchoTime = format_number_as_ds(protocol.echo_time_s * 1e3)
    dataset.FlipAngle = format_number_as_ds(protocol.flip_angle_deg)
    dataset.AcquisitionMatrix = [width, 0, 0, height]
    dataset.InPlanePhaseEncodingDirection = "COL"
    dataset.PixelSpacing = numbers(np.array([protocol.voxel_mm[1], protocol.voxel_mm[0]]))
    dataset.ImageOrientationPatient = numbers(slices_of(run).cosines)
    dataset.WindowCenter, dataset.WindowWidth = "600", "1400"


def identify(dataset: FileDataset, run: SimulatedRun, instance: int, acquired_s: float) -> None:
    """Set the number of the object and its time of acquisition after the run's start."""
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=[run.series_uid, str(instance)])
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.InstanceNumber = instance
    dataset.AcquisitionTime = clock(START_S + acquired_s)
    dataset.ContentTime = dataset.InstanceCreationTime = clock(
        START_S + acquired_s + run.design.protocol.repetition_time_s
    )


def numbers(values: Float64) -> list[str]:
    """Return decimal strings of at most 16 characters."""
    return [format_number_as_ds(float(value)) for value in values]


def clock(seconds: float) -> str:
    """Return seconds since midnight as a DICOM time."""
    return f"{datetime.fromtimestamp(seconds, UTC):%H%M%S.%f}"
