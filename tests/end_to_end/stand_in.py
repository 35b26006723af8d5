"""A tiny deterministic decoder, a tiny scanner, and a program that serves with them.

Run as a script it is a service in a process of its own, for tests that kill it::

    python stand_in.py SESSION SOURCE VOLUMES [DIE_AT [INGEST]]

It prints its endpoints as JSON when ready, and kills itself in the middle of volume DIE_AT.
"""

import json
import os
import signal
import sys
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from rtdecode.service import Endpoints, ServiceSettings, serve
from rtdecode.types import Decision, Motion, Outcome, Quality, Skipped, State, Volume

MR = "1.2.840.10008.5.1.4.1.1.4"


class StandIn:
    """A decoder: softmax of a leaky average of each volume's quarters."""

    bundle_digest = "feedbeef0123"
    protocol = None
    classes = ("rest", "left hand", "right hand", "tongue")
    repetition_time_s = 1.5

    def __init__(self, die_at: int = -1) -> None:
        self._evidence = np.zeros(4)
        self._seen = 0
        self._die_at = die_at

    def step(self, item: Volume | Skipped) -> Outcome:
        """Return an outcome, or kill the process."""
        if item.index == self._die_at:
            os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
        if isinstance(item, Skipped):
            return item
        quarters = np.array_split(np.asarray(item.data, dtype=np.float64).ravel(), 4)
        self._evidence = 0.7 * self._evidence + np.array([q.mean() for q in quarters]) / 100
        self._seen += 1
        weights = np.exp(self._evidence - self._evidence.max())
        probabilities = tuple(float(p) for p in weights / weights.sum())
        moved = float(abs(np.sin(item.index)) * 0.3)
        return Decision(
            index=item.index,
            probabilities=probabilities,
            fast=probabilities,
            label=self.classes[int(np.argmax(probabilities))],
            window_volumes=min(self._seen, 10),
            motion=Motion(trans_x=moved),
            quality=Quality(moved, 1.0, float("nan") if self._seen < 2 else 50.0, 0.0, usable=True),
            bundle=self.bundle_digest,
            acquired_s=item.acquired_s,
            stamps=replace(item.stamps, decided_ns=item.stamps.parsed_ns + 1),
        )

    def state(self) -> State:
        """Return the average so far."""
        return {"evidence": self._evidence.copy(), "seen": np.array(self._seen)}

    def restore(self, state: State) -> None:
        """Continue from a state."""
        self._evidence, self._seen = state["evidence"].copy(), int(state["seen"])

    def warm_up(self) -> None:
        """Do nothing: there is nothing to prepare."""


class Scanner:
    """One series. Each method returns the bytes of one object."""

    def __init__(self, series: int = 5, seed: int = 7) -> None:
        self.series = series
        self.uid = generate_uid(entropy_srcs=[f"series {series} {seed}"])
        self._rng = np.random.default_rng(seed)
        self._volumes: dict[int, np.ndarray] = {}

    def volume(self, index: int) -> np.ndarray:
        """Return scanned voxels, (slices, rows, columns); the same for the same index."""
        while index not in self._volumes:
            drawn = self._rng.integers(0, 300, (4, 8, 8)).astype("<u2")
            self._volumes[len(self._volumes)] = drawn
        return self._volumes[index]

    def slice(self, index: int, at: int) -> bytes:
        """Return one slice of a Philips series."""
        picture = self.volume(index)[at]
        ds = self._image(picture, index)
        ds.Manufacturer = "Philips Medical Systems"
        ds.InstanceNumber = at * 1000 + index + 1
        ds.TemporalPositionIdentifier = index + 1
        ds.add_new(0x20010010, "LO", "Philips Imaging DD 001")
        ds.add_new(0x20011018, "SL", 4)
        ds.ImagePositionPatient = [-12.0, -12.0, 3.0 * at]
        return self._bytes(ds)

    def mosaic(self, index: int) -> bytes:
        """Return a whole volume as Siemens writes it."""
        slices = self.volume(index)
        picture = np.block([[slices[0], slices[1]], [slices[2], slices[3]]])
        ds = self._image(picture, index)
        ds.Manufacturer = "SIEMENS"
        ds.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
        ds.InstanceNumber = index + 1
        ds.add_new(0x00190010, "LO", "SIEMENS MR HEADER")
        ds.add_new(0x0019100A, "US", 4)
        ds.ImagePositionPatient = [-12.0, -12.0, 0.0]
        return self._bytes(ds)

    def _image(self, picture: np.ndarray, index: int) -> FileDataset:
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = MR
        meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[f"{self.uid} {index}"])
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        ds.SOPClassUID, ds.SOPInstanceUID = MR, meta.MediaStorageSOPInstanceUID
        ds.Modality, ds.ImageType = "MR", ["ORIGINAL", "PRIMARY", "M", "ND"]
        ds.SeriesInstanceUID, ds.SeriesNumber = self.uid, self.series
        ds.AcquisitionNumber = index + 1
        ds.RepetitionTime = 1500.0
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
        ds.Rows, ds.Columns = picture.shape
        ds.PixelSpacing, ds.ImageOrientationPatient = [3.0, 3.0], [1, 0, 0, 0, 1, 0]
        ds.SliceThickness = ds.SpacingBetweenSlices = 3.0
        ds.PixelData = np.ascontiguousarray(picture, dtype="<u2").tobytes()
        return ds

    @staticmethod
    def _bytes(ds: FileDataset) -> bytes:
        buffer = BytesIO()
        ds.save_as(buffer, enforce_file_format=True)
        return buffer.getvalue()


def main() -> int:
    """Serve."""
    session, source, volumes = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    die_at = int(sys.argv[4]) if len(sys.argv) > 4 else -1
    any_port = "tcp://127.0.0.1:*"
    settings = ServiceSettings(
        session=session,
        source=source,
        outcomes=any_port,
        control=any_port,
        ingest=sys.argv[5] if len(sys.argv) > 5 else any_port,
        volumes=volumes,
        checkpoint_volumes=3,
        patience_s=0.2,
        linger_s=0.0,
    )

    def ready(endpoints: Endpoints) -> None:
        addresses = {"outcomes": endpoints.outcomes, "ingest": endpoints.ingest}
        sys.stdout.write(json.dumps(addresses) + "\n")
        sys.stdout.flush()

    summary = serve(settings, StandIn(die_at), on_ready=ready)
    sys.stdout.write(json.dumps({"sha256": summary.outcomes_sha256, "state": summary.state}) + "\n")
    return summary.exit_code


if __name__ == "__main__":
    sys.exit(main())
