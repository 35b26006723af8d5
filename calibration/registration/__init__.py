"""Registration: from a calibration run's mean EPI to the decoder's grid in MNI space."""

from calibration.registration.overlay import overlay
from calibration.registration.registration_quality import Registration
from calibration.registration.subject_to_mni import register

__all__ = ["Registration", "overlay", "register"]
