"""Classic MR objects of one slice: exports of GE, Philips and some Siemens sequences."""

from rtdecode.dicom import tags
from rtdecode.dicom.classic_header import classic_clocks, classic_scaling, is_ge, is_philips
from rtdecode.dicom.header import Header
from rtdecode.dicom.pixels import stored_pixels
from rtdecode.dicom.slice_geometry import plane, position_mm, slice_spacing_mm
from rtdecode.dicom.values import Slab
from rtdecode.errors import VolumeError


def single_slabs(header: Header) -> tuple[Slab, ...]:
    """Return the slice of a classic object."""
    frames = header.count(tags.FRAMES) or 1
    if frames != 1:
        raise VolumeError(f"is a classic image of {frames} frames; one can be read")
    image = stored_pixels(header)
    flat = plane(header.vector(tags.ORIENTATION, 6), header.vector(tags.PIXEL_SPACING, 2))
    position = position_mm(header)
    # This step is for a volume of one slice. Else the positions of the slices give the step.
    step = flat.normal * (slice_spacing_mm(header) or 1.0)
    instance = header.count(tags.INSTANCE_NUMBER) or 0
    slices = _slices(header)
    acquisition, trigger = classic_clocks(header)
    rows = image.shape[1]
    return (
        Slab(
            data=classic_scaling(header).apply(image[:, ::-1].transpose(2, 1, 0)),
            affine=flat.affine(position, step, rows),
            location_mm=flat.location_mm(position),
            temporal=_temporal(header, instance, slices),
            instance=instance,
            slices=slices,
            acquisition_clock_s=acquisition,
            trigger_clock_s=trigger,
        ),
    )


def _slices(header: Header) -> int | None:
    """Return the number of slices of a volume if the header gives it."""
    if is_philips(header):
        return header.count(tags.PHILIPS_SLICES)
    if not is_ge(header):
        return None
    locations = header.count(tags.GE_SLICES)
    images = header.count(tags.IMAGES_IN_ACQUISITION)
    if locations is not None or images is None:
        return locations
    # GE counts the images of one volume here, but in multiphase series those of all volumes.
    volumes = header.count(tags.TEMPORAL_POSITIONS)
    if header.count(tags.TEMPORAL_POSITION) is None or volumes is None:
        return images
    return images // volumes if images % volumes == 0 else None


def _temporal(header: Header, instance: int, slices: int | None) -> int | None:
    """Return the temporal position from 1 if the header gives it or numbers images by volume."""
    temporal = header.count(tags.TEMPORAL_POSITION)
    if temporal is not None:
        return temporal
    if is_ge(header):  # GE numbers images slice by slice, volume by volume
        return (instance - 1) // slices + 1 if slices and instance else None
    if is_philips(header):  # AcquisitionNumber numbers the protocol here
        return None
    acquisition = header.count(tags.ACQUISITION_NUMBER)
    return acquisition if "siemens" in header.text(tags.MANUFACTURER).casefold() else None
