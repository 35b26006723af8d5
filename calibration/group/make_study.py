"""Make a study from several people, and evaluate it by leaving each person out."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from calibration.decoders.prior import ClassMeans
from calibration.group.learning import own_logits, split_person
from calibration.group.leave_one_out import (
    decode_left_out,
    fit_rule,
    fit_temperature,
    leave_one_out,
)
from calibration.group.moments import (
    FeatureChoice,
    Moments,
    choose_features,
    class_means,
    person_moments,
    spread_between,
    spread_within,
)
from calibration.group.person import Person, PersonData, grid_positions
from calibration.group.scatter import merge, residuals
from calibration.group.selection_cache import SelectedData, WorkFolder
from calibration.progress import Progress, silent
from calibration.weights.study import LayerStatistics, Study, StudyDescription
from rtdecode.errors import RunError
from rtdecode.types import Float32, Float64


def make_study(
    people: Sequence[Person],
    about: StudyDescription,
    work: WorkFolder,
    progress: Progress = silent,
) -> Study:
    """Make a study; one person at a time is in memory with all features.

    Parameters
    ----------
    people
        The people. One person alone cannot be left out, so the evaluation is empty.
    about
        The study's description; numbers and evaluation are filled in here.
    work
        Folder of intermediate files. What is there already is used.
    progress
        Called with the number of people done in each step.
    """
    # 1. Sum the class means over people, and choose features: for the study, and without each.
    total = _sum_moments(people, work, progress)
    choices = {layer: choose_features(m, len(people)) for layer, m in total.items()}
    without = [_choose_without(person, total, len(people) - 1, work) for person in people]
    union = {
        layer: np.unique(np.concatenate([choice.index, *(each[layer].index for each in without)]))
        for layer, choice in choices.items()
    }
    unit = {layer: spread_within(total[layer])[index] for layer, index in union.items()}

    # 2. Take these features of each person, and fit decoders from own data for comparison.
    per_slice = _select(people, union, work, progress)
    data = [_load_selected(person, union, work) for person in people]

    # 3. Decode each person with the study of all others.
    scatters = [_scatter(each, unit) for each in data]
    others = _merge_all_but_one(scatters)
    n_volumes = [int(each.labels.chosen.sum()) for each in data]
    curves = []
    for n in range(len(people) if len(people) > 1 else 0):
        priors = {
            layer: ClassMeans(
                index=np.searchsorted(union[layer], choice.index),
                scale=choice.scale,
                means=choice.means,
                scatter=_rescale(others[n][layer], union[layer], unit[layer], choice),
                n_scatter=float(sum(n_volumes) - n_volumes[n]),
            )
            for layer, choice in without[n].items()
        }
        curves.append(decode_left_out(data[n], priors))
        progress("leave each person out", n + 1, len(people))

    # 4. The study of all.
    layers = {}
    for layer, choice in choices.items():
        everyone = merge(others[-1][layer], scatters[-1][layer])
        scatter = _rescale(everyone, union[layer], unit[layer], choice)
        spread = _spread(data, layer, np.searchsorted(union[layer], choice.index), choice)
        layers[layer] = LayerStatistics(
            index=choice.index,
            per_slice=per_slice[layer],
            scale=choice.scale.astype(np.float32),
            means=choice.means.astype(np.float32),
            spread=spread,
            scatter=scatter.astype(np.float32),
        )
    rule = fit_rule(curves)
    description = replace(
        about,
        n_people=len(people),
        n_volumes=sum(n_volumes),
        temperature=fit_temperature(curves, rule),
        pseudo_blocks=rule.pseudo_blocks,
        blocks_of_prior=rule.blocks_of_prior,
        fingerprints=tuple(digest for person in people for digest in person.fingerprints),
        left_out=leave_one_out([person.name for person in people], curves),
    )
    return Study(description, layers)


def _sum_moments(
    people: Sequence[Person], work: WorkFolder, progress: Progress
) -> dict[int, Moments]:
    """Return the sums over people by layer, and write those of each person."""
    total: dict[int, Moments] = {}
    for done, person in enumerate(people):
        progress("class means of each person", done, len(people))
        moments = work.load_moments(person.digest)
        if moments is None:
            data = person.load()
            moments = {
                layer: person_moments(
                    features, data.labels, *grid_positions(layer, data.mask, features.shape[1])[:2]
                )
                for layer, features in data.features.items()
            }
            work.save_moments(person.digest, moments)
        for layer, each in moments.items():
            total[layer] = total[layer] + each if layer in total else each
    progress("class means of each person", len(people), len(people))
    return total


def _choose_without(
    person: Person, total: dict[int, Moments], n_people: int, work: WorkFolder
) -> dict[int, FeatureChoice]:
    """Return the features that would be chosen without a person."""
    own = work.load_moments(person.digest) or {}
    return {layer: choose_features(total[layer] - own[layer], n_people) for layer in total}


def _select(
    people: Sequence[Person],
    union: dict[int, NDArray[np.int64]],
    work: WorkFolder,
    progress: Progress,
) -> dict[int, int]:
    """Write each person's selected features; return the number of features of a slice by layer."""
    for done, person in enumerate(people):
        progress("features of each person", done, len(people))
        if work.load_selected(_key(person, union)) is None:
            work.save_selected(_key(person, union), _select_person(person.load(), union))
    progress("features of each person", len(people), len(people))
    return _load_selected(people[0], union, work).per_slice


def _select_person(data: PersonData, union: dict[int, NDArray[np.int64]]) -> SelectedData:
    split = split_person(data.labels)
    features, present, own, per_slice = {}, {}, {}, {}
    for layer, all_features in data.features.items():
        positions, total, per_slice[layer] = grid_positions(layer, data.mask, all_features.shape[1])
        place = np.full(total, -1)
        place[positions] = np.arange(len(positions))
        found = place[union[layer]]
        present[layer] = found >= 0
        features[layer] = all_features[:, found].astype(np.float32)
        features[layer][:, ~present[layer]] = 0.0
        own[layer] = own_logits(layer, all_features, split)
    return SelectedData(data.labels, features, present, own, per_slice)


def _key(person: Person, union: dict[int, NDArray[np.int64]]) -> str:
    """Return the name of a person's selected data, which depend on the features."""
    digest = hashlib.sha256(person.digest.encode())
    for layer, index in sorted(union.items()):
        digest.update(f"{layer}:".encode())
        digest.update(index.tobytes())
    return digest.hexdigest()[:16]


def _load_selected(
    person: Person, union: dict[int, NDArray[np.int64]], work: WorkFolder
) -> SelectedData:
    data = work.load_selected(_key(person, union))
    if data is None:
        raise RunError(f"{work.path}: a file of {person.name} disappeared; run the command again")
    return data


def _scatter(data: SelectedData, unit: dict[int, Float64]) -> dict[int, Float64]:
    """Return a factor of a person's scatter by layer, in units of the spread within classes."""
    empty = {layer: np.empty((0, len(scale))) for layer, scale in unit.items()}
    return {
        layer: merge(empty[layer], residuals(data.features[layer] / scale, data.labels))
        for layer, scale in unit.items()
    }


def _merge_all_but_one(scatters: Sequence[dict[int, Float64]]) -> list[dict[int, Float64]]:
    """Return the merged scatter of all others for each person, from sums of first and last ones."""
    empty = {layer: rows[:0] for layer, rows in scatters[0].items()}
    before, after = [empty], [empty]
    for each in scatters[:-1]:
        before.append({layer: merge(before[-1][layer], rows) for layer, rows in each.items()})
    for each in reversed(scatters[1:]):
        after.append({layer: merge(after[-1][layer], rows) for layer, rows in each.items()})
    pairs = zip(before, reversed(after), strict=True)
    return [{layer: merge(a[layer], b[layer]) for layer in empty} for a, b in pairs]


def _rescale(
    scatter: Float64, union: NDArray[np.int64], unit: Float64, choice: FeatureChoice
) -> Float64:
    """Return the scatter of the chosen features, divided by their spread."""
    place = np.searchsorted(union, choice.index)
    return scatter[:, place] * (unit[place] / choice.scale)


def _spread(
    data: Sequence[SelectedData], layer: int, place: NDArray[np.int64], choice: FeatureChoice
) -> Float32:
    """Return the spread of class means between people, in units of the spread within classes."""
    scale = choice.scale.astype(np.float32)
    means = [class_means(each.features[layer][:, place] / scale, each.labels)[0] for each in data]
    return spread_between(means, [each.present[layer][place] for each in data])
