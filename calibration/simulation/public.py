"""The public names of `calibration.simulation`."""

from calibration.simulation.activation import (
    ActivationSettings,
    Focus,
    TaskState,
    default_states,
)
from calibration.simulation.anatomy import HeadTemplate, load_template
from calibration.simulation.deformation import AnatomySettings
from calibration.simulation.design import RunDesign, write_events
from calibration.simulation.dicom_files import Vendor, write_dicom
from calibration.simulation.distortion import DistortionSettings
from calibration.simulation.epi_protocol import EpiProtocol
from calibration.simulation.haemodynamics import HaemodynamicSettings
from calibration.simulation.motion import MotionSettings
from calibration.simulation.noise import NoiseSettings
from calibration.simulation.participant import Participant, ParticipantSettings, make_participant
from calibration.simulation.simulated_run import SimulatedRun, simulate_run

__all__ = [
    "ActivationSettings",
    "AnatomySettings",
    "DistortionSettings",
    "EpiProtocol",
    "Focus",
    "HaemodynamicSettings",
    "HeadTemplate",
    "MotionSettings",
    "NoiseSettings",
    "Participant",
    "ParticipantSettings",
    "RunDesign",
    "SimulatedRun",
    "TaskState",
    "Vendor",
    "default_states",
    "load_template",
    "make_participant",
    "simulate_run",
    "write_dicom",
    "write_events",
]
