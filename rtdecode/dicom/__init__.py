"""Assemble volumes, stored as dcm2niix stores them, from the DICOM objects of an fMRI run."""

from rtdecode.dicom.assemble import assemble
from rtdecode.dicom.assembler import Assembler, SlabStatus, same_place
from rtdecode.dicom.kinds import OtherImageError
from rtdecode.dicom.parse import parse, require_whole
from rtdecode.dicom.values import Parsed, Series, Slab

__all__ = [
    "Assembler",
    "OtherImageError",
    "Parsed",
    "Series",
    "Slab",
    "SlabStatus",
    "assemble",
    "parse",
    "require_whole",
    "same_place",
]
