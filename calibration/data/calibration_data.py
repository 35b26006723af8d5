"""The calibration data that a bundle stores for the next calibration."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from rtdecode.bundle import Bundle
from rtdecode.errors import ConfigError
from rtdecode.events import Block
from rtdecode.types import Bool, Float32, Float64, Prepared, Volume

FILE = "calibration.npz"


@dataclass(frozen=True, slots=True, eq=False)
class CalibrationData:
    """Prepared volumes of one or several runs, and their blocks."""

    prepared: Float32
    """(n, V)"""
    usable: Bool
    """(n,)"""
    motion: Float64
    """(n, 6), mm and rad."""
    framewise_displacement: Float64
    """(n,) mm"""
    dvars: Float64
    """(n,) %"""
    run: NDArray[np.int64]
    """(n,) from 0."""
    acquired_s: Float64
    """(n,) seconds from the run's first volume."""
    blocks: tuple[tuple[Block, ...], ...]
    """The blocks of each run, with every trial type."""
    fingerprints: tuple[str, ...]
    """The digest of each run, which identifies it."""

    @classmethod
    def from_runs(
        cls, runs: Sequence[tuple[Sequence[Volume], Sequence[Prepared], tuple[Block, ...]]]
    ) -> Self:
        """Collect the prepared volumes and blocks of runs."""
        volumes = [volume for _, prepared, _ in runs for volume in prepared]
        return cls(
            prepared=np.stack([volume.data for volume in volumes]),
            usable=np.array([volume.quality.usable for volume in volumes]),
            motion=np.stack([volume.motion.as_array() for volume in volumes]),
            framewise_displacement=np.array([v.quality.framewise_displacement for v in volumes]),
            dvars=np.array([volume.quality.dvars for volume in volumes]),
            run=np.repeat(np.arange(len(runs)), [len(prepared) for _, prepared, _ in runs]),
            acquired_s=np.array([volume.acquired_s for run, _, _ in runs for volume in run]),
            blocks=tuple(blocks for _, _, blocks in runs),
            fingerprints=tuple(fingerprint(run) for run, _, _ in runs),
        )

    @classmethod
    def load(cls, bundle: Bundle) -> Self:
        """Read the calibration data of a bundle.

        Raises
        ------
        ConfigError
            The bundle has none: it is zero-shot.
        """
        path = bundle.path / FILE
        if FILE not in bundle.manifest.files:
            raise ConfigError(
                f"--from {bundle.path}: it holds no calibration data (zero-shot?); "
                "calibrate without --from"
            )
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        blocks = msgspec.json.decode(
            arrays.pop("blocks").tobytes(), type=tuple[tuple[Block, ...], ...]
        )
        fingerprints = tuple(map(str, arrays.pop("fingerprints")))
        arrays["prepared"] = arrays["prepared"].astype(np.float32)
        return cls(blocks=blocks, fingerprints=fingerprints, **arrays)

    def save(self, path: Path) -> None:
        """Write the data; prepared volumes in half precision, which is finer than their noise."""
        blocks = msgspec.json.encode([[asdict(b) for b in blocks] for blocks in self.blocks])
        np.savez_compressed(
            path,
            prepared=self.prepared.astype(np.float16),
            usable=self.usable,
            motion=self.motion,
            framewise_displacement=self.framewise_displacement,
            dvars=self.dvars,
            run=self.run,
            acquired_s=self.acquired_s,
            blocks=np.frombuffer(blocks, np.uint8),
            fingerprints=np.array(self.fingerprints),
        )

    def concatenate(self, later: Self) -> Self:
        """Return these data followed by later runs, which are numbered after these."""
        return type(self)(
            prepared=np.concatenate([self.prepared, later.prepared]),
            usable=np.concatenate([self.usable, later.usable]),
            motion=np.concatenate([self.motion, later.motion]),
            framewise_displacement=np.concatenate(
                [self.framewise_displacement, later.framewise_displacement]
            ),
            dvars=np.concatenate([self.dvars, later.dvars]),
            run=np.concatenate([self.run, later.run + len(self.blocks)]),
            acquired_s=np.concatenate([self.acquired_s, later.acquired_s]),
            blocks=(*self.blocks, *later.blocks),
            fingerprints=(*self.fingerprints, *later.fingerprints),
        )


def fingerprint(volumes: Sequence[Volume]) -> str:
    """Return a digest of a run's first and last image, which identifies the run."""
    digest = hashlib.sha256()
    for volume in (volumes[0], volumes[-1]):
        digest.update(volume.data.tobytes())
    return digest.hexdigest()[:16]
