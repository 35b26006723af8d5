"""The training examples: prepared volumes, the network's features of them, and their labels."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from calibration.data.blocks import ClassSpec
from calibration.data.calibration_data import CalibrationData
from calibration.data.labels import MIN_BLOCKS_PER_CLASS, TASK, Labels, label_volumes
from calibration.decoders.prior import LayerPrior, PoolRule
from rtdecode.events import Block
from rtdecode.stages import Space
from rtdecode.types import Bool, Float32, Float64


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Prepared volumes of one or several runs, their features and their labels."""

    prepared: Float32
    """(n, V) prepared volumes, as the decoder will receive them."""
    features: Mapping[int, Float32]
    """Output of the network's layers for each volume, (n, F), by the number of convolutions. The
    default layer comes first; `RECURRENT` is among them."""
    usable: Bool
    """(n,) whether each volume counts as evidence."""
    motion: Float64
    """(n, 6) motion parameters, mm and rad."""
    label: Callable[[float], Labels]
    """Returns the labels of all volumes for a haemodynamic lag in seconds."""
    label_task: Callable[[float], Labels]
    """The same for task against rest."""
    mask: Bool
    """(X, Y, Z) mask of the V voxels."""
    grid_affine: Float64
    """(4, 4) affine of the mask's grid, mm."""
    repetition_time_s: float
    priors: tuple[LayerPrior, ...] = ()
    """Priors from other people's data."""
    pool_rule: PoolRule = field(default_factory=PoolRule)
    """How own data and priors are weighed."""
    notes: tuple[str, ...] = ()
    """Notes on these data for the report."""


def training_examples(
    data: CalibrationData,
    features: Mapping[int, Float32],
    spec: ClassSpec,
    space: Space,
    repetition_time_s: float,
    *,
    rest: bool,
    priors: tuple[LayerPrior, ...] = (),
    pool_rule: PoolRule | None = None,
) -> Examples:
    """Return the examples that a decoder is fitted to.

    Parameters
    ----------
    data
        The calibration data of all runs.
    features
        See `Examples.features`.
    spec
        Which trial types are decoded.
    space
        The voxels of the prepared volumes.
    repetition_time_s
        Of all runs.
    rest
        Whether rest is a class.
    priors
        Priors from other people's data. With one, a single block of each class is enough.
    pool_rule
        How own data and priors are weighed; None: the default.
    """
    least = 1 if priors else MIN_BLOCKS_PER_CLASS
    times = [data.acquired_s[data.run == run] for run in range(len(data.blocks))]
    task = ClassSpec((TASK,), dict.fromkeys(spec.of, TASK))
    return Examples(
        prepared=data.prepared,
        features=features,
        usable=data.usable,
        motion=data.motion,
        label=lambda lag_s: label_volumes(
            data.blocks, times, spec, lag_s, rest=rest, min_blocks=least
        ),
        label_task=lambda lag_s: label_volumes(data.blocks, times, task, lag_s, rest=True),
        mask=space.mask,
        grid_affine=space.grid_affine,
        repetition_time_s=repetition_time_s,
        priors=priors,
        pool_rule=pool_rule or PoolRule(),
        notes=(
            *_note_other_types(data.blocks, spec),
            *(f"prior: {one.name}, from {one.origin}" for one in priors),
        ),
    )


def _note_other_types(runs: Sequence[Sequence[Block]], spec: ClassSpec) -> tuple[str, ...]:
    others = Counter(b.trial_type for blocks in runs for b in blocks if b.trial_type not in spec.of)
    counts = ", ".join(f"{name} ({count})" for name, count in sorted(others.items()))
    return (f"left out by --classes: blocks of {counts}",) if others else ()
