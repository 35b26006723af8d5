"""What is known of the classes from other people, and the priors that follow from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from calibration.data.calibration_data import fingerprint
from calibration.data.labels import MIN_BLOCKS_PER_CLASS
from calibration.decoders.prior import LayerPrior
from calibration.priors.group_maps import check_maps, group_maps_prior
from calibration.priors.known_states import known_states_prior, match_states
from calibration.priors.study_prior import check_study_classes, study_priors
from calibration.weights.pretrained import Pretrained
from calibration.weights.study import Study
from rtdecode.errors import ConfigError, check_all
from rtdecode.stages import Space
from rtdecode.types import Float32, Volume


@dataclass(frozen=True, slots=True)
class PriorKnowledge:
    """What is known of the classes before the person's own data."""

    classes: tuple[str, ...] = ()
    """The decoder's classes, in order."""
    states: tuple[str, ...] = ()
    """The pretrained network's state of each class; empty if they are not known."""
    maps: Mapping[str, Path] = field(default_factory=dict)
    """The group map of each class."""
    study: Study | None = None

    @property
    def min_blocks(self) -> int:
        """The number of own blocks of each class that a calibration needs."""
        known = self.states or self.maps or self.study is not None
        return 1 if known else MIN_BLOCKS_PER_CLASS


def find_knowledge(
    pretrained: Pretrained,
    classes: Sequence[str],
    states: Mapping[str, str] | None,
    maps: Mapping[str, Path],
) -> PriorKnowledge:
    """Return what is known of the classes.

    Raises
    ------
    ConfigError
        With everything in the states, maps and study that does not fit the classes.
    """
    matched: list[tuple[str, ...]] = []
    study = pretrained.study
    checks = [lambda: matched.append(match_states(classes, pretrained.states, states))]
    if maps:
        checks.append(lambda: check_maps(maps, classes))
    if study is not None:
        checks.append(lambda: check_study_classes(study, classes))
    check_all(*checks)
    return PriorKnowledge(tuple(classes), matched[0], maps, study)


def check_new_person(study: Study | None, runs: Sequence[Sequence[Volume]]) -> None:
    """Refuse a run that is part of the study.

    Raises
    ------
    ConfigError
        The held-out performance would not be that of a new person.
    """
    if study is None:
        return
    for number, run in enumerate(runs, start=1):
        if run and fingerprint(run) in study.about.fingerprints:
            raise ConfigError(
                f"run {number} is part of the study that --weights names: the study must consist "
                "of other people; run `rtdecode group` without this person"
            )


def make_priors(
    knowledge: PriorKnowledge, pretrained: Pretrained, prepared: Float32, space: Space
) -> tuple[LayerPrior, ...]:
    """Return the priors for a person.

    Parameters
    ----------
    knowledge
        From `find_knowledge`.
    pretrained
        The network.
    prepared
        (n, V) the person's prepared volumes.
    space
        The voxels of these volumes.

    Raises
    ------
    ConfigError
        A group map cannot be used.
    """
    priors: list[LayerPrior] = []
    if knowledge.study is not None:
        priors += study_priors(knowledge.study, knowledge.classes, space.mask)
    if knowledge.maps:
        priors.append(
            group_maps_prior(
                knowledge.maps, knowledge.classes, prepared, space.mask, space.grid_affine
            )
        )
    if knowledge.states:
        priors.append(
            known_states_prior(
                pretrained.network, pretrained.states, knowledge.classes, knowledge.states
            )
        )
    return tuple(priors)
