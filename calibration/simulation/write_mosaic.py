"""Simulated volumes in the format of Siemens' real-time export: one mosaic each."""

from collections.abc import Iterator

import numpy as np
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import MRImageStorage

from calibration.simulation.csa_header import CsaElement, encode
from calibration.simulation.dicom_header import (
    DATE,
    Scanner,
    Slices,
    classic,
    identify,
    numbers,
    series,
    slices_of,
)
from calibration.simulation.simulated_run import SimulatedRun
from rtdecode.types import Float32, Float64

SIEMENS = Scanner(
    "SIEMENS", "syngo MR E11", MRImageStorage, ("ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC")
)


def mosaics(run: SimulatedRun) -> Iterator[tuple[str, FileDataset]]:
    """Yield each volume's file name, in the form of Siemens' export, and its object."""
    width, height, slices = run.design.protocol.matrix
    side = tiles(slices)
    geometry = slices_of(run)
    dataset = series(run, SIEMENS)
    classic(dataset, run)
    dataset.Rows, dataset.Columns = side * height, side * width
    dataset.ImagePositionPatient = numbers(_corner(geometry, run.design.protocol.matrix))
    _private(dataset, (width, height, slices), geometry.normal)
    for volume in run.volumes():
        number = volume.identity.acquisition
        identify(dataset, run, number, volume.acquired_s)
        dataset.AcquisitionNumber = number
        pixels = mosaic_pixels(volume.data)
        dataset.SmallestImagePixelValue = int(pixels.min())
        dataset.LargestImagePixelValue = int(pixels.max())
        dataset.PixelData = pixels.tobytes()
        yield f"001_{volume.identity.series_number:06d}_{number:06d}.dcm", dataset


def tiles(slices: int) -> int:
    """Return the number of tiles along each side of a mosaic."""
    return int(np.ceil(np.sqrt(slices)))


def mosaic_pixels(data: Float32) -> np.ndarray:
    """Return the slices of a volume (X, Y, Z) as a mosaic (rows, columns) of uint16."""
    width, height, slices = data.shape
    side = tiles(slices)
    mosaic = np.zeros((side, height, side, width), dtype="<u2")
    for index in range(slices):
        row, column = divmod(index, side)
        mosaic[row, :, column] = data[:, ::-1, index].T
    return mosaic.reshape(side * height, side * width)


def _corner(geometry: Slices, matrix: tuple[int, int, int]) -> Float64:
    """Return the mosaic's position: that of one slice of its size with the same centre."""
    rest = (tiles(matrix[2]) - 1) / 2
    step = geometry.step
    corner: Float64 = geometry.positions[0] - rest * (
        step[:, 0] * matrix[0] + step[:, 1] * matrix[1]
    )
    return corner


def _private(dataset: Dataset, matrix: tuple[int, int, int], normal: Float64) -> None:
    """Add the Siemens elements: number and positions of the slices in the mosaic."""
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
    csa.add_new(0x09, "LO", DATE)
    csa.add_new(0x10, "OB", header + b"\0" * (len(header) % 2))
    text = dataset.private_block(0x0051, "SIEMENS MR HEADER", create=True)
    text.add_new(0x08, "CS", "IMAGE NUM 4")
    text.add_new(0x09, "LO", "1.0")
    text.add_new(0x0B, "SH", f"{height}*{width}")
