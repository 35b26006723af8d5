#!/usr/bin/env python3
"""Give damaged and malicious DICOM objects to the reader, which must refuse them and nothing else.

  .venv/bin/python tools/fuzz/fuzz_dicom.py --minutes 10
  .venv/bin/python tools/fuzz/fuzz_dicom.py --minutes 60 --seed 7 --folder DICOM_FOLDER --out found

Objects of every simulated vendor, native and compressed, and the files of --folder are mutated and
read in a separate process. A failure is any exception but VolumeError, the death of the process,
more than --seconds for one object, or more than --mebibytes of memory for one object. Failures are
printed, and their objects are written to --out. The same --seed makes the same objects.
"""

import argparse
import random
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from queue import Empty, Queue
from typing import Any

from rtdecode.dicom import parse, tags
from rtdecode.errors import VolumeError

MAX_FOLDER_FILES, MAX_FOLDER_BYTES = 200, 1 << 23
START_S = 120.0
"""Limit of the reading process's start, imports included."""
SYNTAXES = (
    *(b"1.2.840.10008.1.2", b"1.2.840.10008.1.2.1", b"1.2.840.10008.1.2.2"),
    *(b"1.2.840.10008.1.2.5", b"1.2.840.10008.1.2.4.50", b"1.2.840.10008.1.2.4.57"),
    *(b"1.2.840.10008.1.2.4.70", b"1.2.840.10008.1.2.4.80", b"1.2.840.10008.1.2.4.90"),
    b"1.2.840.10008.1.2.1.99",
)
TEXTS = (
    *(b"nan", b"inf", b"-inf", b"1e308", b"-1e308", b"1e-308", b"0", b"-1", b"2147483648"),
    *(b"1\\2\\3", b"", b"\\\\\\", b"1000000", b"99999999999999999999", b"\xff\xfe", b"1_0"),
)
NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)
Mutation = Callable[[bytearray, random.Random], bytearray]
"""Changes an object; may change it in place."""


def truncate(content: bytearray, rng: random.Random) -> bytearray:
    """Remove a part at the end."""
    return content[: rng.randrange(len(content) + 1)]


def flip(content: bytearray, rng: random.Random) -> bytearray:
    """Invert some bits, most often in the header."""
    end = len(content) if rng.random() < 0.3 else min(len(content), 4096)
    for _ in range(rng.randint(1, 16)):
        if end:
            content[rng.randrange(end)] ^= 1 << rng.randrange(8)
    return content


def splice(content: bytearray, rng: random.Random) -> bytearray:
    """Repeat, move or remove a range of bytes."""
    start = rng.randrange(len(content) + 1)
    piece = content[start : start + rng.randint(1, 512)]
    at = rng.randrange(len(content) + 1)
    if rng.random() < 0.5:
        del content[start : start + len(piece)]
    content[at:at] = piece * rng.choice((1, 1, 2, 50))
    return content


def find(content: bytearray, rng: random.Random) -> int:
    """Return the offset of some element that the reader uses, or -1."""
    tag = rng.choice(list(tags.ENCODINGS))
    key = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    places = list(_occurrences(content, key))
    return rng.choice(places) if places else -1


def _occurrences(content: bytearray, key: bytes) -> Iterator[int]:
    at = content.find(key)
    while at >= 0:
        yield at
        at = content.find(key, at + 1)


def length(content: bytearray, rng: random.Random) -> bytearray:
    """Change the length of an element."""
    at = find(content, rng)
    if 0 <= at <= len(content) - 12:
        value = rng.choice((*NUMBERS, rng.randrange(1 << 16)))
        place, form = rng.choice(((at + 4, "<I"), (at + 6, "<H"), (at + 8, "<I")))
        struct.pack_into(form, content, place, value & (0xFFFF if form == "<H" else 0xFFFFFFFF))
    return content


def value(content: bytearray, rng: random.Random) -> bytearray:
    """Put an extreme text or number into an element, and leave all others intact."""
    at = find(content, rng)
    if not 0 <= at <= len(content) - 8:
        return content
    encoding = bytes(content[at + 4 : at + 6])
    if encoding in (b"US", b"SS", b"UL", b"SL", b"FL", b"FD"):
        size = struct.unpack_from("<H", content, at + 6)[0]
        new = rng.choice((*(struct.pack("<Q", n) for n in NUMBERS), struct.pack("<d", 1e308)))
        content[at + 8 : at + 8 + size] = new[:size].ljust(size, b"\0")
    elif encoding.isalpha():
        size = struct.unpack_from("<H", content, at + 6)[0]
        text = rng.choice(TEXTS) * rng.choice((1, 1, 1, 500))
        text = text[:0xFFFE]
        text += b" " * (len(text) % 2)
        content[at + 6 : at + 8 + size] = struct.pack("<H", len(text)) + text
    return content


def retag(content: bytearray, rng: random.Random) -> bytearray:
    """Change the tag or the value representation of an element."""
    at = find(content, rng)
    if 0 <= at <= len(content) - 6:
        if rng.random() < 0.5:
            tag = rng.choice(list(tags.ENCODINGS))
            content[at : at + 4] = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
        else:
            names = b"OB OW SQ UN UT US SS FL FD DS IS CS LO UI UL".split()
            content[at + 4 : at + 6] = rng.choice(names)
    return content


def nest(content: bytearray, rng: random.Random) -> bytearray:
    """Insert sequences before an element: deep, long or without an end."""
    at = max(find(content, rng), 132)
    tag = rng.choice((0x52009230, 0x52009229, 0x00209113, 0x00081140, 0x2005140F))
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + b"SQ\0\0\xff\xff\xff\xff"
    item, end = b"\xfe\xff\x00\xe0\xff\xff\xff\xff", b"\xfe\xff\xdd\xe0\0\0\0\0"
    kind = rng.randrange(3)
    if kind == 0:
        new = (head + item) * rng.choice((3, 17, 5000))
    elif kind == 1:
        new = head + b"\xfe\xff\x00\xe0\0\0\0\0" * rng.choice((2, 1000, 70_000)) + end
    else:
        new = head + item + b"\xfe\xff\x0d\xe0\0\0\0\0" + end
    content[at:at] = new
    return content


def syntax(content: bytearray, rng: random.Random) -> bytearray:
    """Change the transfer syntax."""
    at = content.find(b"\x02\x00\x10\x00UI", 0, 1024)
    if 0 <= at <= len(content) - 8:
        size = struct.unpack_from("<H", content, at + 6)[0]
        name = rng.choice(SYNTAXES)
        name += b"\0" * (len(name) % 2)
        content[at + 6 : at + 8 + size] = struct.pack("<H", len(name)) + name
    return content


def pack(content: bytearray, rng: random.Random) -> bytearray:
    """Compress the object, or replace most of it by a decompression bomb."""
    if rng.random() < 0.2:
        content = content[:200] + bytes(rng.choice((1 << 20, 40 << 20)))
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    packed = bytearray(packer.compress(bytes(content)) + packer.flush())
    return flip(packed, rng) if rng.random() < 0.3 else packed


def codestream(content: bytearray, rng: random.Random) -> bytearray:
    """Damage the header of compressed pixels."""
    places = [p for key in (b"\xff\xd8", b"\xff\x4f\xff\x51") if (p := content.find(key)) >= 0]
    pixels = content.find(b"\xe0\x7f\x10\x00")
    start = rng.choice(places) if places else pixels
    if start >= 0:
        for _ in range(rng.randint(1, 6)):
            at = start + rng.randrange(200)
            if at < len(content):
                content[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
    return content


MUTATIONS: tuple[Mutation, ...] = (
    *(truncate, flip, flip, splice, length, length, value, value, value),
    *(retag, nest, syntax, pack, codestream, codestream),
)


def mutated(objects: list[bytes], seed: int, number: int) -> bytes:
    """Return object `number` of a seed."""
    rng = random.Random(f"{seed} {number}")  # noqa: S311 - repeatable, not secret
    content = bytearray(rng.choice(objects))
    for _ in range(rng.choice((1, 1, 2, 3, 5))):
        content = rng.choice(MUTATIONS)(content, rng)
    return bytes(content)


def simulate(folder: Path) -> None:
    """Write two objects of each vendor, and each in every compression that can be written."""
    from calibration.simulation import (
        EpiProtocol,
        ParticipantSettings,
        RunDesign,
        load_template,
        make_participant,
        simulate_run,
        write_dicom,
    )

    participant = make_participant(load_template(), ParticipantSettings(), 7)
    protocol = EpiProtocol((32, 28, 9), (7.0, 7.0, 9.0), repetition_time_s=1.0)
    run = simulate_run(participant, RunDesign(1, 0.5, 0.0, 0.0, protocol=protocol), 1)
    for vendor in ("siemens", "siemens-xa", "ge", "philips"):
        for path in write_dicom(run, folder / "all" / vendor, vendor)[:2]:
            path.rename(folder / f"{vendor}-{path.name}")
    for path in sorted(folder.glob("*.dcm")):
        compress(path)


def compress(path: Path) -> None:
    """Write a file's object in every compression that is read."""
    import imagecodecs
    import numpy as np
    from pydicom import dcmread
    from pydicom.encaps import encapsulate
    from pydicom.uid import UID

    encoders: dict[str, Callable[[Any], bytes | bytearray]] = {
        "1.2.840.10008.1.2.5": packbits,
        "1.2.840.10008.1.2.4.70": lambda i: imagecodecs.jpeg8_encode(i, lossless=True),
        "1.2.840.10008.1.2.4.80": imagecodecs.jpegls_encode,
        "1.2.840.10008.1.2.4.90": lambda i: imagecodecs.jpeg2k_encode(i, codecformat="J2K"),
    }
    for uid, encode in encoders.items():
        dataset = dcmread(path)
        shape = (int(dataset.get("NumberOfFrames", 1)), dataset.Rows, dataset.Columns)
        frames = np.frombuffer(dataset.PixelData, "<u2").reshape(shape)
        dataset.PixelData = encapsulate([bytes(encode(frame)) for frame in frames])
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = UID(uid)
        dataset.save_as(path.with_name(f"{path.stem}-{uid}"), enforce_file_format=True)


def packbits(image: Any) -> bytes:
    """Encode one frame as RLE of two segments."""
    import imagecodecs

    planes = (image.astype(">u2").view("u1").reshape(-1, 2).T).copy()
    segments = [imagecodecs.packbits_encode(plane.tobytes()) for plane in planes]
    segments = [segment + b"\0" * (len(segment) % 2) for segment in segments]
    offsets = (2, 64, 64 + len(segments[0]), *[0] * 13)
    return struct.pack("<16I", *offsets) + b"".join(segments)


def read_all(folder: Path, seed: int, first: int, mebibytes: int) -> None:
    """Read one object after another, and print the number of each before reading it."""
    objects = [path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()]
    for content in objects:  # once before counting memory: some modules are imported late
        with suppress(VolumeError):
            parse(content, "object")
    number, peak = first, _peak_mebibytes()
    while True:
        content = mutated(objects, seed, number)
        sys.stdout.write(f"next {number}\n")
        sys.stdout.flush()
        try:
            parse(content, "object")
        except VolumeError:
            pass
        except Exception as problem:  # noqa: BLE001 - any exception is a failure
            frame = traceback.extract_tb(problem.__traceback__)[-1]
            place = f"{Path(frame.filename).name}:{frame.lineno}"
            message = f"{type(problem).__name__} in {place}: {str(problem)[:100]!r}"
            sys.stdout.write(f"found {number} {message}\n")
        previous, peak = peak, max(peak, _peak_mebibytes())
        if peak - previous > mebibytes:
            sys.stdout.write(f"found {number} {peak - previous:.0f} MiB for {len(content)} bytes\n")
        number += 1


def _peak_mebibytes() -> float:
    import resource  # POSIX only

    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return usage / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def watch(command: list[str], until_s: float, limit_s: float, first: int) -> tuple[int, str]:
    """Run one reading process; return its last object, and its failure (empty: time is over)."""
    process = subprocess.Popen(  # noqa: S603 - ourselves
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    lines: Queue[str] = Queue()

    def read_lines() -> None:
        for line in process.stdout or ():
            lines.put(line)

    reader = threading.Thread(target=read_lines)
    reader.start()
    current = first
    try:
        while time.monotonic() < until_s:
            try:
                line = lines.get(timeout=limit_s if current > first else START_S)
            except Empty:
                if process.poll() is None:
                    return current, f"took more than {limit_s} s"
                return current, f"the process died with {process.returncode}"
            word, number, *rest = line.split(maxsplit=2)
            current = int(number)
            if word == "found":
                return current, rest[0].strip()
    finally:
        process.kill()
        process.wait()
        reader.join()
    return current, ""


def main() -> int:
    """Read mutated objects until the time is over, and print a summary."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="duration (10)")
    parser.add_argument("--seed", type=int, default=1, help="the seed of the objects (1)")
    parser.add_argument("--folder", type=Path, help="folder of more objects to mutate")
    parser.add_argument(
        "--out", type=Path, default=Path("fuzz_found"), help="folder for failures (fuzz_found)"
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="limit for one object (5)")
    parser.add_argument("--mebibytes", type=int, default=300, help="limit for one object (300)")
    parser.add_argument("--worker", nargs=2, metavar=("FOLDER", "FIRST"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        read_all(Path(options.worker[0]), options.seed, int(options.worker[1]), options.mebibytes)
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        simulate(folder)
        if options.folder:
            paths = [p for p in sorted(options.folder.rglob("*")) if p.is_file()]
            small = [p for p in paths if p.stat().st_size <= MAX_FOLDER_BYTES]
            for number, path in enumerate(small[:: max(1, len(small) // MAX_FOLDER_FILES)]):
                (folder / f"real-{number}").write_bytes(path.read_bytes())
        objects = [path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()]
        print(
            f"mutating {len(objects)} objects for {options.minutes:g} minutes, seed {options.seed}"
        )
        until_s = time.monotonic() + options.minutes * 60
        first = failures = 0
        while time.monotonic() < until_s:
            limits = ["--seed", str(options.seed), "--mebibytes", str(options.mebibytes)]
            command = [sys.executable, __file__, *limits, "--worker", name, str(first)]
            last, failure = watch(command, until_s, options.seconds, first)
            first = last + 1
            if failure:
                failures += 1
                options.out.mkdir(exist_ok=True)
                (options.out / f"{options.seed}-{last}").write_bytes(
                    mutated(objects, options.seed, last)
                )
                print(f"object {last}: {failure}", flush=True)
    print(f"{first} objects read, {failures} failures" + (f" in {options.out}" if failures else ""))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
