"""The elements that a de-identified object keeps; all others are removed.

They are the elements that rtdecode reads (`rtdecode.dicom.tags`) and elements that describe the
scan to other programs. None of the second kind is in PS3.15's table of identifying attributes
(E.1-1). Of the first kind, UIDs are replaced and dates removed (`deidentify`).
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
"""SOPInstance, StudyInstance, SeriesInstance and FrameOfReference UID; all are replaced."""
CREATORS = {
    0x00190010: ("SIEMENS MR HEADER",),
    0x00210010: ("GEMS_RELA_01",),
    0x00290010: ("SIEMENS CSA HEADER",),
    0x00430010: ("GEMS_PARM_01",),
    0x20010010: ("Philips Imaging DD 001",),
    0x20050010: ("Philips MR Imaging DD 001",),
    0x20050014: ("Philips MR Imaging DD 005",),
}
"""The private creators of the private elements that rtdecode reads."""
_SCAN_ELEMENTS = (
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
"""rtdecode reads them to recognise images of no run. Exported images belong to a run."""
KEEP_LIST = frozenset((*tags.ENCODINGS, *UIDS, *CREATORS, *_SCAN_ELEMENTS)) - _FREE_TEXT
VENDORS = {
    "siemens": "SIEMENS",
    "philips": "Philips Medical Systems",
    "ge": "GE MEDICAL SYSTEMS",
}
"""The new value of Manufacturer, by the beginning of its old value in lower case."""
CSA_FIELDS = ("NumberOfImagesInMosaic", "SliceNormalVector", "MosaicRefAcqTimes")
"""Fields of Siemens' private header (0029,1010); its other fields and texts are removed."""
