"""Train every layer of the network by gradient descent, with easy examples first."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from calibration.networks import DeepLight, MaskedSlices, batch_sequences
from calibration.pretraining.initial import initial_network
from calibration.pretraining.training_cohort import CohortExamples, batches
from rtdecode.errors import RunError

OnStep = Callable[["TrainingStep"], None]


@dataclass(frozen=True, slots=True)
class LearningSettings:
    """Settings of the training."""

    steps: int = 1600
    batch: int = 16
    rate: float = 1e-3
    """Maximum learning rate of AdamW. It rises over 100 steps, or a fifth of fewer steps, and
    then falls along a cosine."""
    weight_decay: float = 1e-4
    average_volumes: int = 8
    """Maximum number of neighbouring volumes of a block that are averaged to an example."""
    mixed: int = 8
    """Number of blocks whose volumes are averaged to an example. It falls to one in the
    last quarter."""
    seed: int = 1
    bfloat16: bool = False
    """Whether to multiply in bfloat16, which halves the time on processors with AMX."""


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """The result of one training step."""

    step: int
    loss: float
    """Cross-entropy of this step's batch, before the update."""
    accuracy: float
    """Share of correct examples in the batch, which are training data."""
    mixed: int


def learn(
    examples: CohortExamples,
    settings: LearningSettings,
    on_step: OnStep = lambda _: None,
    device: str = "cpu",
    start: DeepLight | None = None,
) -> DeepLight:
    """Train all layers of a network.

    A second, temporary output layer reads the convolutions directly and learns the same task
    (deep supervision, Lee et al. 2015), because the gradients through the LSTM are too small.

    Parameters
    ----------
    examples
        The examples of a cohort, or of one person.
    settings
        The settings of the training.
    on_step
        Called after every step.
    device
        `cpu` or `cuda`.
    start
        Initial network without its head, which is always new; `initial_network` by default.

    Raises
    ------
    RunError
        A gradient is not finite.

    Returns
    -------
    The network on the CPU, in evaluation mode, with one output for each of the examples' states.
    """
    with torch.random.fork_rng(devices=[0] if device == "cuda" else []):
        torch.manual_seed(settings.seed)
        columns, rows, slices = examples.mask.shape
        network = initial_network((columns, rows, slices), len(examples.states), settings.seed)
        if start is not None:
            weights = {n: p for n, p in start.state_dict().items() if not n.startswith("head.")}
            network.load_state_dict(weights, strict=False)
        supervised = _DeepSupervision(network, MaskedSlices(examples.mask)).to(device)
        _learn(supervised, examples, settings, on_step, device)
    return network.cpu().eval().requires_grad_(requires_grad=False)


def _learn(
    supervised: "_DeepSupervision",
    examples: CohortExamples,
    settings: LearningSettings,
    on_step: OnStep,
    device: str,
) -> None:
    optimiser = torch.optim.AdamW(
        supervised.parameters(), settings.rate, weight_decay=settings.weight_decay
    )
    rng = np.random.default_rng(settings.seed)
    examples_by_step = batches(
        examples, settings.batch, settings.average_volumes, settings.mixed, rng
    )
    inputs, states = next(examples_by_step)
    for step in range(settings.steps):
        progress = step / settings.steps
        warm_up = min(1.0, (step + 1) / min(100, max(1, settings.steps // 5)))
        rate = settings.rate * warm_up * (0.5 + 0.5 * math.cos(math.pi * progress))
        for group in optimiser.param_groups:
            group["lr"] = rate
        label = torch.from_numpy(states).to(device)
        with torch.autocast(device, torch.bfloat16, enabled=settings.bfloat16):
            logits, direct = supervised(torch.from_numpy(inputs).to(device))
        loss = functional.cross_entropy(logits.float(), label)
        total_loss = loss + functional.cross_entropy(direct.float(), label)
        optimiser.zero_grad()
        total_loss.backward()
        if not torch.isfinite(nn.utils.clip_grad_norm_(supervised.parameters(), 1.0)):
            raise RunError(
                f"step {step + 1}: the gradient is not finite; "
                + ("try without bfloat16" if settings.bfloat16 else "try a lower rate")
            )
        optimiser.step()
        right = (logits.argmax(dim=1) == label).float().mean()
        mixed = max(1, round(settings.mixed * (1 - 1.3 * progress)))
        on_step(TrainingStep(step + 1, loss.item(), right.item(), mixed))
        if step + 1 < settings.steps:
            inputs, states = examples_by_step.send(mixed)


class _DeepSupervision(nn.Module):
    """The network with its temporary second output layer."""

    def __init__(self, network: DeepLight, slices: MaskedSlices) -> None:
        super().__init__()
        self.network = network.eval()  # without dropout, which does not help in few steps
        self.slices = slices
        length = network.grid_shape[2] * network.lstm.input_size
        self.even = nn.LayerNorm(length)
        self.direct = nn.Linear(length, network.head.out_features)
        nn.init.zeros_(self.direct.weight)

    def forward(self, volumes: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits (B, K) of the network and of the second layer."""
        slices = torch.cat([self.slices(volume) for volume in volumes])
        sequence = batch_sequences(self.network, self.slices, self.network.conv_features(slices))
        return self.network.head(self.network.sequence_features(sequence)), self.direct(
            self.even(sequence.flatten(1))
        )
