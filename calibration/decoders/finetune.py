"""Fine-tune the last layers of a pretrained network by gradient, with an L2-SP penalty.

The earlier layers are frozen, so their output is computed once for every volume and some augmented
versions of it. On a CPU the LSTM and the head learn, on a GPU also the last convolutions.
Training from scratch uses the same code without the penalty and without frozen layers.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from calibration.budget import Budget
from calibration.data.labels import Labels
from calibration.decoders.augment import AugmentSettings, augment
from calibration.decoders.head import log_softmax
from calibration.networks import DeepLight, MaskedSlices, SliceSequence, batch_sequences
from calibration.networks.deeplight import CONVOLUTIONS, UNITS
from calibration.progress import Progress, silent
from rtdecode.types import Bool, Float32, Float64


@dataclass(frozen=True, slots=True)
class TuningSettings:
    """The options of fine-tuning."""

    convolutions: int = 0
    """Number of the last convolutions that learn, in addition to LSTM and head."""
    rate: float = 1e-4
    """Learning rate (AdamW) of pretrained weights."""
    head_rate: float = 3e-3
    """Learning rate of the new head."""
    pull: float = 1e-2
    """L2-SP (Li, Grandvalet & Davoine 2018): half of this times the squared distance from the
    pretrained weights is added to the loss."""
    copies: int = 3
    """Augmented versions of each volume."""
    epochs: int = 30
    """Largest number of epochs."""
    patience: int = 6
    """Epochs without a lower loss on the held-out blocks before learning stops."""
    batch: int = 16
    seed: int = 0
    augmentation: AugmentSettings = field(default_factory=AugmentSettings)


def settings_for(device: str, seed: int = 0) -> TuningSettings:
    """Return the settings for a device: on CUDA the last two convolutions learn too."""
    return TuningSettings(convolutions=2 if device == "cuda" else 0, seed=seed)


def from_scratch(epochs: int, seed: int = 0) -> TuningSettings:
    """Return the settings to train from scratch: all layers, no penalty."""
    return TuningSettings(
        convolutions=len(CONVOLUTIONS),
        rate=3e-4,
        head_rate=3e-4,
        pull=0.0,
        copies=0,
        epochs=epochs,
        patience=epochs,
        batch=8,
        seed=seed,
    )


@dataclass(frozen=True, slots=True, eq=False)
class TunedNetwork:
    """A fine-tuned network as a decoder of the labels' classes."""

    network: DeepLight
    """On the CPU, in evaluation mode; its head has one output for each class."""
    mask: Bool
    epochs: int
    """Number of epochs after which the weights were best."""
    held_out_loss: float
    """Loss of these weights; NaN if no block could be held out."""

    def log_probabilities(self, prepared: Float32) -> Float64:
        """Return (m, K) log-probabilities of prepared volumes (m, V)."""
        sequence = SliceSequence(self.network, slices := MaskedSlices(self.mask))
        logits = []
        with torch.inference_mode():
            for volume in prepared:
                x = slices(torch.from_numpy(np.array(volume, dtype=np.float32)))
                found = self.network.sequence_features(sequence(self.network.conv_features(x)))
                logits.append(self.network.head(found)[0].numpy())
        return log_softmax(np.array(logits))


def tune(
    network: DeepLight,
    prepared: Float32,
    labels: Labels,
    mask: Bool,
    settings: TuningSettings,
    budget: Budget,
    device: str = "cpu",
    progress: Progress = silent,
) -> TunedNetwork:
    """Fine-tune a network to labelled volumes.

    Parameters
    ----------
    network
        Network to start from; it is copied.
    prepared
        (n, V)
    labels
        Labels of these rows. If each class has two blocks, the last ones are held out for early
        stopping.
    mask
        (X, Y, Z)
    settings
        See `TuningSettings`.
    budget
        When it is over, the best weights are returned; one epoch is always done.
    device
        `cpu` or `cuda`; on CUDA the learning layers run in bfloat16 if the GPU supports it.
    progress
        Called with the number of epochs done.
    """
    with torch.random.fork_rng(devices=[0] if device == "cuda" else []):
        torch.manual_seed(settings.seed)
        tail = _Tail(network, labels.n_classes, mask, settings).to(device)
        held = _held_out_rows(labels)
        learn = np.flatnonzero(labels.chosen & ~held)
        examples = _Examples(tail, device)
        rng = np.random.default_rng(settings.seed)
        examples.add(prepared[learn], labels.label[learn], progress)
        side = np.flatnonzero(~held)
        for _ in range(settings.copies):
            made = augment(prepared[side], labels.take(side), mask, settings.augmentation, rng)
            shown = made[1] >= 0
            examples.add(made[0][shown], made[1][shown], progress)
        held_out = _Examples(tail, device)
        held_out.add(prepared[held & labels.chosen], labels.label[held & labels.chosen], progress)
        return _learn(tail, examples, held_out, settings, budget, rng, mask, progress)


def _learn(
    tail: "_Tail",
    examples: "_Examples",
    held_out: "_Examples",
    settings: TuningSettings,
    budget: Budget,
    rng: np.random.Generator,
    mask: Bool,
    progress: Progress,
) -> TunedNetwork:
    start = [p.detach().clone() for p in tail.pretrained()]
    optimiser = torch.optim.AdamW(
        [
            {"params": list(tail.pretrained()), "lr": settings.rate},
            {"params": list(tail.network.head.parameters()), "lr": settings.head_rate},
        ],
        weight_decay=0.0,
    )
    best = (np.inf, 0, copy.deepcopy(tail.network.state_dict()))
    for epoch in range(1, settings.epochs + 1):
        tail.train()
        for x, label in examples.batches(settings.batch, rng):
            distance = sum(
                ((now - then) ** 2).sum()
                for now, then in zip(tail.pretrained(), start, strict=True)
            )
            loss = functional.cross_entropy(tail(x), label) + settings.pull / 2 * distance
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(tail.parameters(), 1.0)
            optimiser.step()
            if budget.over and epoch > 1:
                break
        tail.eval()
        # Without held-out blocks the weights of the last epoch are used.
        loss_held_out = held_out.loss(tail, settings.batch) if len(held_out) else -float(epoch)
        if loss_held_out < best[0]:
            best = (loss_held_out, epoch, copy.deepcopy(tail.network.state_dict()))
        progress("fine-tune", epoch, settings.epochs)
        if budget.over or epoch - best[1] >= settings.patience:
            break
    progress("fine-tune", settings.epochs, settings.epochs)
    tail.network.load_state_dict(best[2])
    network = tail.network.cpu().eval().requires_grad_(requires_grad=False)
    return TunedNetwork(network, mask, best[1], best[0] if len(held_out) else float("nan"))


class _Tail(nn.Module):
    """The layers that learn, and the frozen layers before them."""

    def __init__(
        self, network: DeepLight, n_classes: int, mask: Bool, settings: TuningSettings
    ) -> None:
        super().__init__()
        self.network = copy.deepcopy(network)
        self.network.head = nn.Linear(2 * UNITS, n_classes)
        nn.init.zeros_(self.network.head.weight)
        nn.init.zeros_(self.network.head.bias)
        self.frozen = len(CONVOLUTIONS) - settings.convolutions
        for number, convolution in enumerate(self.network.convolutions):
            convolution.requires_grad_(requires_grad=number >= self.frozen)
        self.slices = MaskedSlices(mask)
        self.mixed = torch.cuda.is_available() and torch.cuda.is_bf16_supported()

    def pretrained(self) -> Iterator[nn.Parameter]:
        """Yield the pretrained parameters that learn."""
        for name, parameter in self.network.named_parameters():
            if parameter.requires_grad and not name.startswith("head."):
                yield parameter

    def front(self, volume: Tensor) -> Tensor:
        """Return the frozen layers' output for one volume (V,), or the volume if none is frozen."""
        if self.frozen == 0:
            return volume
        return self.network.conv_features(self.slices(volume), self.frozen)

    def forward(self, fronts: Tensor) -> Tensor:
        """Return logits (B, K) of stacked outputs of `front`."""
        with torch.autocast(
            fronts.device.type,
            torch.bfloat16,
            enabled=self.mixed and fronts.device.type == "cuda",
        ):
            if self.frozen == 0:
                fronts = torch.stack([self.slices(volume) for volume in fronts])
            activations = self.network.run(fronts.flatten(0, 1), self.frozen, len(CONVOLUTIONS))
            sequence = batch_sequences(self.network, self.slices, activations)
            found = self.network.sequence_features(sequence)
            return self.network.head(self.network.dropout(found)).float()


class _Examples:
    """Inputs of the learning layers, with labels."""

    def __init__(self, tail: _Tail, device: str) -> None:
        self._tail, self._device = tail, device
        self._fronts: list[Tensor] = []
        self._labels: list[int] = []

    def __len__(self) -> int:
        return len(self._labels)

    def add(self, prepared: Float32, label: NDArray[np.int64], progress: Progress) -> None:
        """Run the frozen layers over volumes (n, V), and keep their output in half precision."""
        self._tail.eval()
        with torch.inference_mode():
            for done, volume in enumerate(prepared, start=1):
                x = torch.from_numpy(np.array(volume, dtype=np.float32)).to(self._device)
                self._fronts.append(self._tail.front(x).half().cpu())
                progress("frozen layers", done, len(prepared))
        self._labels += [int(each) for each in label]

    def batches(
        self, size: int, rng: np.random.Generator | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield each example once, in random order if `rng` is given."""
        order = np.arange(len(self)) if rng is None else rng.permutation(len(self))
        for start in range(0, len(self), size):
            chosen = order[start : start + size]
            x = torch.stack([self._fronts[i] for i in chosen]).to(self._device).float()
            yield x, torch.tensor([self._labels[i] for i in chosen], device=self._device)

    def loss(self, tail: _Tail, size: int) -> float:
        """Return the mean cross-entropy."""
        with torch.inference_mode():
            total = [
                float(functional.cross_entropy(tail(x), label, reduction="sum"))
                for x, label in self.batches(size)
            ]
        return sum(total) / len(self)


def _held_out_rows(labels: Labels) -> Bool:
    """Return the rows of the last block of each class; none if a class has only one block."""
    of = labels.block_labels()
    shown = np.unique(labels.block[labels.chosen])
    last = [shown[of[shown] == c] for c in range(labels.n_classes)]
    if any(len(blocks) < 2 for blocks in last):
        return np.zeros(labels.label.shape, dtype=bool)
    return np.isin(labels.block, [blocks[-1] for blocks in last])
