"""The elements that a de-identified object keeps; everything else is left out.

The elements that are read (`rtdecode.dicom.tags`) and what describes the scan to other programs.
None of the second kind is in PS3.15's table of identifying attributes (E.1-1); of the first, UIDs
are replaced and dates removed (`deidentify`).
"""

from rtdecode.dicom import tags

SEQUENCES = frozenset(
    (
        tags.MR_TIMING,
        tags.FRAME_TYPE_SEQUENCE,
        tags.FRAME_CONTENT,
        tags.PLANE_POSITION,
        tags.PLANE_ORIENTATION,
        tags.PIXEL_MEASURES,
        tags.PIXEL_TRANSFORMATION,
        tags.PHILIPS_FRAME,
        tags.SHARED_GROUPS,
        tags.FRAME_GROUPS,
    )
)
DATE_TIMES = frozenset((tags.ACQUISITION_DATETIME, tags.FRAME_ACQUISITION_DATETIME))
UIDS = frozenset((0x00080018, 0x0020000D, tags.SERIES_UID, 0x00200052))
"""SOPInstance, StudyInstance, SeriesInstance and FrameOfReference UID: each is replaced."""
CREATORS = {
    0x00190010: ("SIEMENS MR HEADER",),
    0x00210010: ("GEMS_RELA_01",),
    0x00290010: ("SIEMENS CSA HEADER",),
    0x00430010: ("GEMS_PARM_01",),
    0x20010010: ("Philips Imaging DD 001",),
    0x20050010: ("Philips MR Imaging DD 001",),
    0x20050014: ("Philips MR Imaging DD 005",),
}
"""Who made the private elements that are read."""
_DESCRIBING = (
    0x00180020,  # ScanningSequence
    0x00180021,  # SequenceVariant
    0x00180023,  # MRAcquisitionType
    0x00180083,  # NumberOfAverages
    0x00180087,  # MagneticFieldStrength
    0x00180091,  # EchoTrainLength
    0x00180093,  # PercentSampling
    0x00180095,  # PixelBandwidth
    0x00181310,  # AcquisitionMatrix
    0x00181312,  # InPlanePhaseEncodingDirection
    0x00181314,  # FlipAngle
    0x00185100,  # PatientPosition: head first or feet first
    0x00191028,  # Siemens: BandwidthPerPixelPhaseEncode
    0x00191029,  # Siemens: MosaicRefAcqTimes
    0x00209057,  # InStackPositionNumber
    0x00280004,  # PhotometricInterpretation
    0x00280102,  # HighBit
)
_FREE_TEXT = frozenset((tags.SERIES_DESCRIPTION, tags.IMAGE_COMMENTS))
"""Read to tell what is no run; what is exported is one."""
KEPT = frozenset((*tags.ENCODINGS, *UIDS, *CREATORS, *_DESCRIBING)) - _FREE_TEXT
VENDORS = {
    "siemens": "SIEMENS",
    "philips": "Philips Medical Systems",
    "ge": "GE MEDICAL SYSTEMS",
}
"""What is kept of Manufacturer, by how it begins."""
CSA_KEPT = ("NumberOfImagesInMosaic", "SliceNormalVector", "MosaicRefAcqTimes")
"""Of Siemens' private header (0029,1010), which has dozens of fields and no end of text."""
