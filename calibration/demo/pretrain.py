"""The demo's stand-in for published weights: convolutions that learn from a few simulated people.

From random weights the published architecture learns nothing through its LSTM in a minute. So the
convolutions start near the identity (a Dirac initialisation, as in Zagoruyko and Komodakis 2017),
and learn with a temporary linear output layer after `TrainingSettings.layer` of them. The LSTM and
the head keep their initial values: nothing in the demo uses them.
"""

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from calibration.dataset import Labels
from calibration.demo.group import Recording, grid_affine
from calibration.heads import fit_lda
from calibration.networks import DeepLight, MaskedSlices
from calibration.networks.deeplight import CONVOLUTIONS
from calibration.pretrained import Pretrained
from calibration.progress import Progress
from rtdecode.types import Bool, Float32

Examples = tuple[Float32, NDArray[np.int64]]
"""Averaged volumes (examples, voxels), and each one's class."""
NOISE = 0.1
"""Share of He's random weights on top of the identity."""
INPUT_SCALE = 10.0
"""The output layer's input is scaled by this over the square root of its length."""


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How long the network learns, and how."""

    seconds: float = 25.0
    """Learning ends with the batch in which this time runs out."""
    epochs: int | None = None
    """Learn exactly so many epochs instead: the same figures on every machine."""
    layer: int = 6
    """The temporary output layer reads after so many convolutions; calibration's does too."""
    average: int = 4
    """So many consecutive volumes of a block are averaged into one example."""
    batch: int = 12
    convolution_rate: float = 1e-4
    """AdamW's. A larger step washes the identity away before there is anything in its place."""
    output_rate: float = 0.1
    """Of gradient descent with momentum: AdamW's equal steps for all of 200,000 features learn the
    group by heart, and nothing that holds for anybody else."""


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """What learning gave, without the demo's participant having anything to do with it.

    Accuracies are those of one more person, a stranger to the network, whom the output layer that
    calibration would fit (shrinkage LDA) decodes after having been fitted to the group only.
    """

    epochs: float
    examples: int
    """From the group, averages of a few volumes; each is seen once in an epoch."""
    loss: float
    """Mean cross-entropy over the last epoch's examples (the group's, so no held-out figure)."""
    accuracy_before: float
    """Of the stranger's examples, through the convolutions as they began."""
    accuracy: float
    """The same through the convolutions that have learnt."""
    examples_stranger: int
    chance: float


def pretrain(
    group: Sequence[Recording],
    stranger: Recording,
    mask: Bool,
    settings: TrainingSettings,
    seed: int,
    progress: Progress,
) -> tuple[Pretrained, TrainingReport]:
    """Teach a 4 mm network what the states look like in a few simulated people.

    Parameters
    ----------
    group
        Whom it learns from.
    stranger
        Somebody else, of the same states: what the network makes of this person is reported.
    mask
        The voxels of the recordings, on the network's grid.
    settings
        How long, and how.
    seed
        Of the initial weights and of the order of the examples.
    progress
        Told how many seconds (or epochs) of the budget are spent.
    """
    classes = stranger.labels.classes
    network = initial_network(mask.shape, len(classes), seed)
    learner = _Learner(network, mask, len(classes), settings)
    inputs, labels = examples(group, settings.average)
    strange = examples([stranger], settings.average)
    before = learner.transfer((inputs, labels), strange)
    batches = _batches(len(inputs), settings.batch, np.random.default_rng(seed))
    per_epoch = -(-len(inputs) // settings.batch)
    losses: list[float] = []
    start_s = time.monotonic()
    while not _spent(settings, len(losses) / per_epoch, seconds := time.monotonic() - start_s):
        chosen = next(batches)
        losses.append(learner.learn(inputs[chosen], labels[chosen]))
        if settings.epochs is None:
            progress("learn", int(min(seconds, settings.seconds)), int(settings.seconds))
        else:
            progress("learn", len(losses), settings.epochs * per_epoch)
    report = TrainingReport(
        epochs=len(losses) / per_epoch,
        examples=len(inputs),
        loss=float(np.mean(losses[-per_epoch:])),
        accuracy_before=before,
        accuracy=learner.transfer((inputs, labels), strange),
        examples_stranger=len(strange[0]),
        chance=1 / len(classes),
    )
    network.eval().requires_grad_(requires_grad=False)
    digest = _digest(network)
    layers = (settings.layer,)
    pretrained = Pretrained("demo-4mm", network, classes, grid_affine(), digest, layers)
    return pretrained, report


def initial_network(grid_shape: tuple[int, ...], n_states: int, seed: int) -> DeepLight:
    """Return a network whose convolutions pass their input on, nearly.

    The first layer smooths it a little and passes it on with both signs, for the sake of the
    ReLUs. Of the layers with strides of 2 the first two keep every pixel: each of four neighbours
    moves to a channel of its own (space to depth), so that six layers lose
    nothing but an image's rim.
    """
    columns, rows, slices = grid_shape
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = DeepLight((columns, rows, slices), n_states)
    blur = torch.tensor([1.0, 2.0, 1.0]) / 4
    shrunk = 0
    with torch.no_grad():
        for layer, parameters in zip(CONVOLUTIONS, kernels(network), strict=True):
            outputs, inputs = parameters.shape[:2]
            parameters.normal_(0.0, NOISE * (2 / (9 * inputs)) ** 0.5, generator=generator)
            for channel in range(outputs):
                if inputs == 1:
                    parameters[channel, 0] += (-1) ** channel * torch.outer(blur, blur)
                    continue
                row, column = _neighbour(channel, shrunk) if layer.stride == 2 else (0, 0)
                parameters[channel, channel % inputs, 1 + row, 1 + column] += 1.0
            shrunk += layer.stride == 2
    return network


def kernels(network: DeepLight) -> list[Tensor]:
    """Return the convolutions' weights (outputs, inputs, 3, 3), the first layer's first."""
    return [weight for weight in network.convolutions.parameters() if weight.ndim > 1]


def _neighbour(channel: int, shrunk: int) -> tuple[int, int]:
    """Return which of 2 x 2 neighbours (row, column) a channel takes in a layer of stride 2.

    Channels are pairs of signs; each of the first layer's four pairs serves two channels of the
    first such layer (`shrunk` 0), and each of those two of the second.
    """
    if shrunk == 0:
        return divmod(channel // 2 % 4, 2)
    return channel // 8 % 2, channel // 16 % 2


def examples(group: Sequence[Recording], average: int) -> Examples:
    """Average consecutive volumes of a block.

    Returns
    -------
    (examples, voxels), and each one's class (examples,)
    """
    inputs, labels = [], []
    for one in group:
        for number in np.unique(one.labels.block[one.labels.chosen]):
            inside = np.flatnonzero(one.labels.block == number)
            for start in range(0, len(inside) - average + 1, average):
                inputs.append(one.data[inside[start : start + average]].mean(axis=0))
                labels.append(one.labels.label[inside[0]])
    return np.array(inputs, np.float32), np.array(labels)


class _Learner:
    """The convolutions, a temporary output layer and their optimisers."""

    def __init__(
        self, network: DeepLight, mask: Bool, classes: int, settings: TrainingSettings
    ) -> None:
        self.network = network.eval()  # dropout does not pay in so few steps
        self.layer = settings.layer
        self.classes = classes
        self.slices = MaskedSlices(mask)
        with torch.no_grad():
            features = self.features(np.zeros((1, self.slices.voxels), np.float32)).shape[1]
        self.gain = INPUT_SCALE / features**0.5
        self.output = nn.Linear(features, classes)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)
        convolutions = network.convolutions[: settings.layer].parameters()
        self.optimisers = (
            torch.optim.AdamW(convolutions, settings.convolution_rate),
            torch.optim.SGD(self.output.parameters(), settings.output_rate, momentum=0.9),
        )

    def features(self, volumes: Float32) -> Tensor:
        """Return the features (n, F) of prepared volumes (n, voxels)."""
        slices = torch.cat([self.slices(torch.from_numpy(one)) for one in volumes])
        # As channels last, the convolutions take half the time.
        slices = slices.contiguous(memory_format=torch.channels_last)
        return self.network.conv_features(slices, self.layer).reshape(len(volumes), -1)

    def learn(self, inputs: Float32, labels: NDArray[np.int64]) -> float:
        """Take one step on a batch; return the loss before it."""
        logits = self.output(self.features(inputs) * self.gain)
        loss = functional.cross_entropy(logits, torch.from_numpy(labels))
        loss.backward()
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad()
        return loss.item()

    def transfer(self, group: Examples, stranger: Examples) -> float:
        """Return the accuracy on `stranger` of calibration's output layer, fitted to `group`."""
        head = fit_lda(self._fixed(group[0]), _as_labels(group[1], self.classes))
        decided = head.log_probabilities(self._fixed(stranger[0])).argmax(axis=1)
        return float((decided == stranger[1]).mean())

    def _fixed(self, volumes: Float32) -> Float32:
        with torch.inference_mode():
            return np.concatenate([self.features(volumes[n : n + 1]) for n in range(len(volumes))])


def _as_labels(label: NDArray[np.int64], classes: int) -> Labels:
    """Return labels of examples that belong together in no way, without rest."""
    every = np.arange(len(label))
    return Labels(
        classes=tuple(map(str, range(classes))),
        label=label,
        block=every,
        rest=np.zeros(len(label), dtype=bool),
        run=np.zeros_like(every),
        acquired_s=every.astype(np.float64),
        blocks=(),
        lag_s=0.0,
    )


def _batches(number: int, size: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Yield positions of examples for ever: each once in an epoch, in a new order."""
    while True:
        order = rng.permutation(number)
        yield from (order[start : start + size] for start in range(0, number, size))


def _spent(settings: TrainingSettings, epochs: float, seconds: float) -> bool:
    if settings.epochs is not None:
        return epochs >= settings.epochs
    return epochs > 0 and seconds >= settings.seconds


def _digest(network: DeepLight) -> str:
    """Return a SHA-256 over all weights."""
    digest = hashlib.sha256()
    for name, weight in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(weight.numpy().tobytes())
    return digest.hexdigest()
