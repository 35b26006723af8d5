"""What a bundle keeps of its calibration, so that the next one forgets nothing."""

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
class Kept:
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
    """Of each run, every trial type."""
    fingerprints: tuple[str, ...]
    """Of each run, by which it is known again."""

    @classmethod
    def of(
        cls, runs: Sequence[tuple[Sequence[Volume], Sequence[Prepared], tuple[Block, ...]]]
    ) -> Self:
        """Gather what was prepared."""
        every = [one for _, prepared, _ in runs for one in prepared]
        return cls(
            prepared=np.stack([one.data for one in every]),
            usable=np.array([one.quality.usable for one in every]),
            motion=np.stack([one.motion.as_array() for one in every]),
            framewise_displacement=np.array([o.quality.framewise_displacement for o in every]),
            dvars=np.array([one.quality.dvars for one in every]),
            run=np.repeat(np.arange(len(runs)), [len(prepared) for _, prepared, _ in runs]),
            acquired_s=np.array([v.acquired_s for volumes, _, _ in runs for v in volumes]),
            blocks=tuple(blocks for _, _, blocks in runs),
            fingerprints=tuple(fingerprint(volumes) for volumes, _, _ in runs),
        )

    @classmethod
    def load(cls, bundle: Bundle) -> Self:
        """Read what an earlier calibration kept.

        Raises
        ------
        ConfigError
            It kept nothing: it was zero-shot.
        """
        path = bundle.path / FILE
        if FILE not in bundle.manifest.files:
            raise ConfigError(
                f"--from {bundle.path}: it holds no calibration data (zero-shot?); calibrate anew"
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
        """Write it; prepared volumes in half precision, which is finer than their noise."""
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

    def followed_by(self, later: Self) -> Self:
        """Return both, the later's runs numbered after the earlier's."""
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
    """Return what tells a run from every other: a digest of its first and last image."""
    digest = hashlib.sha256()
    for volume in (volumes[0], volumes[-1]):
        digest.update(volume.data.tobytes())
    return digest.hexdigest()[:16]
