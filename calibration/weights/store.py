"""Weights on disk: published pickles are read once and stored as safetensors."""

import hashlib
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from calibration.weights.embedded import EMBEDDED, embedded
from calibration.weights.pickled import read_arrays
from calibration.weights.published import DEEPLIGHT_2D, Published, registered
from rtdecode.errors import ConfigError

if TYPE_CHECKING:
    # torch takes seconds to import, and `rtdecode weights list` needs none of it.

    from calibration.networks import DeepLight

FORMAT = "rtdecode-deeplight-1"


@dataclass(frozen=True, slots=True)
class Description:
    """The metadata of a weights file."""

    grid_shape: tuple[int, int, int]
    states: tuple[str, ...]
    source: str
    """Digest of the published file that these weights are, or where they were trained."""
    grid_affine: tuple[tuple[float, ...], ...] = DEEPLIGHT_2D.affine
    """Voxel of the grid to MNI millimetres, RAS+, (4, 4)."""
    layers: tuple[int, ...] = (10, 8, 12)
    """Numbers of convolutions after which a person's head may read, 0 for the recurrent features;
    the first is the default."""
    smoothing_fwhm_mm: float = 3.0
    """Smoothing of the training volumes, mm."""


def cache_folder() -> Path:
    """Return the folder of this user's cache for weights."""
    return Path(platformdirs.user_cache_dir("rtdecode")) / "weights"


def cached(name: str, folder: Path | None = None) -> Path:
    """Return the cached safetensors of published weights.

    Parameters
    ----------
    name
        A name of the register, such as `deeplight-2d`.
    folder
        Where to look; this user's cache unless given.

    Raises
    ------
    ConfigError
        The name is unknown, or the weights are not there; the message says how to get them.
    """
    path = (folder or cache_folder()) / f"{registered(name).name}.safetensors"
    if not path.is_file():
        raise ConfigError(
            f"the weights {name} are not on this machine: run `rtdecode weights fetch {name}`, or "
            "`rtdecode weights import FILE` with a file that you have. Shipped with rtdecode, but "
            f"learnt from simulated people only: {', '.join(EMBEDDED)}"
        )
    return path


def find_weights(weights: str) -> Path:
    """Return the file of weights that are given by their name or as a file.

    Raises
    ------
    ConfigError
        They are not on this machine.
    """
    path = Path(weights)
    if path.is_file():
        return path
    return embedded(weights) if weights in EMBEDDED else cached(weights)


def import_weights(path: Path, folder: Path | None = None, entry: Published = DEEPLIGHT_2D) -> Path:
    """Check a published file by its digest and keep it as safetensors in the cache.

    Parameters
    ----------
    path
        The file as its authors published it.
    folder
        Where to keep the result; this user's cache unless given.
    entry
        Which published weights it must be.

    Returns
    -------
    Path
        The safetensors file; one of that name is replaced.

    Raises
    ------
    ConfigError
        The file cannot be read, or is another.
    """
    network = load_published(path, entry)
    target = (folder or cache_folder()) / f"{entry.name}.safetensors"
    source = f"sha256:{entry.sha256}"
    save_deeplight(network, target, Description(entry.grid_shape, entry.states, source))
    return target


def load_deeplight(path: Path | str) -> "DeepLight":
    """Return a DeepLight in evaluation mode: (B, X, Y, Z) float32 -> (B, states) logits.

    Parameters
    ----------
    path
        The published `.npy`, known by its digest, or a `.safetensors` of `save_deeplight`.

    Raises
    ------
    ConfigError
        The file cannot be read, or is neither.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        return load_published(path, DEEPLIGHT_2D)
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from calibration.networks import DeepLight

    about = describe(path)
    network = DeepLight(about.grid_shape, len(about.states))
    try:
        network.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError) as error:
        raise ConfigError(f"{path.name} does not hold the network it describes: {error}") from error
    return network.eval()


def load_published(path: Path, entry: Published) -> "DeepLight":
    """Return the network of a published pickle, in evaluation mode.

    Raises
    ------
    ConfigError
        The file cannot be read, or its digest is not `entry`'s.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read the weights file {path}: {error.strerror}") from error
    check_digest(hashlib.sha256(content).hexdigest(), entry, path.name)
    from calibration.weights.tensorflow import network_of

    return network_of(read_arrays(content, path.name), entry.grid_shape)


def check_digest(found: str, entry: Published, source: str) -> None:
    """Compare a file's SHA-256 with the register's.

    Raises
    ------
    ConfigError
        They differ.
    """
    if found != entry.sha256:
        raise ConfigError(
            f"{source} is not the published {entry.name}: its sha256 is {found}, expected "
            f"{entry.sha256}. Download {entry.url} and run `rtdecode weights import FILE`"
        )


def save_deeplight(network: "DeepLight", path: Path, about: Description) -> None:
    """Write a network as safetensors, whole or not at all; folders are made.

    Parameters
    ----------
    network
        Any DeepLight with its linear head.
    path
        The `.safetensors` to write.
    about
        What the file is to say about itself.
    """
    from safetensors.torch import save

    metadata = {
        "format": FORMAT,
        "grid_shape": json.dumps(about.grid_shape),
        "grid_affine": json.dumps(about.grid_affine),
        "states": json.dumps(about.states),
        "layers": json.dumps(about.layers),
        "smoothing_fwhm_mm": json.dumps(about.smoothing_fwhm_mm),
        "source": about.source,
    }
    tensors = {name: value.contiguous() for name, value in network.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    partial.write_bytes(save(tensors, metadata))
    partial.replace(path)


def describe(path: Path) -> Description:
    """Return the metadata of a `.safetensors` file of `save_deeplight`.

    Raises
    ------
    ConfigError
        The file cannot be read, or something else wrote it.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ConfigError(f"cannot read the weights file {path}: {error}") from error
    if metadata.get("format") != FORMAT:
        raise ConfigError(
            f"{path.name} was not written by rtdecode (its format is {metadata.get('format')!r}, "
            f"expected {FORMAT!r}): import the published file with `rtdecode weights import FILE`"
        )
    x, y, z = json.loads(metadata["grid_shape"])
    plain = Description((x, y, z), tuple(json.loads(metadata["states"])), metadata["source"])
    if "grid_affine" not in metadata:  # imported before files said so: the published ones
        return plain
    return replace(
        plain,
        grid_affine=tuple(tuple(row) for row in json.loads(metadata["grid_affine"])),
        layers=tuple(json.loads(metadata["layers"])),
        smoothing_fwhm_mm=float(json.loads(metadata.get("smoothing_fwhm_mm", "3.0"))),
    )
