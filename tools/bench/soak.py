#!/usr/bin/env python3
"""Serve many volumes at full speed over real sockets, and check that the service does not grow.

Usage: .venv/bin/python tools/bench/soak.py [--volumes 10000]

The service runs in a separate process, with a decoder that only averages. So everything around the
decoder is measured: intake, log, ledger, record and sockets. The test fails if the service's memory
grows by more than 20 MiB after the first tenth of the volumes, or if a thread, a socket or a file
stays open.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np
import psutil
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from rtdecode.client import Control, Outcomes
from rtdecode.player.sinks import IngestSink
from rtdecode.service import Endpoints, ServiceSettings, serve
from rtdecode.types import Decision, Motion, Outcome, Quality, Skipped, State, Volume

ANY_PORT = "tcp://127.0.0.1:*"
MAX_GROWTH_MIB = 20.0
ROWS = 20
TILES, EDGE = 4, 32
"""A mosaic of 4 x 4 slices of 32 x 32: 32 KiB of pixels."""
MR = "1.2.840.10008.5.1.4.1.1.4"


class Averager:
    """A decoder that compares a slow and a fast mean."""

    bundle_digest = "50a150a150a1"
    protocol = None
    classes = ("below", "above")
    repetition_time_s = 1.0

    def __init__(self) -> None:
        self._mean = 0.0

    def step(self, item: Volume | Skipped) -> Outcome:
        """Return the decision for one volume."""
        if isinstance(item, Skipped):
            return item
        value = float(item.data.mean())
        self._mean += 0.1 * (value - self._mean)
        above = 1.0 / (1.0 + math.exp(self._mean - value))
        return Decision(
            index=item.index,
            probabilities=(1.0 - above, above),
            fast=(1.0 - above, above),
            label=self.classes[int(above > 0.5)],
            window_volumes=1,
            motion=Motion(),
            quality=Quality(0.1, 1.0, 50.0, 0.0, usable=True),
            bundle=self.bundle_digest,
            acquired_s=item.acquired_s,
            stamps=replace(item.stamps, decided_ns=time.monotonic_ns()),
        )

    def state(self) -> State:
        """Return the mean."""
        return {"mean": np.array(self._mean)}

    def restore(self, state: State) -> None:
        """Continue from a mean."""
        self._mean = float(state["mean"])

    def warm_up(self) -> None:
        """Do nothing: there is nothing to prepare."""


class Scanner:
    """Makes the mosaics of one series."""

    def __init__(self) -> None:
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = UID(MR)
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        ds.SOPClassUID, ds.Modality, ds.Manufacturer = UID(MR), "MR", "SIEMENS"
        ds.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
        ds.SeriesInstanceUID, ds.SeriesNumber = generate_uid(entropy_srcs=["soak"]), 5
        ds.RepetitionTime = 1000.0
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
        ds.Rows = ds.Columns = TILES * EDGE
        ds.PixelSpacing, ds.ImageOrientationPatient = [6.0, 6.0], [1, 0, 0, 0, 1, 0]
        ds.ImagePositionPatient = [-96.0, -96.0, 0.0]
        ds.SliceThickness = ds.SpacingBetweenSlices = 6.0
        ds.add_new(0x00190010, "LO", "SIEMENS MR HEADER")
        ds.add_new(0x0019100A, "US", TILES * TILES)
        self._ds = ds
        self._rng = np.random.default_rng(11)

    def mosaic(self, index: int) -> bytes:
        """Return one volume."""
        ds, edge = self._ds, TILES * EDGE
        uid = generate_uid(entropy_srcs=[f"soak {index}"])
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = uid
        ds.InstanceNumber = ds.AcquisitionNumber = index + 1
        ds.PixelData = self._rng.integers(0, 999, (edge, edge)).astype("<u2").tobytes()
        buffer = BytesIO()
        ds.save_as(buffer, enforce_file_format=True)
        return buffer.getvalue()


@dataclass(frozen=True)
class Sample:
    """The resources of a process at one moment."""

    volumes: int
    seconds: float
    memory_mib: float
    threads: int
    sockets: int
    files: int

    @classmethod
    def of(cls, process: psutil.Process, volumes: int, seconds: float) -> "Sample":
        """Measure a process."""
        with process.oneshot():
            return cls(
                volumes,
                seconds,
                process.memory_info().rss / 2**20,
                process.num_threads(),
                len(process.net_connections()),
                process.num_handles() if sys.platform == "win32" else process.num_fds(),
            )


def serve_here(session: Path) -> int:
    """Run the service, and print its endpoints as JSON."""

    def ready(endpoints: Endpoints) -> None:
        names = ("control", "outcomes", "ingest")
        print(json.dumps({name: getattr(endpoints, name) for name in names}), flush=True)

    settings = ServiceSettings(
        session, "zmq:", outcomes=ANY_PORT, control=ANY_PORT, ingest=ANY_PORT, linger_s=600.0
    )
    return serve(settings, Averager(), on_ready=ready).exit_code


def play(process: psutil.Process, endpoints: dict[str, str], volumes: int) -> list[Sample]:
    """Send volumes at the service's pace, check every outcome, and sample the service."""
    scanner = Scanner()
    started_s = time.monotonic()
    with Control(endpoints["control"], timeout_s=60.0) as control:
        control.status()  # returns once it is connected
        idle = Sample.of(process, 0, 0.0)
        samples = [idle]
        with (
            Outcomes(endpoints["outcomes"], endpoints["control"], timeout_s=60.0) as outcomes,
            IngestSink(endpoints["ingest"]) as sink,
        ):
            received = 0
            for index in range(volumes):
                sink.put(f"{index}.dcm", scanner.mosaic(index))
                while (numbered := outcomes.poll()) is not None:
                    received = checked(numbered.outcome, received)
                if outcomes.fault:
                    raise SystemExit(f"soak: the service stopped: {outcomes.fault}")
                if (index + 1) % max(1, volumes // ROWS) == 0:
                    samples.append(Sample.of(process, received, time.monotonic() - started_s))
                    show(samples[-1])
            sink.flush()
            while received < volumes:
                received = checked(next(outcomes).outcome, received)
            control.end()
            samples.append(Sample.of(process, received, time.monotonic() - started_s))
            show(samples[-1])
        # The clients are closed; the service notices it within seconds.
        limit_s = time.monotonic() + 10.0
        samples.append(Sample.of(process, received, time.monotonic() - started_s))
        while time.monotonic() < limit_s and (samples[-1].sockets, samples[-1].files) > (
            idle.sockets,
            idle.files,
        ):
            time.sleep(0.1)
            samples[-1] = Sample.of(process, received, time.monotonic() - started_s)
        control.shutdown()
    return samples


def checked(outcome: Outcome, index: int) -> int:
    """Check one outcome, and return the index of the next one."""
    if outcome.index != index or not isinstance(outcome, Decision):
        raise SystemExit(f"soak: outcome {index} must be a decision, and is {outcome}")
    return index + 1


def show(sample: Sample) -> None:
    """Print a row of the table."""
    print(
        f"{sample.volumes:8d} {sample.seconds:8.1f} {sample.memory_mib:9.1f} {sample.threads:8d} "
        f"{sample.sockets:8d} {sample.files:6d}",
        flush=True,
    )


def main() -> int:
    """Run the service and the test, and print the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--volumes", type=int, default=10_000, help="volumes to send (10000)")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve is not None:
        return serve_here(arguments.serve)
    with tempfile.TemporaryDirectory(prefix="rtdecode-soak-") as folder:
        command = [sys.executable, __file__, "--serve", str(Path(folder) / "session")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as service:  # noqa: S603
            assert service.stdout is not None  # noqa: S101
            endpoints = json.loads(service.stdout.readline())
            print(" volumes  seconds    memory  threads  sockets  files", flush=True)
            try:
                samples = play(psutil.Process(service.pid), endpoints, arguments.volumes)
            except BaseException:
                service.kill()
                raise
    idle, last = samples[0], samples[-1]
    show(last)
    warm = next(s for s in samples if s.volumes >= arguments.volumes / 10)
    growth_mib = max(s.memory_mib for s in samples[samples.index(warm) :]) - warm.memory_mib
    # The thread that writes checkpoints starts with the first one, so it is not in `idle`.
    before = replace(idle, threads=warm.threads)
    left = [
        f"{name} {getattr(before, name)} before, {getattr(last, name)} after"
        for name in ("threads", "sockets", "files")
        if getattr(last, name) > getattr(before, name)
    ]
    print(
        f"{last.volumes / samples[-2].seconds:.0f} volumes/s; memory grew by {growth_mib:.1f} MiB "
        f"from {warm.volumes} volumes on (limit {MAX_GROWTH_MIB:g}); left open: "
        f"{', '.join(left) or 'nothing'}; exit code {service.returncode}"
    )
    return 1 if growth_mib > MAX_GROWTH_MIB or left or service.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
