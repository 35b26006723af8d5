"""A decoder that is not what was judged is not written."""

import numpy as np
import pytest

from calibration.bundling import rehearse
from rtdecode.errors import RunError


def test_a_decoder_that_decides_what_it_was_fitted_to_passes(made) -> None:
    """As the calibration's own does."""
    labels = made.fitted.fitted.labels
    rehearse(made.fitted.fitted, labels.label, np.arange(len(labels.label)))


@pytest.mark.parametrize("decided", [-1, 2])
def test_a_decoder_that_decides_none_of_it_is_refused(made, decided) -> None:
    """Whether it never decides or always wrongly: both figures are told."""
    labels = made.fitted.fitted.labels
    silent = np.full(len(labels.label), decided)
    with pytest.raises(RunError, match="decides 0% of the volumes that it was fitted to"):
        rehearse(made.fitted.fitted, silent, np.arange(len(silent)))
