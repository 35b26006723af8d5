"""Simulated volumes in the format of a Siemens XA scanner: one enhanced object each."""

from collections.abc import Iterator

import numpy as np
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import EnhancedMRImageStorage, generate_uid

from calibration.simulation.dicom_header import (
    DATE,
    START_S,
    Scanner,
    Slices,
    clock,
    identify,
    numbers,
    series,
    slices_of,
)
from calibration.simulation.simulated_run import SimulatedRun
from rtdecode.types import Volume

SIEMENS_XA = Scanner(
    "SIEMENS", "syngo MR XA30", EnhancedMRImageStorage, ("ORIGINAL", "PRIMARY", "FMRI", "NONE")
)


def enhanced(run: SimulatedRun) -> Iterator[tuple[str, FileDataset]]:
    """Yield each volume's file name and its enhanced multi-frame object."""
    geometry = slices_of(run)
    dataset = series(run, SIEMENS_XA)
    _describe_frames(dataset)
    dataset.NumberOfFrames = run.design.protocol.matrix[2]
    dataset.SharedFunctionalGroupsSequence = Sequence([_shared_groups(run)])
    _dimensions(dataset, run)
    for volume in run.volumes():
        number = volume.identity.acquisition
        identify(dataset, run, number, volume.acquired_s)
        dataset.AcquisitionNumber = number
        dataset.AcquisitionDateTime = DATE + clock(START_S + volume.acquired_s)
        dataset.AcquisitionDuration = run.design.protocol.repetition_time_s * 1e3
        dataset.PerFrameFunctionalGroupsSequence = Sequence(
            [_frame(run, volume, place, geometry) for place in range(volume.data.shape[2])]
        )
        dataset.PixelData = volume.data[:, ::-1].transpose(2, 1, 0).astype("<u2").tobytes()
        yield f"001_{volume.identity.series_number:06d}_{number:06d}.dcm", dataset


def _shared_groups(run: SimulatedRun) -> Dataset:
    """Return the functional groups that Siemens writes once per object."""
    protocol = run.design.protocol
    timing = Dataset()
    timing.RepetitionTime = numbers(np.array([protocol.repetition_time_s * 1e3]))[0]
    timing.FlipAngle = numbers(np.array([protocol.flip_angle_deg]))[0]
    timing.EchoTrainLength = protocol.matrix[1]
    shared = Dataset()
    shared.MRTimingAndRelatedParametersSequence = Sequence([timing])
    return shared


def _common_groups(run: SimulatedRun, geometry: Slices) -> Dataset:
    """Return the groups that Siemens repeats in every frame, where dcm2niix expects them."""
    protocol = run.design.protocol
    measures = Dataset()
    measures.PixelSpacing = numbers(np.array([protocol.voxel_mm[1], protocol.voxel_mm[0]]))
    measures.SliceThickness = numbers(np.array([protocol.voxel_mm[2]]))[0]
    measures.SpacingBetweenSlices = measures.SliceThickness
    orientation = Dataset()
    orientation.ImageOrientationPatient = numbers(geometry.cosines)
    echo = Dataset()
    echo.EffectiveEchoTime = protocol.echo_time_s * 1e3
    kind = Dataset()
    kind.FrameType = list(SIEMENS_XA.image_type)
    _describe_frames(kind)
    scaling = Dataset()
    scaling.RescaleIntercept, scaling.RescaleSlope, scaling.RescaleType = "0", "1", "US"
    groups = Dataset()
    groups.PixelMeasuresSequence = Sequence([measures])
    groups.PlaneOrientationSequence = Sequence([orientation])
    groups.MREchoSequence = Sequence([echo])
    groups.MRImageFrameTypeSequence = Sequence([kind])
    groups.PixelValueTransformationSequence = Sequence([scaling])
    return groups


def _describe_frames(dataset: Dataset) -> None:
    """Add the description of the pixels, which the object and each frame must have."""
    dataset.PixelPresentation = "MONOCHROME"
    dataset.VolumetricProperties = "VOLUME"
    dataset.VolumeBasedCalculationTechnique = "NONE"
    dataset.ComplexImageComponent = "MAGNITUDE"
    dataset.AcquisitionContrast = "T2_STAR"


def _dimensions(dataset: FileDataset, run: SimulatedRun) -> None:
    """Add the dimensions that order the frames: stack, position in the stack, time."""
    organisation = Dataset()
    organisation.DimensionOrganizationUID = generate_uid(
        entropy_srcs=[run.series_uid, "dimensions"]
    )
    dataset.DimensionOrganizationSequence = Sequence([organisation])
    items = []
    for pointer in (0x00209056, 0x00209057, 0x00209128):
        item = Dataset()
        item.DimensionOrganizationUID = organisation.DimensionOrganizationUID
        item.DimensionIndexPointer = Tag(pointer)
        item.FunctionalGroupPointer = Tag(0x00209111)
        items.append(item)
    dataset.DimensionIndexSequence = Sequence(items)


def _frame(run: SimulatedRun, volume: Volume, place: int, geometry: Slices) -> Dataset:
    """Return the functional groups of one slice."""
    content = Dataset()
    start_s = START_S + volume.acquired_s
    content.FrameReferenceDateTime = content.FrameAcquisitionDateTime = DATE + clock(start_s)
    content.FrameAcquisitionDuration = run.design.protocol.repetition_time_s * 1e3
    content.FrameAcquisitionNumber = volume.identity.acquisition
    content.StackID = "1"
    content.InStackPositionNumber = place + 1
    content.TemporalPositionIndex = volume.index + 1
    content.DimensionIndexValues = [1, place + 1, volume.index + 1]
    position = Dataset()
    position.ImagePositionPatient = numbers(geometry.positions[place])
    groups = _common_groups(run, geometry)
    groups.FrameContentSequence = Sequence([content])
    groups.PlanePositionSequence = Sequence([position])
    return groups
