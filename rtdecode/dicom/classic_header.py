"""Vendor, clocks and scaling in the header of a classic MR object."""

import math

from rtdecode.dicom import tags
from rtdecode.dicom.header import Header, clock_s
from rtdecode.dicom.pixels import Scaling, philips_scaling


def classic_clocks(header: Header) -> tuple[float, float]:
    """Return AcquisitionTime since midnight and TriggerTime, in seconds, `nan` if absent."""
    acquisition = clock_s(header.text(tags.ACQUISITION_TIME))
    if math.isnan(acquisition):
        acquisition = clock_s(header.text(tags.ACQUISITION_DATETIME))
    trigger = header.number(tags.TRIGGER_TIME)
    return acquisition, math.nan if trigger is None else trigger / 1000


def classic_scaling(header: Header) -> Scaling:
    """Return the scaling of a classic object, Philips' private scaling if it has one."""
    slope, intercept = header.number(tags.RESCALE_SLOPE), header.number(tags.RESCALE_INTERCEPT)
    scaling = Scaling(1.0 if slope is None else slope, intercept or 0.0)
    scale_slope = header.number(tags.PHILIPS_SCALE_SLOPE) if is_philips(header) else None
    if not scale_slope:
        return scaling
    return philips_scaling(scaling.slope, scaling.intercept, scale_slope)


def is_philips(header: Header) -> bool:
    """Return whether a Philips scanner made the object."""
    return header.text(tags.MANUFACTURER).casefold().startswith("philips")


def is_ge(header: Header) -> bool:
    """Return whether a GE scanner made the object."""
    return header.text(tags.MANUFACTURER).casefold().startswith("ge")
