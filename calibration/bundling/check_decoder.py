"""Refuse an exported decoder that does not reproduce what was evaluated."""

import numpy as np
from numpy.typing import NDArray

from calibration.bundling.bundle_content import BundleContent
from calibration.decoders.fit import FittedDecoder
from calibration.decoders.fit_read_out import apply_read_out
from rtdecode.errors import RunError

MIN_SHARE_OF_HELD_OUT = 0.5
"""Share of the held-out accuracy that the decoder must reach on the data it was fitted to."""


def check_training_accuracy(
    fitted: FittedDecoder, decided: NDArray[np.int64], rows: NDArray[np.int64]
) -> None:
    """Refuse a decoder that is much worse on its training data than on held-out blocks.

    Parameters
    ----------
    fitted
        The evaluated decoder.
    decided
        The class decided at each of some volumes, -1 for none.
    rows
        The row numbers of these volumes.

    Raises
    ------
    RunError
        The decoder is not the one that was evaluated.
    """
    labels = fitted.labels.take(rows)
    correct = (decided == labels.label)[labels.chosen]
    expected = fitted.metrics.accuracy.window
    if len(correct) and correct.mean() < MIN_SHARE_OF_HELD_OUT * expected:
        raise RunError(
            f"refused: the compiled decoder decodes {correct.mean():.0%} of the volumes that it "
            f"was fitted to, but {expected:.0%} in held-out folds: it is not the decoder that was "
            "evaluated; calibrate again with --decoder deep or linear, and report this error"
        )


def training_decisions(fitted: FittedDecoder, content: BundleContent) -> NDArray[np.int64]:
    """Return the class that heads and read-out decide at each training volume, -1 for none."""
    labels = fitted.labels
    usable = np.ones(len(labels.label), bool) if content.data is None else content.data.usable
    evidence = {
        name: head.log_probabilities(fitted.candidates[name].features)
        for name, head in fitted.heads.items()
    }
    read_out = fitted.read_outs.chosen
    served = apply_read_out(
        read_out,
        fitted.chosen.combine(evidence),
        labels,
        usable,
        content.runs[0][0].repetition_time_s,
    )
    sure = np.exp(served.max(axis=1)) >= read_out.none_threshold
    return np.where(sure, served.argmax(axis=1), -1)
