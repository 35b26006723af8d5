"""What `calibration.weights` offers."""

from calibration.weights.download import fetch
from calibration.weights.embedded import EMBEDDED, embedded
from calibration.weights.published import DEEPLIGHT_2D, PUBLISHED, Published, registered
from calibration.weights.store import (
    Description,
    cached,
    describe,
    find_weights,
    import_weights,
    load_deeplight,
    save_deeplight,
)

__all__ = [
    "DEEPLIGHT_2D",
    "EMBEDDED",
    "PUBLISHED",
    "Description",
    "Published",
    "cached",
    "describe",
    "embedded",
    "fetch",
    "find_weights",
    "import_weights",
    "load_deeplight",
    "registered",
    "save_deeplight",
]
