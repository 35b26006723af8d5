"""Simulated participants, and their runs in the formats that scanners write.

    template = load_template()
    participant = make_participant(template, ParticipantSettings(), seed=1)
    run = simulate_run(participant, RunDesign(), seed=1)
    for volume in run.volumes(): ...
    write_dicom(run, folder, "siemens")
    write_events(run.events, folder / "events.tsv")

Two seeds determine all data: the participant's and the run's. It needs no download and no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from calibration.simulation.public import *  # noqa: F403 - its `__all__`


def __getattr__(name: str) -> Any:
    """Import the public names at their first use; the help of the commands needs none of them."""
    return getattr(import_module("calibration.simulation.public"), name)
