"""Whether volumes can come in by the way that the source says."""

import contextlib
import math
import os
import tempfile
import threading
from pathlib import Path

import watchfiles
import zmq

from rtdecode.adapters.address import parse_address as parse_pyneal_address
from rtdecode.adapters.pyneal_source import SCHEME
from rtdecode.check.context import Subject
from rtdecode.check.findings import CheckResult, Finding, green
from rtdecode.clock import Clock
from rtdecode.keys import Doorkeeper
from rtdecode.report_kit import count
from rtdecode.service.open_source import check_source, open_source
from rtdecode.sources import Source
from rtdecode.sources.dicom_address import DicomAddress
from rtdecode.sources.dicom_address import parse_address as parse_dicom_address
from rtdecode.sources.filesystem import filesystem_of

SOURCE = "source"
PROBE = ".rtdecode-check-"
"""Begins the name of what is made and removed again; sources leave names with a dot alone."""
TOLD_WITHIN_S = 3.0
ECHO_S = 5.0
MANY_FILES = 100_000
"""Beyond it they are not counted."""


def check_source_opens(subject: Subject) -> Finding:
    """Open the source as the service does, see whether anything can come in, and close it."""
    settings = subject.plan.settings
    check_source(settings.source, settings.session)
    keys = subject.keys if settings.source.startswith("zmq:") else None  # nobody else asks for them
    loaded = subject.loaded
    repetition_s = math.nan if loaded is None else loaded.manifest.repetition_time_s
    with zmq.Context() as context, Doorkeeper(context, keys):
        opened = open_source(settings, context, subject.clock, repetition_s, (), keys)
        with opened as source:
            return _looked_at(settings.source, source, subject.clock)


def _looked_at(address: str, source: Source, clock: Clock) -> Finding:
    kind, _, rest = address.partition(":")
    if address.startswith(SCHEME):
        return _pyneal(address, source)
    if kind == "folder":
        return _folder(Path(rest), clock)
    if kind == "dicom":
        return _dicom(parse_dicom_address(address), source, clock)
    if kind == "recording":
        return green(SOURCE, f"the recording {rest} can be read")
    return green(SOURCE, f"objects can be pushed to {source.endpoint}")


def _pyneal(address: str, source: Source) -> Finding:
    found = f"Pyneal's senders can connect to {source.endpoint}"
    if parse_pyneal_address(address.removeprefix(SCHEME)).exposed:
        return Finding(
            SOURCE,
            CheckResult.YELLOW,
            f"{found}; other computers can, too, and the protocol protects nothing",
            "keep the port to the scanner's own network",
        )
    return green(SOURCE, found)


def _folder(path: Path, clock: Clock) -> Finding:
    found, figures = f"{path} can be read", {}
    filesystem = filesystem_of(path.resolve())
    if not filesystem.local:
        found += f"; it is polled, as it lies on a {filesystem.kind}"
    else:
        try:
            told_ms = told_after_ms(path, clock)
        except OSError as error:
            found += (
                f"; whether the system ({filesystem.kind}) tells of new files could not be tried, "
                f"as nothing can be written here ({error.strerror})"
            )
        else:
            if told_ms is None:
                return Finding(
                    SOURCE,
                    CheckResult.YELLOW,
                    f"{found}, but the system ({filesystem.kind}) did not tell of a new file "
                    f"within {TOLD_WITHIN_S:.0f} s",
                    "serve with --polling",
                )
            found += f"; the system ({filesystem.kind}) tells of a new file after {told_ms:.0f} ms"
            figures["told_after_ms"] = told_ms
    files = _files(path)
    figures["files"] = files
    if files:
        more = "more than " if files >= MANY_FILES else ""
        return Finding(
            SOURCE,
            CheckResult.YELLOW,
            f"{found}. It holds {more}{count(files, 'file', ',')} already, to be "
            "taken for this session's",
            "empty the folder, or give the one that this session's files go to, unless what is in "
            "it should be decoded",
            figures,
        )
    return green(SOURCE, f"{found}. It is empty", figures)


def told_after_ms(path: Path, clock: Clock) -> float | None:
    """Make a hidden file in a folder, remove it, and return how soon the system told of it.

    Returns
    -------
    Milliseconds, or `None` where it did not within `TOLD_WITHIN_S`.

    Raises
    ------
    OSError
        Nothing can be written there.
    """
    stop = threading.Event()
    with contextlib.ExitStack() as made:
        name, made_ns = "", 0
        # As the source watches; its first yield says that the watcher is at work.
        for changes in watchfiles.watch(
            path.resolve(),
            watch_filter=None,
            debounce=50,
            step=10,
            rust_timeout=50,
            yield_on_timeout=True,
            stop_event=stop,
            ignore_permission_denied=True,
            recursive=False,
        ):
            now_ns = clock.monotonic_ns()
            if not name:
                made_ns = now_ns
                folder = path.resolve()
                file = made.enter_context(tempfile.NamedTemporaryFile(dir=folder, prefix=PROBE))
                name = Path(file.name).name
            elif any(Path(changed).name == name for _, changed in changes):
                return (now_ns - made_ns) / 1e6
            elif now_ns - made_ns > TOLD_WITHIN_S * 1e9:
                return None
    return None


def _files(path: Path) -> int:
    files = 0
    for _, _, names in os.walk(path):
        files += sum(not name.startswith(".") for name in names)
        if files >= MANY_FILES:
            return MANY_FILES
    return files


def _dicom(address: DicomAddress, source: Source, clock: Clock) -> Finding:
    """Call the receiver as a scanner would (C-ECHO)."""
    # Half a second to import, for those who need it.
    from pynetdicom import AE
    from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

    caller = AE(address.callers[0] if address.callers else "RTDECODE_CHECK")
    caller.add_requested_context(Verification)
    caller.acse_timeout = caller.dimse_timeout = caller.network_timeout = ECHO_S
    port = int(str(source.endpoint).rpartition(":")[2])
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)  # noqa: S104 - to recognise
    began_ns = clock.monotonic_ns()
    association = caller.associate(host, port, ae_title=address.title)
    listening = f"listens on {source.endpoint} as {address.title}"
    if not association.is_established:
        return Finding(
            SOURCE,
            CheckResult.RED,
            f"{listening}, and did not answer this computer's own C-ECHO",
            "see whether a firewall stands between; other DICOM nodes cannot get through either",
        )
    status = association.send_c_echo()
    took_ms = (clock.monotonic_ns() - began_ns) / 1e6
    association.release()
    answered = getattr(status, "Status", None) == 0
    if not answered:
        return Finding(
            SOURCE,
            CheckResult.RED,
            f"{listening}, and answered a C-ECHO with an error",
            "choose another port; report it if that does not help",
        )
    who = ", ".join(address.callers) if address.callers else "anybody on this computer"
    return Finding(
        SOURCE,
        CheckResult.GREEN,
        f"{listening} and answers a C-ECHO in {took_ms:.0f} ms; who may send: {who}. Let the "
        "scanner verify (echo) it too, while serving",
        figures={"echo_ms": took_ms},
    )
