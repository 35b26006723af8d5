"""What `calibration.simulation` offers."""

from calibration.simulation.activation import (
    ActivationSettings,
    Focus,
    TaskState,
    default_states,
)
from calibration.simulation.anatomy import Template, load_template
from calibration.simulation.deformation import AnatomySettings
from calibration.simulation.design import Event, RunDesign, write_events
from calibration.simulation.distortion import DistortionSettings
from calibration.simulation.export import Vendor, write_dicom
from calibration.simulation.geometry import EpiProtocol
from calibration.simulation.haemodynamics import HaemodynamicSettings
from calibration.simulation.motion import MotionSettings
from calibration.simulation.noise import NoiseSettings
from calibration.simulation.participant import Participant, ParticipantSettings, make_participant
from calibration.simulation.session import SimulatedRun, simulate_run

__all__ = [
    "ActivationSettings",
    "AnatomySettings",
    "DistortionSettings",
    "EpiProtocol",
    "Event",
    "Focus",
    "HaemodynamicSettings",
    "MotionSettings",
    "NoiseSettings",
    "Participant",
    "ParticipantSettings",
    "RunDesign",
    "SimulatedRun",
    "TaskState",
    "Template",
    "Vendor",
    "default_states",
    "load_template",
    "make_participant",
    "simulate_run",
    "write_dicom",
    "write_events",
]
