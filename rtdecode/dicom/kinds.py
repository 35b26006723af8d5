r"""Recognise objects that cannot be volumes of a functional run, and name their kind.

This uses only the header. ImageType gives most kinds, and the description of the series gives the
rest. Siemens marks its motion-corrected copies as ORIGINAL
(`ORIGINAL\PRIMARY\M\ND\NORM\MOCO\MOSAIC`), so they are recognised by MOCO.
"""

from rtdecode.dicom import tags
from rtdecode.dicom.header import Header
from rtdecode.errors import VolumeError

_NOT_MAGNITUDE = frozenset(
    ("P", "R", "I", "PHASE", "REAL", "IMAGINARY", "PHASE MAP", "P_FFE", "R_FFE", "I_FFE")
)
_IMAGE_CLASSES = frozenset(
    f"1.2.840.10008.5.1.4.1.1.{number}" for number in ("4", "4.1", "4.3", "4.4", "7")
)
"""Storage classes of MR images (classic, enhanced, colour, converted) and secondary captures."""
_SHORTEST_BOLD_ECHO_MS = 8.0
_DESCRIPTIONS = (
    ("single-band reference images", ("sbref", "single-band reference", "single band reference")),
    ("localiser images", ("localizer", "localiser", "scout", "survey")),
    ("motion-corrected copies made by the scanner", ("mocoseries",)),
    ("maps computed by the scanner", ("t-map", "evaseries", "startfmri")),
)


class OtherImageError(VolumeError):
    """An object that is whole and is not an MR magnitude image.

    Parameters
    ----------
    message
        The problem, without the object's name.
    kind
        Kind of the object for the operator, in the plural: `phase images`.
    digest, series_number
        Those of its series, as in `Series`; the digest is empty if the object names no series.
    """

    def __init__(self, message: str, kind: str, digest: str, series_number: int) -> None:
        super().__init__(message)
        self.kind = kind
        self.digest = digest
        self.series_number = series_number

    def named(self, name: str) -> "OtherImageError":
        """Return the same error with the object's name before the message."""
        return OtherImageError(f"{name} {self}", self.kind, self.digest, self.series_number)


def refuse_other_images(header: Header, digest: str, series_number: int) -> None:
    """Refuse objects that are not magnitude images.

    Raises
    ------
    OtherImageError
        The object has another modality, is no image, or has phase, real or imaginary values.
    VolumeError
        The object is an MR image without pixels: it may be only a beginning.
    """
    modality = header.text(tags.MODALITY)
    if modality not in ("", "MR"):
        shown = modality if modality.isalnum() and len(modality) <= 16 else "unknown"
        raise OtherImageError(
            f"is not an MR image: its modality is {shown}",
            f"objects of modality {shown}",
            digest,
            series_number,
        )
    require_pixels(header)
    if tags.PIXEL_DATA not in header.elements:
        raise OtherImageError(
            "has no pixel data: it is not an image",
            "objects without pixels (physiology, reports or raw data)",
            digest,
            series_number,
        )
    values = (*header.texts(tags.IMAGE_TYPE), header.text(tags.COMPLEX_COMPONENT))
    kinds = _NOT_MAGNITUDE.intersection(values)
    if kinds or (header.number(tags.GE_RAW_TYPE) or 0) in (1, 2, 3):
        kind = ", ".join(sorted(kinds)) or "by its raw data type"
        raise OtherImageError(
            f"is not a magnitude image ({kind}); only magnitude images are decoded",
            "phase, real or imaginary images",
            digest,
            series_number,
        )


def require_pixels(header: Header) -> None:
    """Refuse an image without pixels; other objects may have none.

    Raises
    ------
    VolumeError
        The image has no pixels.
    """
    storage = header.text(tags.SOP_CLASS)
    if tags.PIXEL_DATA not in header.elements and (not storage or storage in _IMAGE_CLASSES):
        raise VolumeError("has no pixel data: it is not an image, or only its beginning")


def other_kind(header: Header) -> str:
    """Return the kind of magnitude images that cannot be a run, empty if they can be one."""
    image_type = header.texts(tags.IMAGE_TYPE)
    if "MOCO" in image_type:
        return "motion-corrected copies made by the scanner"
    if "LOCALIZER" in image_type:
        return "localiser images"
    description = f"{header.text(tags.SERIES_DESCRIPTION)} {header.text(tags.IMAGE_COMMENTS)}"
    description = description.casefold()
    for kind, words in _DESCRIPTIONS:
        if any(word in description for word in words):
            return kind
    # The fourth value of enhanced images names a computed contrast; it is NONE after filtering.
    if {"DERIVED", "SECONDARY"}.intersection(image_type) and image_type[3:4] != ("NONE",):
        return "maps computed by the scanner"
    return "structural or field-map images" if _is_structural(header) else ""


def _is_structural(header: Header) -> bool:
    """Return whether the sequence cannot be echo-planar with BOLD contrast.

    Philips marks its echo-planar runs as plain gradient echoes (GR). Therefore a gradient echo is
    structural only if its echo time is too short for BOLD contrast.
    """
    if header.text(tags.ECHO_PLANAR) == "NO":
        return True
    sequence = frozenset(header.texts(tags.SCANNING_SEQUENCE))
    if not sequence or "EP" in sequence:
        return False
    echo_ms = header.number(tags.ECHO_TIME)
    return bool({"SE", "IR"} & sequence) or (
        echo_ms is not None and 0 < echo_ms < _SHORTEST_BOLD_ECHO_MS
    )
