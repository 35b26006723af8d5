"""Simulated volumes as the DICOM files of a Siemens scanner: one mosaic each."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid
from pydicom.valuerep import format_number_as_ds

from calibration.simulation.csa import CsaElement, encode
from calibration.simulation.session import MAXIMUM, SimulatedRun
from rtdecode.errors import ConfigError
from rtdecode.types import Float32, Float64, Volume

_DATE = "20000101"
_START_S = 10 * 3600.0
"""The first volume is acquired at ten o'clock."""


def write_mosaics(
    run: SimulatedRun, folder: Path, progress: Callable[[int, int], None] | None = None
) -> list[Path]:
    """Write every volume of `run` as a Siemens mosaic DICOM file.

    Parameters
    ----------
    run
        From `session.simulate_run`.
    folder
        Made where it is missing; it must hold no ``.dcm`` file yet, so that runs never mix.
    progress
        Called after each file with the number of files written and to be written.

    Returns
    -------
    The files in the order of acquisition, named as Siemens' real-time export names them.

    Raises
    ------
    ConfigError
        `folder` already holds DICOM files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.glob("*.dcm")):
        raise ConfigError(f"{folder} already holds .dcm files; name an empty folder for this run")
    dataset = _series(run)
    paths = []
    for volume in run.volumes():
        _place(dataset, run, volume)
        number = volume.identity.acquisition
        path = folder / f"001_{volume.identity.series_number:06d}_{number:06d}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
        if progress is not None:
            progress(number, len(run))
    return paths


def tiles(slices: int) -> int:
    """Return how many tiles a mosaic of so many slices has along each side."""
    return int(np.ceil(np.sqrt(slices)))


def mosaic_pixels(data: Float32) -> np.ndarray:
    """Lay the slices of a volume (X, Y, Z) out as a mosaic (rows, columns) of uint16."""
    width, height, slices = data.shape
    side = tiles(slices)
    mosaic = np.zeros((side, height, side, width), dtype="<u2")
    for index in range(slices):
        row, column = divmod(index, side)
        mosaic[row, :, column] = data[:, ::-1, index].T
    return mosaic.reshape(side * height, side * width)


def _geometry(affine: Float64, matrix: tuple[int, int, int]) -> tuple[Float64, Float64, Float64]:
    """Return the mosaic's position, its row and column cosines (6,), and the slice normal, LPS."""
    lps = np.diag([-1.0, -1.0, 1.0])
    step = lps @ affine[:3, :3] @ np.diag([1.0, -1.0, 1.0])  # DICOM rows run to posterior
    first = lps @ (affine[:3, :3] @ [0, matrix[1] - 1, 0] + affine[:3, 3])
    cosines = step / np.linalg.norm(step, axis=0)
    # A mosaic's position is that of a single slice as large as the whole mosaic, centred alike.
    rest = (tiles(matrix[2]) - 1) / 2
    corner = first - rest * (step[:, 0] * matrix[0] + step[:, 1] * matrix[1])
    return corner, np.concatenate([cosines[:, 0], cosines[:, 1]]), cosines[:, 2]


def _numbers(values: Float64) -> list[str]:
    return [format_number_as_ds(float(value)) for value in values]


def _series(run: SimulatedRun) -> FileDataset:
    """Return what all files of the run have in common."""
    protocol = run.design.protocol
    width, height, slices = protocol.matrix
    side = tiles(slices)
    corner, cosines, normal = _geometry(run.affine, protocol.matrix)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    _describe(dataset, run)
    dataset.ScanningSequence = "EP"
    dataset.SequenceVariant = "SK"
    dataset.ScanOptions = "FS"
    dataset.MRAcquisitionType = "2D"
    dataset.SequenceName = f"*epfid2d1_{height}"
    dataset.SliceThickness = format_number_as_ds(protocol.voxel_mm[2])
    dataset.RepetitionTime = format_number_as_ds(protocol.repetition_time_s * 1e3)
    dataset.EchoTime = format_number_as_ds(protocol.echo_time_s * 1e3)
    dataset.MagneticFieldStrength = "3"
    dataset.SpacingBetweenSlices = format_number_as_ds(protocol.voxel_mm[2])
    dataset.EchoTrainLength = height
    dataset.AcquisitionMatrix = [width, 0, 0, height]
    dataset.InPlanePhaseEncodingDirection = "COL"
    dataset.FlipAngle = format_number_as_ds(protocol.flip_angle_deg)
    dataset.PatientPosition = "HFS"
    dataset.ImagePositionPatient = _numbers(corner)
    dataset.ImageOrientationPatient = _numbers(cosines)
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = side * height, side * width
    dataset.PixelSpacing = _numbers(np.array([protocol.voxel_mm[1], protocol.voxel_mm[0]]))
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, MAXIMUM.bit_length(), 11
    dataset.PixelRepresentation = 0
    dataset.WindowCenter, dataset.WindowWidth = "600", "1400"
    _private(dataset, (width, height, slices), normal)
    return dataset


def _describe(dataset: Dataset, run: SimulatedRun) -> None:
    """Say what the object is, and that nobody was scanned."""
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
    dataset.SOPClassUID = MRImageStorage
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = _DATE
    dataset.StudyTime = dataset.SeriesTime = _clock(_START_S)
    dataset.Modality = "MR"
    dataset.Manufacturer = "SIEMENS"
    dataset.ManufacturerModelName = "rtdecode simulation"
    dataset.SoftwareVersions = "syngo MR E11"
    dataset.StudyDescription = "Simulated by rtdecode"
    dataset.SeriesDescription = dataset.ProtocolName = "func_task-simulated_bold"
    dataset.PatientName = "Simulated^Participant"
    dataset.PatientID = "simulated"
    dataset.PatientBirthDate = ""
    dataset.PatientSex = ""
    dataset.BodyPartExamined = "BRAIN"
    dataset.StudyInstanceUID = run.study_uid
    dataset.SeriesInstanceUID = run.series_uid
    dataset.FrameOfReferenceUID = generate_uid(entropy_srcs=[run.study_uid, "frame of reference"])
    dataset.StudyID = "1"
    dataset.SeriesNumber = run.design.series_number


def _private(dataset: Dataset, matrix: tuple[int, int, int], normal: Float64) -> None:
    """Add what only Siemens says: how many slices the mosaic holds, and where they go."""
    width, height, slices = matrix
    header = encode(
        [
            CsaElement("AcquisitionMatrixText", "SH", (f"{height}*{width}",)),
            CsaElement("PhaseEncodingDirectionPositive", "IS", ("1",)),
            CsaElement("NumberOfImagesInMosaic", "US", (str(slices),)),
            CsaElement("SliceNormalVector", "FD", tuple(f"{n:.8f}" for n in normal)),
            CsaElement("ProtocolSliceNumber", "IS", ("0",)),
        ]
    )
    mr = dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    mr.add_new(0x08, "CS", "IMAGE NUM 4")
    mr.add_new(0x09, "LO", "1.0")
    mr.add_new(0x0A, "US", slices)
    csa = dataset.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    csa.add_new(0x08, "CS", "IMAGE NUM 4")
    csa.add_new(0x09, "LO", _DATE)
    csa.add_new(0x10, "OB", header + b"\0" * (len(header) % 2))
    text = dataset.private_block(0x0051, "SIEMENS MR HEADER", create=True)
    text.add_new(0x08, "CS", "IMAGE NUM 4")
    text.add_new(0x09, "LO", "1.0")
    text.add_new(0x0B, "SH", f"{height}*{width}")


def _place(dataset: FileDataset, run: SimulatedRun, volume: Volume) -> None:
    """Turn `dataset` into the object of one volume."""
    number = volume.identity.acquisition
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=[run.series_uid, str(number)])
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.AcquisitionNumber = number
    dataset.InstanceNumber = number
    acquired_s = _START_S + volume.acquired_s
    dataset.AcquisitionTime = _clock(acquired_s)
    dataset.ContentTime = dataset.InstanceCreationTime = _clock(
        acquired_s + volume.repetition_time_s
    )
    pixels = mosaic_pixels(volume.data)
    dataset.SmallestImagePixelValue = int(pixels.min())
    dataset.LargestImagePixelValue = int(pixels.max())
    dataset.PixelData = pixels.tobytes()


def _clock(seconds: float) -> str:
    """Return seconds since midnight as a DICOM time."""
    micro = round(seconds * 1e6)
    minutes, micro = divmod(micro, 60_000_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours % 24:02d}{minutes:02d}{micro // 1_000_000:02d}.{micro % 1_000_000:06d}"
