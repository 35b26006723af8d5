"""The networks that calibration trains and compiles."""

from calibration.networks.deeplight import DeepLight
from calibration.networks.read_out import ReadOut, layer_features
from calibration.networks.slices import MaskedSlices
from calibration.networks.streaming import StreamingDecoder

__all__ = ["DeepLight", "MaskedSlices", "ReadOut", "StreamingDecoder", "layer_features"]
