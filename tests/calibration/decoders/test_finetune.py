"""Fine-tuning learns, stops, keeps to its time, and forgets what it was no further than asked."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from calibration.budget import Budget
from calibration.decoders.augment import AugmentSettings
from calibration.decoders.finetune import TuningSettings, from_scratch, settings_for, tune
from calibration.networks import DeepLight, NetworkEvidence
from rtdecode.clock import SystemClock

GRID = (12, 14, 8)
FAST = TuningSettings(
    rate=3e-3, head_rate=1e-2, pull=0.0, copies=1, epochs=12, batch=8,
    augmentation=AugmentSettings(shift_voxels=1, noise=0.1),
)  # fmt: skip


@pytest.fixture(scope="module")
def network() -> DeepLight:
    """Return a network that lets its input through to the LSTM."""
    torch.manual_seed(3)
    network = DeepLight(GRID, 16)
    for convolution in network.convolutions:
        torch.nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    return network.eval()


@pytest.fixture
def labels(make_labels):
    """Return eight blocks of two classes."""
    return make_labels(["abbaabab"])


@pytest.fixture
def volumes(labels, halves):
    """Return volumes in which the classes light up two halves of the box."""
    return halves(labels, 1.5)


def unlimited() -> Budget:
    """Return a budget that never ends."""
    return Budget(None, SystemClock())


@pytest.mark.parametrize("convolutions", [0, 2, 12])
def test_it_learns_what_held_out_blocks_show(network, labels, volumes, box, convolutions) -> None:
    """With frozen convolutions, with some of them and with all, accuracy rises above chance."""
    settings = replace(FAST, convolutions=convolutions)
    test = np.isin(labels.block, [0, 1])
    train = ~test

    tuned = tune(network, volumes[train], labels.take(train), box, settings, unlimited())

    decided = tuned.log_probabilities(volumes[test]).argmax(axis=1)
    assert (decided == labels.label[test]).mean() > 0.8
    assert tuned.held_out_loss < np.log(2)
    assert not tuned.network.training


def test_it_predicts_what_its_network_would_serve(network, labels, volumes, box) -> None:
    """Compiled as evidence it says what the fit said; the original is unchanged."""
    before = {name: value.clone() for name, value in network.state_dict().items()}
    tuned = tune(network, volumes, labels, box, replace(FAST, epochs=2), unlimited())

    evidence = NetworkEvidence(tuned.network, box)
    with torch.inference_mode():
        logits = torch.stack([evidence(torch.from_numpy(v)) for v in volumes[:5]])
    expected = torch.log_softmax(logits, 1).numpy()
    np.testing.assert_allclose(tuned.log_probabilities(volumes[:5]), expected, atol=1e-5)
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])


def test_the_same_seed_gives_the_same_network(network, labels, volumes, box) -> None:
    """And another seed another one."""
    found = [
        tune(network, volumes, labels, box, replace(FAST, epochs=2, seed=seed), unlimited())
        for seed in (1, 1, 2)
    ]
    one, same, other = (each.log_probabilities(volumes[:4]) for each in found)
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 1e-6


def test_the_pull_keeps_what_was_pretrained(network, labels, volumes, box) -> None:
    """The stronger it is, the nearer the weights stay; frozen layers do not move at all."""
    moved = []
    for pull in (0.0, 1.0, 100.0):
        settings = replace(FAST, pull=pull, epochs=3, patience=3)
        tuned = tune(network, volumes, labels, box, settings, unlimited())
        distance = (tuned.network.lstm.weight_hh_l0 - network.lstm.weight_hh_l0).detach()
        moved.append(float(distance.abs().mean()))
        for new, old in zip(tuned.network.convolutions, network.convolutions, strict=True):
            assert torch.equal(new.weight, old.weight)
    assert moved[0] > moved[1] > moved[2]


def test_it_stops_when_held_out_blocks_get_no_better(network, labels, volumes, box, rng) -> None:
    """On noise the best epoch is an early one, and its weights are what is returned."""
    noise = rng.standard_normal(volumes.shape).astype(np.float32)
    told = []
    settings = replace(FAST, epochs=40, patience=3, copies=0)

    tuned = tune(
        network, noise, labels, box, settings, unlimited(), progress=lambda *s: told.append(s)
    )

    epochs = [done for step, done, _ in told if step == "fine-tune"]
    assert tuned.epochs <= 37
    assert max(epochs[:-1]) <= tuned.epochs + 3
    assert epochs[-1] == 40  # the bar is full in the end


def test_a_budget_that_is_over_still_gives_a_network(network, labels, volumes, box) -> None:
    """One epoch is always done."""
    tuned = tune(network, volumes, labels, box, FAST, Budget(0.0, SystemClock()))

    assert tuned.epochs == 1


def test_one_block_of_a_class_is_no_block_to_stop_by(network, make_labels, box, rng) -> None:
    """Everything is learnt from, for as many epochs as asked for."""
    labels = make_labels(["abab"])
    keep = np.isin(labels.block, [0, 1]) | labels.rest
    labels = labels.only_usable(keep)
    volumes = rng.standard_normal((len(labels.label), int(box.sum()))).astype(np.float32)

    tuned = tune(network, volumes, labels, box, replace(FAST, epochs=3), unlimited())

    assert tuned.epochs == 3
    assert np.isnan(tuned.held_out_loss)


def test_on_cuda_the_last_convolutions_learn_too() -> None:
    """On a CPU only LSTM and head do; from scratch everything does, with nothing to pull to."""
    assert settings_for("cuda").convolutions == 2
    assert settings_for("cpu").convolutions == 0
    assert from_scratch(5).convolutions == 12
    assert from_scratch(5).pull == 0


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU on this machine")
def test_cuda_learns_as_the_cpu_does(network, labels, volumes, box) -> None:
    """Same code, mixed precision: the decisions agree."""
    cpu, cuda = (
        tune(network, volumes, labels, box, FAST, unlimited(), device) for device in ("cpu", "cuda")
    )
    agree = cpu.log_probabilities(volumes).argmax(1) == cuda.log_probabilities(volumes).argmax(1)
    assert agree[labels.chosen].mean() > 0.9
