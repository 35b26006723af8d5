"""Published and trained weights; pickles are never executed, and the import is fast."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

# Light; and the function has its module's name, which would be found in its place.
from calibration.weights.embedded import EMBEDDED as EMBEDDED
from calibration.weights.embedded import embedded as embedded

if TYPE_CHECKING:
    from calibration.weights.public import *  # noqa: F403 - its `__all__`


def __getattr__(name: str) -> Any:
    """Import public names on first use; the help of the commands does not need them."""
    return getattr(import_module("calibration.weights.public"), name)
