"""Simulated participants, and runs of theirs that look like a scanner's.

    template = load_template()
    participant = make_participant(template, ParticipantSettings(), seed=1)
    run = simulate_run(participant, RunDesign(), seed=1)
    for volume in run.volumes(): ...
    write_dicom(run, folder, "siemens")
    write_events(run.events, folder / "events.tsv")

Everything follows from two seeds, the participant's and the run's. No download, no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from calibration.simulation.public import *  # noqa: F403 - its `__all__`


def __getattr__(name: str) -> Any:
    """Import what is public when it is first asked for; the help of the commands needs none."""
    return getattr(import_module("calibration.simulation.public"), name)
