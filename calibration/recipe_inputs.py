"""The inputs of a calibration, checked before anything is computed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calibration.calibration_settings import CalibrationSettings
from calibration.data.blocks import ClassSpec, parse_classes, read_blocks
from calibration.data.calibration_data import CalibrationData
from calibration.data.check_runs import check_distinct, check_runs
from calibration.data.labels import REST, label_volumes
from calibration.decoders.lag import LAGS_S
from calibration.priors.knowledge import PriorKnowledge, check_new_person, find_knowledge
from calibration.weights.pretrained import Pretrained
from rtdecode import bundle
from rtdecode.events import Block
from rtdecode.types import Volume


@dataclass(frozen=True, slots=True, eq=False)
class RecipeInputs:
    """The checked inputs of a calibration."""

    repetition_time_s: float
    blocks: tuple[tuple[Block, ...], ...]
    """The blocks of each new run; empty for zero-shot."""
    spec: ClassSpec
    earlier: CalibrationData | None
    """The data of an earlier bundle."""
    knowledge: PriorKnowledge
    """What is known of the classes from other people."""


def check_recipe_inputs(
    runs: Sequence[Sequence[Volume]],
    pretrained: Pretrained,
    events: Sequence[Path],
    out: Path,
    settings: CalibrationSettings,
    earlier: bundle.Bundle | None,
) -> RecipeInputs:
    """Check the inputs of a calibration before anything is computed.

    Raises
    ------
    ConfigError
        The runs, the events or the priors cannot be used.
    """
    repetition_time_s = check_runs(runs, events, out, pretrained, earlier)
    data = None if earlier is None else CalibrationData.load(earlier)
    check_distinct(runs, data)
    blocks = read_blocks(runs, events, repetition_time_s)
    spec = ClassSpec((), {})
    knowledge = PriorKnowledge()
    if events:
        all_blocks = [*(() if data is None else data.blocks), *blocks]
        trial_types = [block.trial_type for run in all_blocks for block in run]
        spec = parse_classes(settings.classes, trial_types)
        classes = (*spec.classes, *((REST,) if settings.rest else ()))
        knowledge = find_knowledge(pretrained, classes, settings.states, settings.maps)
        check_new_person(pretrained.study, runs)
        if data is None:
            times = [np.array([volume.acquired_s for volume in run]) for run in runs]
            least = knowledge.min_blocks
            label_volumes(blocks, times, spec, LAGS_S[-1], rest=settings.rest, min_blocks=least)
    return RecipeInputs(repetition_time_s, blocks, spec, data, knowledge)
