"""Objects with the participant's name in every place, and the search for these names."""

from io import BytesIO

from pydicom import dcmread
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset

from rtdecode.dicom import tags

NAME, BORN, UID = "CANARY^TWEETY", "19310417", "1.2.826.0.1.3680043.8.498.777777"
TELLTALES = ("CANARY", "TWEETY", BORN, UID)
READ = set(tags.ENCODINGS) - {tags.SERIES_DESCRIPTION, tags.IMAGE_COMMENTS}
TEXT = {"PN", "LO", "SH", "LT", "ST", "UT", "UC", "AE"}


def identify(content: bytes, series: int = 5) -> bytes:
    """Return an object with an identifier in every text, date and UID."""
    ds = dcmread(BytesIO(content))
    for tag, (encoding, *_) in DicomDictionary.items():
        group = tag >> 16
        if tag in READ or group in (0x0000, 0x0002, 0x0004) or group >= 0x5000:
            continue
        if encoding in TEXT:
            ds.add_new(tag, encoding, NAME)
        elif encoding == "DA":
            ds.add_new(tag, encoding, BORN)
        elif encoding == "UI" and tag != tags.SOP_CLASS:
            ds.add_new(tag, encoding, f"{UID}.{tag}"[:64])
    ds.SeriesInstanceUID = f"{UID}.{series}"
    ds.AcquisitionDateTime = f"{BORN}100000.0"
    item = Dataset()
    item.PatientName = NAME
    ds.ReferencedPatientSequence = [item]
    ds.file_meta.SourceApplicationEntityTitle = "CANARY"
    ds.preamble = NAME.encode().ljust(128, b"\0")
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def found(text: bytes) -> list[str]:
    """Return the identifiers that a text contains."""
    return [telltale for telltale in TELLTALES if telltale.encode() in text]
