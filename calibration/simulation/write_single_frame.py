"""Simulated volumes in the formats of GE and Philips: a classic object for each slice."""

from collections.abc import Iterator

from pydicom.dataset import FileDataset
from pydicom.uid import MRImageStorage
from pydicom.valuerep import format_number_as_ds

from calibration.simulation.dicom_header import (
    Scanner,
    classic,
    identify,
    numbers,
    series,
    slices_of,
)
from calibration.simulation.simulated_run import SimulatedRun

GE = Scanner("GE MEDICAL SYSTEMS", "DV26", MRImageStorage, ("ORIGINAL", "PRIMARY", "OTHER"))
PHILIPS = Scanner(
    "Philips Medical Systems", "5.4.0", MRImageStorage, ("ORIGINAL", "PRIMARY", "M_FFE", "M", "FFE")
)


def ge_slices(run: SimulatedRun) -> Iterator[tuple[str, FileDataset]]:
    """Yield file names and objects; GE numbers the slices of a run, not the volumes."""
    slices = run.design.protocol.matrix[2]
    dataset = series(run, GE)
    classic(dataset, run)
    dataset.AcquisitionNumber = 1
    dataset.ImagesInAcquisition = slices
    relation = dataset.private_block(0x0021, "GEMS_RELA_01", create=True)
    relation.add_new(0x4F, "SS", slices)
    parameters = dataset.private_block(0x0043, "GEMS_PARM_01", create=True)
    parameters.add_new(0x2F, "SS", 0)  # magnitude
    for instance, _, _ in _number_slices(dataset, run):
        yield f"i{instance:06d}.MRDC.{instance}.dcm", dataset


def philips_slices(run: SimulatedRun) -> Iterator[tuple[str, FileDataset]]:
    """Yield file names and objects; Philips numbers the volumes and their slices."""
    slices = run.design.protocol.matrix[2]
    dataset = series(run, PHILIPS)
    classic(dataset, run)
    dataset.AcquisitionNumber = run.design.series_number
    dataset.NumberOfTemporalPositions = len(run)
    # Stored values need no scaling: the rescale slope and the private scale slope are 1.
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "0", "1", "normalized"
    imaging = dataset.private_block(0x2001, "Philips Imaging DD 001", create=True)
    imaging.add_new(0x18, "SL", slices)
    scale = dataset.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
    scale.add_new(0x0D, "FL", 0.0)
    scale.add_new(0x0E, "FL", 1.0)
    for instance, volume, place in _number_slices(dataset, run):
        dataset.TemporalPositionIdentifier = volume + 1
        imaging.add_new(0x0A, "IS", place + 1)
        yield f"IM_{instance:06d}.dcm", dataset


def _number_slices(dataset: FileDataset, run: SimulatedRun) -> Iterator[tuple[int, int, int]]:
    """Set `dataset` to each slice in turn; yield the instance, the volume and the place."""
    geometry = slices_of(run)
    for volume in run.volumes():
        for place, position in enumerate(geometry.positions):
            instance = volume.index * len(geometry.positions) + place + 1
            identify(dataset, run, instance, volume.acquired_s)
            dataset.ImagePositionPatient = numbers(position)
            dataset.SliceLocation = format_number_as_ds(float(position @ geometry.normal))
            dataset.PixelData = volume.data[:, ::-1, place].T.astype("<u2").tobytes()
            yield instance, volume.index, place
