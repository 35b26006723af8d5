"""The road from a volume to the decoder's input, walked by calibration and serving alike."""

from rtdecode.stages.preparation import Preparation, PreparationSettings, Space
from rtdecode.stages.resample import dilate

__all__ = ["Preparation", "PreparationSettings", "Space", "dilate"]
