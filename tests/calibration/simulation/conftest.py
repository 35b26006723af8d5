"""A template, a participant and a short run, made once."""

import pytest

from calibration.simulation import (
    HeadTemplate,
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
