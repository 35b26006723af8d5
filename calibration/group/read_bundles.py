"""Read the people of a study from their bundles."""

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from calibration.data.blocks import ClassSpec, parse_classes
from calibration.data.calibration_data import FILE, CalibrationData
from calibration.data.labels import Labels, label_volumes
from calibration.group.person import Person, PersonData
from calibration.networks.features import VOXELS, network_features
from calibration.weights.pretrained import Pretrained, describe_new_study
from calibration.weights.study import StudyDescription
from rtdecode import bundle as bundles
from rtdecode.bundle import Bundle
from rtdecode.errors import BundleError, ConfigError

MIN_BLOCKS = 2
"""Blocks of each class that every person needs: one to learn from and one to decode."""


def load_bundles(paths: Sequence[Path]) -> list[Bundle]:
    """Load and verify bundles.

    Raises
    ------
    ConfigError
        With every bundle that cannot be used.
    """
    found, problems = [], []
    for path in paths:
        try:
            found.append(bundles.load(path))
        except BundleError as error:
            problems += [f"{path}: {problem}" for problem in error.problems]
            continue
        if FILE not in found[-1].manifest.files:
            problems.append(f"{path}: it has no calibration data (zero-shot?): leave it out")
    if len(paths) < 2:
        problems.append("a study needs at least two people: give one bundle for each")
    if problems:
        raise ConfigError(problems)
    return found


def read_people(
    found: Sequence[Bundle],
    pretrained: Pretrained,
    classes: str | None,
    *,
    rest: bool,
    device: str,
) -> tuple[list[Person], StudyDescription]:
    """Return the people of a study, and its description without results.

    Parameters
    ----------
    found
        One bundle for each person.
    pretrained
        The weights of all bundles.
    classes
        As for `rtdecode calibrate`; None: the trial types that all have.
    rest
        Whether rest is a class.
    device
        Device of the network.

    Raises
    ------
    ConfigError
        With every bundle that does not fit the others.
    """
    problems, people = [], []
    seen: dict[str, Path] = {}
    all_types = [_trial_types(CalibrationData.load(each)) for each in found]
    spec, missing = _spec(found, all_types, classes)
    problems += missing
    for each in found:
        problems += _misfits(each, found[0], pretrained)
        data = CalibrationData.load(each)
        for digest in data.fingerprints:
            if digest in seen:
                problems.append(
                    f"{each.path}: a run is also in {seen[digest]}: give each person once, the "
                    "bundle with all runs (--from)"
                )
            seen[digest] = each.path
        try:
            _label(data, each, spec, rest=rest)
        except ConfigError as error:
            problems += [f"{each.path}: {problem}" for problem in error.problems]
        load = partial(_load, each, spec, pretrained, rest=rest, device=device)
        key = hashlib.sha256(f"{each.digest} {sorted(spec.of.items())} {rest}".encode())
        people.append(Person(each.path.name, key.hexdigest()[:16], data.fingerprints, load))
    if problems:
        raise ConfigError(problems)
    labels = _label(CalibrationData.load(found[0]), found[0], spec, rest=rest)
    return people, describe_new_study(pretrained, labels.classes)


def _trial_types(data: CalibrationData) -> set[str]:
    return {block.trial_type for run in data.blocks for block in run}


def _spec(
    found: Sequence[Bundle], all_types: Sequence[set[str]], classes: str | None
) -> tuple[ClassSpec, list[str]]:
    """Return the classes, and a problem for each bundle that lacks some of them."""
    common = set.intersection(*all_types)
    if classes is None:
        return parse_classes(None, sorted(common)), []
    spec = parse_classes(classes, sorted(set.union(*all_types)))
    problems = []
    for each, types in zip(found, all_types, strict=True):
        lacking = set(spec.classes) - {spec.of[name] for name in types if name in spec.of}
        if lacking:
            problems.append(f"{each.path}: has no block of {', '.join(sorted(lacking))}")
    return spec, problems


def _misfits(each: Bundle, first: Bundle, pretrained: Pretrained) -> list[str]:
    manifest, problems = each.manifest, []
    if manifest.provenance.weights_sha256 != pretrained.sha256:
        problems.append(
            f"{each.path}: calibrated with the weights {manifest.provenance.weights}, the study "
            f"with {pretrained.name}: calibrate again with the same --weights"
        )
    elif (manifest.model_shape, manifest.model_affine) != (
        first.manifest.model_shape,
        first.manifest.model_affine,
    ):
        problems.append(
            f"{each.path}: its grid {manifest.model_shape} differs from that of {first.path}, "
            f"{first.manifest.model_shape}: calibrate again with the same --weights"
        )
    return problems


def _label(data: CalibrationData, each: Bundle, spec: ClassSpec, *, rest: bool) -> Labels:
    times = [data.acquired_s[data.run == run] for run in range(len(data.blocks))]
    lag_s = each.manifest.haemodynamic_lag_s
    labels = label_volumes(data.blocks, times, spec, lag_s, rest=rest, min_blocks=MIN_BLOCKS)
    return labels.only_usable(data.usable)


def _load(
    each: Bundle, spec: ClassSpec, pretrained: Pretrained, *, rest: bool, device: str
) -> PersonData:
    data = CalibrationData.load(each)
    layer = pretrained.layers[0]
    features = network_features(
        pretrained.network, data.prepared, each.space.mask, (layer,), device=device
    )
    return PersonData(
        np.asarray(each.space.mask),
        _label(data, each, spec, rest=rest),
        {layer: features[layer], VOXELS: data.prepared},
    )
