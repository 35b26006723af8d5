"""One object's bytes, of whichever kind, -> `Parsed`."""

from rtdecode import dicom, raw
from rtdecode.dicom import Parsed


def parse(content: bytes, name: str) -> Parsed:
    """Read one object: DICOM, or a raw volume (its first line says so).

    Parameters
    ----------
    content
        The object's bytes.
    name
        What to call it in an error.

    Raises
    ------
    VolumeError
        It cannot be used; the message names `name` and what is wrong.
    """
    return raw.parse(content, name) if raw.is_raw(content) else dicom.parse(content, name)
