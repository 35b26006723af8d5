"""What calibration adds to a bundle after it can be served.

A person waits in the scanner: the bundle is written as soon as it can decode. Comparisons, the
report and the data for the next calibration follow. Nothing in a supplement changes a decision, and
the digest of the bundle stays the same.
"""

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from rtdecode.errors import BundleError
from rtdecode.metrics import Compared

FILE = "supplement.json"


@dataclass(frozen=True, slots=True)
class Supplement:
    """Additions to one manifest."""

    digest: str
    """The digest of the bundle that this belongs to."""
    parity: dict[str, float]
    """The largest differences between torch and ONNX Runtime over the whole calibration run."""
    comparison: tuple[Compared, ...] = ()
    """Candidates, baselines and controls on the same held-out blocks."""
    notes: tuple[str, ...] = ()
    """What the operator should know of the figures, the manifest's notes included."""
    files: dict[str, str] = field(default_factory=dict)
    """The SHA-256 of every file that was added."""


def read_supplement(path: Path, digest: str) -> Supplement | None:
    """Return the supplement of a bundle, or `None` where calibration has written none (yet).

    Raises
    ------
    BundleError
        It cannot be read, or belongs to another bundle.
    """
    file = path / FILE
    if not file.is_file():
        return None
    try:
        supplement = msgspec.json.decode(file.read_bytes(), type=Supplement)
    except (OSError, msgspec.ValidationError, msgspec.DecodeError) as error:
        raise BundleError(
            f"{file}: not a valid supplement: {error}; remove it, or calibrate again"
        ) from error
    if supplement.digest != digest:
        raise BundleError(
            f"{file}: belongs to bundle {supplement.digest}, and {path} is bundle {digest}; copy "
            "the whole folder again"
        )
    return supplement


def write_supplement(path: Path, supplement: Supplement) -> None:
    """Write a supplement, whole or not at all; the files that it names are there already."""
    scratch = path / f"{FILE}.part"
    scratch.write_bytes(msgspec.json.format(msgspec.json.encode(supplement)))
    scratch.replace(path / FILE)
