"""Siemens mosaics: all slices of one volume are tiles of one image."""

import math

import numpy as np

from rtdecode.dicom import tags
from rtdecode.dicom.classic_header import classic_clocks, classic_scaling
from rtdecode.dicom.csa import csa_numbers
from rtdecode.dicom.header import Header
from rtdecode.dicom.pixels import stored_pixels
from rtdecode.dicom.slice_geometry import plane, position_mm, slice_spacing_mm
from rtdecode.dicom.values import Slab
from rtdecode.errors import VolumeError

_MAX_SLICES = 4096


def is_mosaic(header: Header) -> bool:
    """Return whether an object is a mosaic, by its image type or its slice count."""
    return "MOSAIC" in header.texts(tags.IMAGE_TYPE) or (header.count(tags.MOSAIC_SLICES) or 0) > 1


def mosaic_slabs(header: Header) -> tuple[Slab, ...]:
    """Return the volume in a mosaic.

    Raises
    ------
    VolumeError
        The slice count is absent or does not match the size of the image.
    """
    slices = _slice_count(header)
    tiles = math.ceil(math.sqrt(slices))
    frames = header.count(tags.FRAMES) or 1
    if frames != 1:
        raise VolumeError(f"is a mosaic of {frames} frames; one can be read")
    image = stored_pixels(header)
    rows, columns = image.shape[1] // tiles, image.shape[2] // tiles
    if (rows * tiles, columns * tiles) != image.shape[1:]:
        raise VolumeError(
            f"is a mosaic of {slices} slices in {image.shape[1]} x {image.shape[2]} pixels, "
            f"which are not {tiles} x {tiles} tiles"
        )
    stack = image.reshape(tiles, rows, tiles, columns).swapaxes(1, 2)
    stack = stack.reshape(tiles * tiles, rows, columns)[:slices, ::-1]
    orientation = header.vector(tags.ORIENTATION, 6)
    spacing = header.vector(tags.PIXEL_SPACING, 2)
    flat = plane(orientation, spacing)
    # ImagePositionPatient is the corner of the whole image, centred on the volume.
    corner = position_mm(header)
    corner = (
        corner + flat.row * (columns * (tiles - 1) / 2) + flat.column * (rows * (tiles - 1) / 2)
    )
    # The stored order may run against row x column (sagittal): dcm2niix keeps it, and the affine
    # shows it.
    normal = csa_numbers(header.raw(tags.CSA_IMAGE), "SliceNormalVector")
    reversed_order = len(normal) == 3 and float(np.dot(normal, flat.normal)) < 0
    spacing_mm = slice_spacing_mm(header)
    if spacing_mm is None:
        raise VolumeError("is a mosaic without slice spacing and slice thickness")
    step = flat.normal * spacing_mm * (-1 if reversed_order else 1)
    acquisition, trigger = classic_clocks(header)
    return (
        Slab(
            data=classic_scaling(header).apply(stack.transpose(2, 1, 0)),
            affine=flat.affine(corner, step, rows),
            location_mm=flat.location_mm(corner),
            temporal=_temporal(header),
            instance=header.count(tags.INSTANCE_NUMBER) or 0,
            slices=slices,
            acquisition_clock_s=acquisition,
            trigger_clock_s=trigger,
        ),
    )


def _slice_count(header: Header) -> int:
    slices = header.count(tags.MOSAIC_SLICES)
    if slices is None:
        numbers = csa_numbers(header.raw(tags.CSA_IMAGE), "NumberOfImagesInMosaic")
        slices = int(numbers[0]) if numbers else None
    if slices is None or slices < 1:
        raise VolumeError(
            "is a mosaic that does not say how many slices it has, neither in (0019,100A) nor in "
            "its CSA header: export it without removing private elements"
        )
    if slices > _MAX_SLICES:
        raise VolumeError(f"is a mosaic that claims {slices} slices")
    return slices


def _temporal(header: Header) -> int:
    """Return the number of a mosaic's volume, from 1.

    AcquisitionNumber counts volumes, InstanceNumber counts images: they differ with several
    echoes. Some single-echo sequences leave AcquisitionNumber at 1; then InstanceNumber is used.
    """
    acquisition = header.count(tags.ACQUISITION_NUMBER)
    instance = header.count(tags.INSTANCE_NUMBER)
    constant = acquisition == 1 and (header.count(tags.ECHO_NUMBER) or 1) == 1
    number = instance if acquisition is None or (constant and instance is not None) else acquisition
    if number is None:
        raise VolumeError("has neither AcquisitionNumber nor InstanceNumber: its volume is unknown")
    return number
