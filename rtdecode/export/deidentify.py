"""Removes identifying data from an object; it still decodes to the same volume.

Only the elements of `keep_list` remain. This removes more than PS3.15's basic profile, and unknown
elements, too. Text remains only if its format fits its element. A raw volume has one name, that of
its series, which is replaced.
"""

import hmac
import re
import warnings
from hashlib import sha256
from io import BytesIO

import numpy as np
from msgspec.structs import replace
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag
from pydicom.uid import UID, ExplicitVRLittleEndian
from pydicom.values import convert_SQ

from rtdecode import raw
from rtdecode.dicom import Parsed, parse, tags
from rtdecode.dicom.header import Header
from rtdecode.dicom.pixels import stored_pixels
from rtdecode.dicom.read import read
from rtdecode.errors import VolumeError
from rtdecode.export.csa_fields import reduce_csa
from rtdecode.export.keep_list import CREATORS, DATE_TIMES, KEEP_LIST, SEQUENCES, UIDS, VENDORS

NO_DATE = "19000101"
METHOD = "rtdecode: only what the volume needs, new UIDs, no dates"
_DATE_TIME = re.compile(r"\d{8}(\d{6}(\.\d{1,6})?)([+-]\d{4})?")
_NUMBER_BYTES = {"US": 2, "SS": 2, "UL": 4, "SL": 4, "FL": 4, "FD": 8}
_MAX_NUMBERS = 512
_FORMATS = {
    "DS": re.compile(rb"[0-9eE+\-. \\\0]{0,256}"),
    "IS": re.compile(rb"[0-9+\- \\\0]{0,64}"),
    "TM": re.compile(rb"[0-9:. \0]{0,32}"),
    "UI": re.compile(rb"[0-9.\0]{0,64}"),
    "CS": re.compile(rb"[A-Za-z0-9_ \\\0/+\-]{0,256}"),
}


class Deidentifier:
    """Makes the objects of one session anonymous, with consistent new UIDs.

    Parameters
    ----------
    secret
        Key of the new UIDs. Without it they cannot be traced to the old ones, so it is not stored.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def apply(self, content: bytes) -> bytes:
        """Return an anonymous, uncompressed copy of an object (DICOM or raw volume).

        Raises
        ------
        VolumeError
            The object cannot be read, or the copy does not decode to the same volume.
        """
        if raw.is_raw(content):
            header, voxels = raw.decode(content)
            return raw.encode(replace(header, series=self.uid(header.series)), voxels)
        before = parse(content, "the object")
        with warnings.catch_warnings():  # pydicom's warnings quote values
            warnings.simplefilter("ignore")
            try:
                anonymous = self._dicom_copy(content)
            except VolumeError:
                raise
            except Exception as error:  # noqa: BLE001 - its text may quote identifying values
                raise VolumeError(
                    f"pydicom cannot read the object ({type(error).__name__})"
                ) from None
        if not _same(before, parse(anonymous, "the object")):
            raise VolumeError("the anonymous copy does not decode to the same volume")
        return anonymous

    def uid(self, old: str) -> str:
        """Return the new UID that replaces an old one in the whole session."""
        digest = hmac.digest(self._secret, old.encode(), sha256)
        return f"2.25.{int.from_bytes(digest[:16], 'big')}"

    def _dicom_copy(self, content: bytes) -> bytes:
        dataset = read(content)
        pixels = stored_pixels(Header(dataset, dataset.elements))
        # Gzipped content is unpacked here; pydicom unpacks a deflated data set.
        plain = dataset.content if content[:2] == b"\x1f\x8b" else content
        ds = dcmread(BytesIO(plain), force=True)
        self._clean(ds)
        known = str(ds.get("SOPInstanceUID", ""))
        instance = UID(known or self.uid(sha256(content).hexdigest()))
        ds.SOPInstanceUID = instance
        ds.PatientName = ds.PatientID = ds.PatientBirthDate = ds.PatientSex = ""
        ds.StudyDate = ds.StudyTime = ds.StudyID = ds.AccessionNumber = ""
        ds.ReferringPhysicianName = ""
        ds.PatientIdentityRemoved = "YES"
        ds.DeidentificationMethod = METHOD
        ds.LongitudinalTemporalInformationModified = "REMOVED"
        little = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
        kind = "OB" if pixels.dtype.itemsize == 1 else "OW"
        ds.add_new(tags.PIXEL_DATA, kind, little + b"\0" * (len(little) % 2))
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = UID(str(ds.get("SOPClassUID", "")))
        meta.MediaStorageSOPInstanceUID = instance
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.file_meta, ds.preamble = meta, b"\0" * 128
        buffer = BytesIO()
        dcmwrite(buffer, ds, enforce_file_format=True)
        return buffer.getvalue()

    def _clean(self, ds: Dataset) -> None:
        for tag in list(ds.keys()):
            if int(tag) in SEQUENCES:
                items = _items(ds, tag)
                for item in items:
                    self._clean(item)
                ds.add_new(tag, "SQ", items)
            elif int(tag) not in KEEP_LIST or not self._keep(ds, tag):
                del ds[tag]

    def _keep(self, ds: Dataset, tag: BaseTag) -> bool:
        """Leave or replace an element's value; return whether the element remains."""
        number, element = int(tag), ds.get_item(tag)
        value = getattr(element, "value", None)
        if not isinstance(value, bytes):
            return number == tags.PIXEL_DATA  # pixels are replaced later; other values are removed
        encoding = getattr(element, "VR", None) or ""
        if encoding in ("", "UN"):
            encoding = tags.ENCODINGS.get(number, b"").decode()
        text = value.decode("latin-1").strip("\0 ")
        new: str | bytes
        if number in CREATORS:
            if text not in CREATORS[number]:
                return False
            new = text
        elif number == tags.MANUFACTURER:
            vendor = next((n for v, n in VENDORS.items() if text.casefold().startswith(v)), None)
            if vendor is None:
                return False
            new = vendor
        elif number == tags.CSA_IMAGE:
            ds.add_new(tag, "OB", reduce_csa(value))
            return True
        elif number in UIDS:
            new = self.uid(text)
            encoding = "UI"
        elif number in DATE_TIMES:
            found = _DATE_TIME.fullmatch(text)
            if found is None:
                return False
            new = NO_DATE + found[1]
        else:
            return number == tags.PIXEL_DATA or _has_format(encoding, value)
        ds.add_new(tag, encoding if number in UIDS or number in DATE_TIMES else "LO", new)
        return True


def _items(ds: Dataset, tag: BaseTag) -> Sequence:
    """Return a sequence's items, also if its value representation is unknown."""
    value = ds[tag].value
    if isinstance(value, bytes):  # PS3.5 6.2.2: implicit encoding
        value = convert_SQ(value, is_implicit_VR=True, is_little_endian=True)
    return value if isinstance(value, Sequence) else Sequence()


def _has_format(encoding: str, value: bytes) -> bool:
    """Whether a value is numbers, a time, codes or a UID, as its value representation requires."""
    size = _NUMBER_BYTES.get(encoding)
    if size is not None:
        return len(value) % size == 0 and len(value) <= size * _MAX_NUMBERS
    pattern = _FORMATS.get(encoding)
    return pattern is not None and pattern.fullmatch(value) is not None


def _same(before: Parsed, after: Parsed) -> bool:
    """Whether two objects give the same volumes, apart from the series' identity."""
    one, other = before.series, after.series
    if (one.series_number, one.matrix, one.echo_time_ms, one.image_type, one.volumes) != (
        other.series_number,
        other.matrix,
        other.echo_time_ms,
        other.image_type,
        other.volumes,
    ) or repr(one.repetition_time_s) != repr(other.repetition_time_s):
        return False
    return len(before.slabs) == len(after.slabs) and all(
        np.array_equal(a.data, b.data)
        and np.array_equal(a.affine, b.affine)
        and (a.location_mm, a.temporal, a.instance, a.slices)
        == (b.location_mm, b.temporal, b.instance, b.slices)
        and repr((a.acquisition_clock_s, a.trigger_clock_s))
        == repr((b.acquisition_clock_s, b.trigger_clock_s))
        for a, b in zip(before.slabs, after.slabs, strict=True)
    )
