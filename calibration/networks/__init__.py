"""The networks that calibration trains and compiles."""

from calibration.networks.deeplight import DeepLight
from calibration.networks.evidence import (
    Evidence,
    LayerEvidence,
    NetworkEvidence,
    Part,
    StackedEvidence,
    VoxelEvidence,
)
from calibration.networks.linear_read_out import LinearReadOut
from calibration.networks.sequence import SliceSequence, batch_sequences
from calibration.networks.slice_layout import MaskedSlices
from calibration.networks.streaming import ReadOutSettings, StreamingDecoder

__all__ = [
    "DeepLight",
    "Evidence",
    "LayerEvidence",
    "LinearReadOut",
    "MaskedSlices",
    "NetworkEvidence",
    "Part",
    "ReadOutSettings",
    "SliceSequence",
    "StackedEvidence",
    "StreamingDecoder",
    "VoxelEvidence",
    "batch_sequences",
]
