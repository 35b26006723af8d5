"""Held-out performance of a decoder."""

from calibration.decoders.evaluate.figures import (
    accuracy,
    least_right,
    log_loss,
    metrics,
    read_out_figures,
)
from calibration.decoders.evaluate.folds import GUARD_S, Fold, describe, folds, held_out
from calibration.decoders.evaluate.inner_folds import inner_splits
from calibration.decoders.evaluate.permutation import PermutationTest, permutation_test
from calibration.decoders.evaluate.streams import filtered, windows
from rtdecode.metrics import Verdict, verdict

__all__ = [
    "GUARD_S",
    "Fold",
    "PermutationTest",
    "Verdict",
    "accuracy",
    "describe",
    "filtered",
    "folds",
    "held_out",
    "inner_splits",
    "least_right",
    "log_loss",
    "metrics",
    "permutation_test",
    "read_out_figures",
    "verdict",
    "windows",
]
