"""The stages from a volume to the decoder's input, shared by calibration and the service."""

from rtdecode.stages.preparation import Preparation, PreparationSettings, Space
from rtdecode.stages.resample import dilate

__all__ = ["Preparation", "PreparationSettings", "Space", "dilate"]
