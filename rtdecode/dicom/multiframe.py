"""Enhanced MR objects: one object has the frames of one or several volumes, in any order."""

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtdecode.dicom import tags
from rtdecode.dicom.classic_header import is_philips
from rtdecode.dicom.header import Header, clock_s
from rtdecode.dicom.pixels import Scaling, philips_scaling, stored_pixels
from rtdecode.dicom.slice_geometry import Plane, even_order, plane, position_mm, slice_spacing_mm
from rtdecode.dicom.values import Slab
from rtdecode.errors import VolumeError
from rtdecode.types import Float32, Float64


@dataclass(frozen=True, slots=True, eq=False)
class _Frame:
    number: int
    temporal: int | None
    position: Float64
    location_mm: float
    clock_s: float
    slope: float
    intercept: float
    scale_slope: float


@dataclass(frozen=True, slots=True)
class _Groups:
    """Functional groups of one frame: its own groups take precedence over the shared ones."""

    own: Header
    shared: Header | None

    def find(self, tag: int) -> Header | None:
        """Return the first item of a functional group."""
        for header in (self.own, self.shared):
            item = header.item(tag) if header else None
            if item is not None:
                return item
        return None


def is_multiframe(header: Header) -> bool:
    """Return whether an object describes each of its frames."""
    return tags.FRAME_GROUPS in header.elements


def repetition_time_ms(header: Header) -> float | None:
    """Return RepetitionTime, which enhanced objects store in a functional group."""
    for group in (header.item(tags.SHARED_GROUPS), header.item(tags.FRAME_GROUPS)):
        timing = group.item(tags.MR_TIMING) if group else None
        number = timing.number(tags.REPETITION_TIME) if timing else None
        if number is not None:
            return number
    return header.number(tags.REPETITION_TIME)


def multiframe_slabs(header: Header) -> tuple[Slab, ...]:
    """Return one slab for each volume in an enhanced object.

    Raises
    ------
    VolumeError
        Frames do not make volumes: several have one location and time, or spacing is uneven.
    """
    shared = header.item(tags.SHARED_GROUPS)
    groups = [_Groups(item, shared) for item in header.items(tags.FRAME_GROUPS)]
    claimed = header.count(tags.FRAMES) or 1
    if len(groups) != claimed:  # before anything is decoded
        raise VolumeError(f"describes {len(groups)} frames and has {claimed}")
    pixels = stored_pixels(header)
    flat, spacing = _common_plane(header, groups)
    frames = [_frame(header, g, n, flat) for n, g in enumerate(groups) if _is_magnitude(g)]
    if not frames:
        raise VolumeError("has no magnitude frames; only magnitude images are decoded")
    volumes = _by_time(frames)
    slices = max(map(len, volumes.values()))
    scalings = _scalings(frames)
    instance = header.count(tags.INSTANCE_NUMBER) or 0
    slabs = []
    for temporal, members in sorted(volumes.items()):
        order = even_order(np.array([f.location_mm for f in members]))
        stack = [members[i] for i in order]
        slabs.append(
            Slab(
                data=_apply_scalings(pixels, stack, scalings),
                affine=_affine(flat, stack, spacing, pixels.shape[1]),
                location_mm=stack[0].location_mm,
                temporal=_whole_series_position(header, temporal, len(volumes)),
                instance=instance,
                slices=slices if slices > 1 else None,
                acquisition_clock_s=min(f.clock_s for f in stack),
                trigger_clock_s=math.nan,
            )
        )
    return tuple(slabs)


def _is_magnitude(groups: _Groups) -> bool:
    kind = groups.find(tags.FRAME_TYPE_SEQUENCE)
    component = kind.text(tags.COMPLEX_COMPONENT) if kind else ""
    return component in ("", "MAGNITUDE", "MIXED")


def _common_plane(header: Header, groups: list[_Groups]) -> tuple[Plane, float]:
    """Return the plane and slice spacing that all frames share."""
    orientations, measures = set(), set()
    spacing_mm: float | None = None
    for group in groups:
        orientation, measure = group.find(tags.PLANE_ORIENTATION), group.find(tags.PIXEL_MEASURES)
        if orientation is None or measure is None:
            raise VolumeError("does not give the orientation of its frames: it is not an MR volume")
        orientations.add(orientation.vector(tags.ORIENTATION, 6))
        measures.add(measure.vector(tags.PIXEL_SPACING, 2))
        spacing_mm = spacing_mm or slice_spacing_mm(measure, header)
    if len(orientations) != 1 or len(measures) != 1:
        raise VolumeError(
            "has frames of several orientations or pixel sizes: they do not make one volume"
        )
    return plane(orientations.pop(), measures.pop()), spacing_mm or 1.0


def _frame(header: Header, groups: _Groups, number: int, flat: Plane) -> _Frame:
    place = groups.find(tags.PLANE_POSITION)
    if place is None:
        raise VolumeError(f"does not give the position of its frame {number + 1}")
    position = position_mm(place)
    content = groups.find(tags.FRAME_CONTENT)
    transformation = groups.find(tags.PIXEL_TRANSFORMATION)
    private = groups.find(tags.PHILIPS_FRAME) if is_philips(header) else None
    temporal = content.count(tags.TEMPORAL_INDEX) if content else None
    if temporal is None and private is not None:
        temporal = private.count(tags.TEMPORAL_POSITION)
    slope = transformation.number(tags.RESCALE_SLOPE) if transformation else None
    intercept = transformation.number(tags.RESCALE_INTERCEPT) if transformation else None
    return _Frame(
        number=number,
        temporal=temporal,
        position=position,
        location_mm=flat.location_mm(position),
        clock_s=clock_s(content.text(tags.FRAME_ACQUISITION_DATETIME)) if content else math.nan,
        slope=1.0 if slope is None else slope,
        intercept=intercept or 0.0,
        scale_slope=(private.number(tags.PHILIPS_SCALE_SLOPE) if private else None) or 0.0,
    )


def _by_time(frames: list[_Frame]) -> dict[int, list[_Frame]]:
    """Group frames by temporal position, from 1; else by how often their location repeats."""
    volumes: dict[int, list[_Frame]] = defaultdict(list)
    repeats: dict[float, int] = defaultdict(int)
    for frame in frames:
        place = round(frame.location_mm, 2)
        repeats[place] += 1
        volumes[repeats[place] if frame.temporal is None else frame.temporal].append(frame)
    return volumes


def _whole_series_position(header: Header, temporal: int, volumes: int) -> int:
    """Return the temporal position in the series of one volume of this object.

    With one volume per object, some Siemens versions keep the temporal index at 1 and count
    acquisitions; others do the reverse.
    """
    if volumes > 1 or is_philips(header):
        return temporal
    return max(temporal, header.count(tags.ACQUISITION_NUMBER) or 1)


def _scalings(frames: list[_Frame]) -> dict[int, Scaling]:
    """Return each frame's scaling as dcm2niix chooses it.

    Philips' scale slope is used if all frames share one scaling. Otherwise the result is displayed
    values.
    """
    varies = len({(f.slope, f.intercept, f.scale_slope) for f in frames}) > 1
    return {
        f.number: Scaling(f.slope, f.intercept)
        if varies or not f.scale_slope
        else philips_scaling(f.slope, f.intercept, f.scale_slope)
        for f in frames
    }


def _apply_scalings(
    pixels: NDArray[np.integer[Any]], stack: list[_Frame], scalings: dict[int, Scaling]
) -> Float32:
    """Return scaled values (X, Y, slices) with rows reversed."""
    stored = pixels[[f.number for f in stack], ::-1].transpose(2, 1, 0)
    kinds = {scalings[f.number] for f in stack}
    if len(kinds) == 1:
        return kinds.pop().apply(stored)
    values = Scaling().apply(stored)
    for at, frame in enumerate(stack):
        values[:, :, at] = scalings[frame.number].apply(stored[:, :, at])
    return values


def _affine(flat: Plane, stack: list[_Frame], spacing_mm: float, rows: int) -> Float64:
    first, last = stack[0].position, stack[-1].position
    step = (last - first) / (len(stack) - 1) if len(stack) > 1 else flat.normal * spacing_mm
    return flat.affine(first, step, rows)
