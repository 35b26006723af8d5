"""Baselines and controls, evaluated on the same data and folds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from calibration.budget import Budget
from calibration.data.labels import Labels
from calibration.decoders.finetune import TuningSettings, from_scratch, settings_for, tune
from calibration.decoders.head import log_softmax
from calibration.decoders.lda import Candidate, Fit, Predictor, fit_lda
from calibration.networks import DeepLight
from calibration.networks.features import (
    coarse_voxels,
    motion_features,
    network_features,
    parcels,
    time_features,
)
from calibration.progress import Progress, silent
from rtdecode.metrics import Compared
from rtdecode.types import Bool, Float32, Float64

SCRATCH_EPOCHS = 12
STRENGTH = 100.0
"""Inverse strength of the logistic regression's penalty. The features are z-scored and divided by
the square root of their number."""


@dataclass(frozen=True, slots=True, eq=False)
class Logistic:
    """Multinomial logistic regression with an L2 penalty."""

    mean: Float64
    scale: Float64
    weight: Float64
    bias: Float64

    def log_probabilities(self, features: Float32) -> Float64:
        """Return (m, K) log-probabilities of (m, F) features."""
        logits = ((features - self.mean) / self.scale) @ self.weight.T + self.bias
        return log_softmax(logits)


def fit_logistic(features: Float32, labels: Labels) -> Predictor:
    """Fit multinomial L2 logistic regression (scikit-learn, L-BFGS) to the examples."""
    x = features[labels.chosen].astype(np.float64)
    mean, spread = x.mean(axis=0), x.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0) * np.sqrt(x.shape[1])
    model = LogisticRegression(C=STRENGTH, max_iter=500, class_weight="balanced")
    model.fit((x - mean) / scale, labels.label[labels.chosen])
    weight, bias = model.coef_, model.intercept_
    if labels.n_classes == 2:  # scikit-learn keeps one row for two classes
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return Logistic(mean, scale, weight, bias)


def fast_baselines(
    prepared: Float32, mask: Bool, grid_affine: Float64, motion: Float64, labels: Labels, seed: int
) -> Iterator[Candidate]:
    """Yield the fast baselines and the controls one at a time; each takes seconds.

    Controls do not use brain signals and must be at chance. Otherwise the design or the subject's
    movements reveal the classes.
    """
    coarse = coarse_voxels(prepared, mask, grid_affine)
    yield Candidate("8 mm voxels, LDA", "linear", coarse, fit_lda)
    yield Candidate("8 mm voxels, logistic", "linear", coarse, fit_logistic)
    parcellated = parcels(prepared, mask, grid_affine, seed)
    yield Candidate("400 parcels, LDA", "linear", parcellated, fit_lda)
    yield Candidate("400 parcels, logistic", "linear", parcellated, fit_logistic)
    yield Candidate("motion alone", "control", motion_features(motion), fit_logistic)
    yield Candidate("time alone", "control", time_features(labels.acquired_s), fit_logistic)


def slow_baselines(
    network: DeepLight,
    prepared: Float32,
    mask: Bool,
    layer: int,
    seed: int,
    budget: Budget,
    device: str,
    progress: Progress = silent,
) -> Iterator[Candidate]:
    """Yield baselines that learn by gradient or run a network again; each takes minutes."""
    yield _random_network(network.grid_shape, prepared, mask, layer, seed, device, progress)

    def tuned(start: DeepLight, settings: TuningSettings) -> Fit:
        return lambda rows, labels: tune(
            start, rows, labels, mask, settings, budget, device, progress
        )

    fine_tuned = tuned(network, settings_for(device, seed))
    yield Candidate("fine-tuned recurrent layer", "deep", prepared, fine_tuned)
    from_random = tuned(_untrained(network.grid_shape, seed), from_scratch(SCRATCH_EPOCHS, seed))
    yield Candidate(f"from scratch, {SCRATCH_EPOCHS} epochs", "deep", prepared, from_random)


def _random_network(
    grid_shape: tuple[int, int, int],
    prepared: Float32,
    mask: Bool,
    layer: int,
    seed: int,
    device: str,
    progress: Progress,
) -> Candidate:
    """Return the same network with random weights, read at the same layer."""
    network = _untrained(grid_shape, seed)
    found = network_features(network, prepared, mask, (layer,), _renamed(progress), device)
    return Candidate("random weights, same layer", "control", found[layer], fit_lda)


def _untrained(grid_shape: tuple[int, int, int], seed: int) -> DeepLight:
    """Return an untrained network.

    He's initialisation preserves the variance of rectified activations over twelve layers; the
    authors' initialisation does not.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = DeepLight(grid_shape, 2)
        for index in range(len(network.convolutions)):
            weight = network.convolution(index).weight
            torch.nn.init.kaiming_normal_(weight, nonlinearity="relu")
    return network


def above_chance(compared: Sequence[Compared], chance: float) -> tuple[str, ...]:
    """Describe the controls whose interval lies above chance."""
    return tuple(
        f"{one.name} decodes {one.accuracy.volume:.0%} of volumes, chance {chance:.0%}: the design "
        "or the movements reveal the classes, and the decoder may use that"
        for one in compared
        if one.name in {"motion alone", "time alone"}
        and one.accuracy.interval_95_volume[0] > chance
    )


def _renamed(progress: Progress) -> Progress:
    return lambda _step, done, total: progress("random weights, for comparison", done, total)
