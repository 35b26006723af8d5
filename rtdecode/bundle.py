"""Bundles: a compiled decoder on disk, verified when it is loaded.

A bundle is a folder: `manifest.json`, which names every other file with its SHA-256,
`decoder.onnx`, `reference.nii.gz` (the calibration run's mean EPI), `mask.nii.gz` (the decoder's
voxels), `sampling.npz` (their coordinates in the reference EPI), `initial_state.npz`. A supplement
(`rtdecode.supplement`) adds files that decisions do not need: `report.html` and, if the decoder was
fitted to a person, `calibration.npz` for the next calibration.
"""

import hashlib
import math
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import msgspec
import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError

from rtdecode.errors import BundleError
from rtdecode.metrics import Metrics, ReadOutKind
from rtdecode.stages import PreparationSettings, Space
from rtdecode.supplement import Supplement, read_supplement, write_supplement
from rtdecode.types import State

SCHEMA = 1
MANIFEST = "manifest.json"
DECODER = "decoder.onnx"
REQUIRED = (DECODER, "reference.nii.gz", "mask.nii.gz", "sampling.npz", "initial_state.npz")
MAX_MANIFEST_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Tensor:
    """A state of the decoder's graph: the input `<name>`, replaced by the output `<name>_next`."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Provenance:
    """The origin of the decoder: code, weights and data."""

    code_version: str
    weights: str
    weights_sha256: str
    registration: str
    registration_overlap: float
    n_calibration_runs: int
    n_calibration_volumes: int
    seed: int
    data_sha256: str
    """Digest of the calibration run's voxels and affines."""
    libraries: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Manifest:
    """The content of a bundle; names of scalars end with their unit."""

    name: str
    classes: tuple[str, ...]
    repetition_time_s: float
    kind: str
    """The kind of decoder: `zero-shot`, or the name of the selected decoder."""
    rule: str
    """The rule by which it was selected, and its result."""
    window_volumes: int
    """Length of the decision window; with a filter, its dwell time in volumes."""
    temperature: float
    fast_retention: float
    """Factor by which a volume's weight falls with each later volume in the fast read-out."""
    none_threshold: float
    """Smallest maximum probability that gives a label; 0: every decision has a label."""
    haemodynamic_lag_s: float
    source_shape: tuple[int, int, int]
    """Matrix of the calibration run's EPI."""
    model_shape: tuple[int, int, int]
    model_affine: tuple[tuple[float, ...], ...]
    """Decoder grid voxel to MNI millimetres, RAS+."""
    preparation: PreparationSettings
    state: tuple[Tensor, ...]
    parity: dict[str, float]
    """Largest differences between torch and ONNX Runtime over the calibration run."""
    provenance: Provenance
    metrics: Metrics | None = None
    """`None`: the decoder was not fitted to this person, so there are no held-out data."""
    read_out: ReadOutKind = "window"
    """The source of `probabilities` and `label`; earlier manifests have the window only."""
    dwell_s: float | None = None
    """Expected duration of a class in the filter; `None`: there is no filter."""
    files: dict[str, str] = field(default_factory=dict)
    """SHA-256 of every other file."""
    schema: int = SCHEMA


class _Schema(msgspec.Struct):
    """The field that manifests of every schema have."""

    schema: int


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """A verified bundle in memory."""

    path: Path
    manifest: Manifest
    digest: str
    """First twelve digits of the SHA-256 of the manifest, which covers every file."""
    decoder: bytes
    """The verified bytes of `decoder.onnx`, which the engine runs."""
    space: Space
    initial_state: State


def write(path: Path, manifest: Manifest, decoder: Path, space: Space, initial: State) -> Bundle:
    """Write a bundle and load it; after an error nothing is left.

    Parameters
    ----------
    path
        A folder that does not exist yet.
    manifest
        With empty `files`; they are filled in here.
    decoder
        The exported `decoder.onnx`.
    space, initial
        Reference, mask and sampling coordinates; the state at the start of a run.

    Raises
    ------
    BundleError
        `path` exists already.
    """
    if path.exists():
        raise BundleError(f"{path}: already exists; choose another --out or remove it first")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".bundle-") as scratch:
        folder = Path(scratch) / "bundle"
        folder.mkdir()
        shutil.copyfile(decoder, folder / DECODER)
        reference = nib.Nifti1Image(np.asarray(space.reference), space.reference_affine)
        nib.save(reference, folder / "reference.nii.gz")
        mask = nib.Nifti1Image(space.mask.astype(np.uint8), space.grid_affine)
        nib.save(mask, folder / "mask.nii.gz")
        np.savez(folder / "sampling.npz", coordinates_mm=space.coordinates_mm)
        np.savez(folder / "initial_state.npz", allow_pickle=False, **initial)
        files = {name: _file_sha256(folder / name) for name in REQUIRED}
        complete = msgspec.json.encode(replace(manifest, files=files))
        (folder / MANIFEST).write_bytes(msgspec.json.format(complete))
        # Verified before it is renamed: a bundle at `path` is always valid.
        written = load(folder)
        return replace(written, path=folder.rename(path))


def add(bundle: Bundle, supplement: Supplement, files: Mapping[str, Path]) -> Bundle:
    """Add files that decisions do not need to a bundle, which may be in use.

    Parameters
    ----------
    bundle
        The bundle.
    supplement
        With empty `files`; they are filled in here.
    files
        The files to add, by their names in the bundle.
    """
    for name, file in files.items():
        shutil.copyfile(file, bundle.path / name)
    sums = {name: _file_sha256(bundle.path / name) for name in files}
    write_supplement(bundle.path, replace(supplement, files=sums))
    return load(bundle.path)


def withdraw(bundle: Bundle) -> Path:
    """Rename a bundle that must not be served, and return its new path."""
    withdrawn = bundle.path.with_name(f"{bundle.path.name}.withdrawn")
    number = 1
    while withdrawn.exists():
        number += 1
        withdrawn = bundle.path.with_name(f"{bundle.path.name}.withdrawn-{number}")
    return bundle.path.rename(withdrawn)


def load(path: Path | str) -> Bundle:
    """Verify and load a bundle.

    Raises
    ------
    BundleError
        The message names every missing, altered or unreadable file.
    """
    path = Path(path)
    manifest, digest = read_manifest(path)
    # Read once, so that the verified bytes are the ones that run.
    decoder = (path / DECODER).read_bytes() if (path / DECODER).is_file() else b""
    if problems := _problems(path, manifest, decoder):
        raise BundleError(problems)
    try:
        return Bundle(
            path=path,
            manifest=manifest,
            digest=digest,
            decoder=decoder,
            space=_load_space(path, manifest),
            initial_state=_load_arrays(path / "initial_state.npz"),
        )
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, ImageFileError) as error:
        raise BundleError(f"{path}: cannot be read: {error}; calibrate again") from error


def read_manifest(path: Path) -> tuple[Manifest, str]:
    """Return a bundle's manifest and digest, without loading the rest.

    A supplement completes the manifest.

    Raises
    ------
    BundleError
        It is missing, invalid or of another schema.
    """
    file = path / MANIFEST
    if not file.is_file():
        raise BundleError(f"{file}: missing; {path} is not a bundle (see rtdecode calibrate)")
    if file.stat().st_size > MAX_MANIFEST_BYTES:
        raise BundleError(f"{file}: larger than {MAX_MANIFEST_BYTES} bytes, so not a manifest")
    content = file.read_bytes()
    try:
        # The schema first: another schema may have other fields.
        schema = msgspec.json.decode(content, type=_Schema).schema
        manifest = msgspec.json.decode(content, type=Manifest) if schema == SCHEMA else None
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise BundleError(f"{file}: not a valid manifest: {error}") from error
    if manifest is None:
        raise BundleError(
            f"{file}: schema {schema}, this rtdecode reads {SCHEMA}; "
            "calibrate again, or use the rtdecode version that wrote it"
        )
    digest = hashlib.sha256(content).hexdigest()[:12]
    supplement = read_supplement(path, digest)
    if supplement is None:
        return manifest, digest
    metrics = manifest.metrics
    if metrics is not None:
        metrics = replace(metrics, comparison=supplement.comparison, notes=supplement.notes)
    files = {**manifest.files, **supplement.files}
    return replace(manifest, parity=supplement.parity, metrics=metrics, files=files), digest


def _problems(path: Path, manifest: Manifest, decoder: bytes) -> list[str]:
    file = path / MANIFEST
    problems = [f"{file}: does not name {name}" for name in REQUIRED if name not in manifest.files]
    for name, expected in manifest.files.items():
        if Path(name).name != name:
            problems.append(f"{file}: {name!r} is not a plain file name")
        elif not (path / name).is_file():
            problems.append(f"{path / name}: missing; copy the whole folder again")
        elif expected != (
            hashlib.sha256(decoder).hexdigest() if name == DECODER else _file_sha256(path / name)
        ):
            problems.append(f"{path / name}: altered since calibration; copy it again")
    if len(manifest.classes) < 2:
        problems.append(f"{file}: a decoder needs at least two classes")
    if not (math.isfinite(manifest.repetition_time_s) and manifest.repetition_time_s > 0):
        problems.append(f"{file}: repetition_time_s must be positive")
    if (manifest.read_out == "filter") != (manifest.dwell_s is not None):
        problems.append(f"{file}: dwell_s is for a filter only, which needs it")
    return problems


def _load_space(path: Path, manifest: Manifest) -> Space:
    reference = nib.Nifti1Image.from_filename(path / "reference.nii.gz")
    mask = nib.Nifti1Image.from_filename(path / "mask.nii.gz")
    if tuple(mask.shape) != manifest.model_shape:
        raise ValueError(f"mask {mask.shape} is not on the decoder's grid {manifest.model_shape}")
    return Space(
        reference=np.asarray(reference.dataobj, dtype=np.float32),
        reference_affine=np.asarray(reference.affine, dtype=np.float64),
        mask=np.asarray(mask.dataobj) > 0,
        grid_affine=np.array(manifest.model_affine, dtype=np.float64),
        coordinates_mm=_load_arrays(path / "sampling.npz")["coordinates_mm"],
    )


def _load_arrays(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
