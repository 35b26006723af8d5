r"""What an object is, where it cannot be a volume of a functional run.

Judged by the header alone and before any pixel is touched. ImageType says most of it; what vendors
leave out of it stands in the description of the series. Siemens calls its motion-corrected copies
ORIGINAL (`ORIGINAL\PRIMARY\M\ND\NORM\MOCO\MOSAIC`), so they are known by MOCO.
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
"""Storage of MR images (classic, enhanced, colour, converted) and of screens."""
_SHORTEST_BOLD_ECHO_MS = 8.0
_DESCRIPTIONS = (
    ("single-band reference images", ("sbref", "single-band reference", "single band reference")),
    ("localiser images", ("localizer", "localiser", "scout", "survey")),
    ("motion-corrected copies made by the scanner", ("mocoseries",)),
    ("maps computed by the scanner", ("t-map", "evaseries", "startfmri")),
)


class OtherImageError(VolumeError):
    """An object that is whole, and no MR magnitude image.

    Parameters
    ----------
    message
        What is wrong, without the object's name.
    kind
        What it is, for the operator, in the plural: `phase images`.
    digest, series_number
        Of its series, as in `Series`; an empty digest where it names none.
    """

    def __init__(self, message: str, kind: str, digest: str, series_number: int) -> None:
        super().__init__(message)
        self.kind = kind
        self.digest = digest
        self.series_number = series_number

    def named(self, name: str) -> "OtherImageError":
        """Return the same, with the object's name before the message."""
        return OtherImageError(f"{name} {self}", self.kind, self.digest, self.series_number)


def refuse_other_images(header: Header, digest: str, series_number: int) -> None:
    """Refuse what holds no magnitudes.

    Raises
    ------
    OtherImageError
        Another modality, no image at all, or phase, real or imaginary values.
    VolumeError
        An MR image without its pixels: only its beginning, perhaps.
    """
    modality = header.text(tags.MODALITY)
    if modality not in ("", "MR"):
        shown = modality if modality.isalnum() and len(modality) <= 16 else "unknown"
        raise OtherImageError(
            f"is no MR image: its modality is {shown}",
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
    """Refuse an image without its pixels; other objects may have none.

    Raises
    ------
    VolumeError
        It is only a beginning.
    """
    storage = header.text(tags.SOP_CLASS)
    if tags.PIXEL_DATA not in header.elements and (not storage or storage in _IMAGE_CLASSES):
        raise VolumeError("has no pixel data: it is not an image, or only its beginning")


def other_kind(header: Header) -> str:
    """Return what magnitude images are that cannot be a run, for the operator; else nothing."""
    image_type = header.texts(tags.IMAGE_TYPE)
    if "MOCO" in image_type:
        return "motion-corrected copies made by the scanner"
    if "LOCALIZER" in image_type:
        return "localiser images"
    described = f"{header.text(tags.SERIES_DESCRIPTION)} {header.text(tags.IMAGE_COMMENTS)}"
    described = described.casefold()
    for kind, words in _DESCRIPTIONS:
        if any(word in described for word in words):
            return kind
    # Enhanced images name a computed contrast in the fourth value; filtering alone leaves NONE.
    if {"DERIVED", "SECONDARY"}.intersection(image_type) and image_type[3:4] != ("NONE",):
        return "maps computed by the scanner"
    return "structural or field-map images" if _is_structural(header) else ""


def _is_structural(header: Header) -> bool:
    """Whether the sequence cannot have been an echo-planar one with BOLD contrast.

    Philips calls its echo-planar runs plain gradient echoes (GR), so that what remains is told by
    its echo, which comes too soon.
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
