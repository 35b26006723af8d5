"""A template, a participant and a short run, made once."""

import pytest

from calibration.simulation import (
    HeadTemplate,
    MotionSettings,
    NoiseSettings,
    Participant,
    ParticipantSettings,
    RunDesign,
    SimulatedRun,
    load_template,
    make_participant,
    simulate_run,
)


@pytest.fixture(scope="session")
def template() -> HeadTemplate:
    """Return the template head."""
    return load_template()


@pytest.fixture(scope="session")
def participant(template: HeadTemplate) -> Participant:
    """Return one participant of the default population."""
    return make_participant(template, ParticipantSettings(), seed=1)


@pytest.fixture(scope="session")
def short_run(participant: Participant) -> SimulatedRun:
    """Return a run of twelve volumes."""
    design = RunDesign(blocks_per_state=1, block_s=2.0, rest_s=0.0, lead_in_s=4.0)
    return simulate_run(participant, design, seed=3)


@pytest.fixture
def still() -> MotionSettings:
    """Return the settings of a head that never moves."""
    return MotionSettings(
        between_runs_mm=0.0,
        between_runs_deg=0.0,
        drift_mm=0.0,
        drift_deg=0.0,
        jitter_mm=0.0,
        jitter_deg=0.0,
        breathing_mm=0.0,
        spikes=0,
    )


@pytest.fixture
def silent() -> NoiseSettings:
    """Return settings without noise."""
    return NoiseSettings(
        thermal_snr=1e6,
        smooth_percent=0.0,
        network_percent=0.0,
        global_percent=0.0,
        drift_percent=0.0,
        cardiac_percent=0.0,
        breathing_percent=0.0,
    )
