"""Check of the source of volumes."""

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
from rtdecode.check.context import CheckContext
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
"""Prefix of test files, which are removed again. Sources ignore names that begin with a dot."""
EVENT_LIMIT_S = 3.0
ECHO_S = 5.0
MANY_FILES = 100_000
"""Files are counted up to this number."""


def check_source_opens(context: CheckContext) -> Finding:
    """Open the source as the service does, test it, and close it."""
    settings = context.plan.settings
    check_source(settings.source, settings.session)
    # Only pushed objects need keys.
    keys = context.keys if settings.source.startswith("zmq:") else None
    loaded = context.loaded_bundle
    repetition_s = math.nan if loaded is None else loaded.manifest.repetition_time_s
    with zmq.Context() as zmq_context, Doorkeeper(zmq_context, keys):
        opening = open_source(settings, zmq_context, context.clock, repetition_s, (), keys)
        with opening as source:
            return _check_address(settings.source, source, context.clock)


def _check_address(address: str, source: Source, clock: Clock) -> Finding:
    kind, _, rest = address.partition(":")
    if address.startswith(SCHEME):
        return _check_pyneal(address, source)
    if kind == "folder":
        return _check_folder(Path(rest), clock)
    if kind == "dicom":
        return _check_dicom(parse_dicom_address(address), source, clock)
    if kind == "recording":
        return green(SOURCE, f"the recording {rest} can be read")
    return green(SOURCE, f"objects can be pushed to {source.endpoint}")


def _check_pyneal(address: str, source: Source) -> Finding:
    found = f"Pyneal's senders can connect to {source.endpoint}"
    if parse_pyneal_address(address.removeprefix(SCHEME)).exposed:
        return Finding(
            SOURCE,
            CheckResult.YELLOW,
            f"{found}; other computers can connect too, and the protocol has no protection",
            "keep the port to the scanner's own network",
        )
    return green(SOURCE, found)


def _check_folder(path: Path, clock: Clock) -> Finding:
    found, figures = f"{path} can be read", {}
    filesystem = filesystem_of(path.resolve())
    if not filesystem.local:
        found += f"; it is polled, because it is on a {filesystem.kind}"
    else:
        try:
            delay_ms = event_delay_ms(path, clock)
        except OSError as error:
            found += (
                f"; the test of new-file events ({filesystem.kind}) needs write access "
                f"({error.strerror})"
            )
        else:
            if delay_ms is None:
                return Finding(
                    SOURCE,
                    CheckResult.YELLOW,
                    f"{found}, but the system ({filesystem.kind}) did not report a new file "
                    f"within {EVENT_LIMIT_S:.0f} s",
                    "serve with --polling",
                )
            found += f"; the system ({filesystem.kind}) reports a new file after {delay_ms:.0f} ms"
            figures["told_after_ms"] = delay_ms
    files = _files(path)
    figures["files"] = files
    if files:
        more = "more than " if files >= MANY_FILES else ""
        return Finding(
            SOURCE,
            CheckResult.YELLOW,
            f"{found}. It holds {more}{count(files, 'file', ',')} already, which "
            "this session would decode",
            "empty the folder, or give this session's export folder, unless you want to decode "
            "these files",
            figures,
        )
    return green(SOURCE, f"{found}. It is empty", figures)


def event_delay_ms(path: Path, clock: Clock) -> float | None:
    """Return the delay of the system's event for a new hidden file, which is removed again.

    Returns
    -------
    Milliseconds, or `None` without an event within `EVENT_LIMIT_S`.

    Raises
    ------
    OSError
        The folder cannot be written.
    """
    stop = threading.Event()
    with contextlib.ExitStack() as stack:
        name, created_ns = "", 0
        # The settings are those of the source; the first yield means that the watcher is active.
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
                created_ns = now_ns
                folder = path.resolve()
                file = stack.enter_context(tempfile.NamedTemporaryFile(dir=folder, prefix=PROBE))
                name = Path(file.name).name
            elif any(Path(changed).name == name for _, changed in changes):
                return (now_ns - created_ns) / 1e6
            elif now_ns - created_ns > EVENT_LIMIT_S * 1e9:
                return None
    return None


def _files(path: Path) -> int:
    files = 0
    for _, _, names in os.walk(path):
        files += sum(not name.startswith(".") for name in names)
        if files >= MANY_FILES:
            return MANY_FILES
    return files


def _check_dicom(address: DicomAddress, source: Source, clock: Clock) -> Finding:
    """Send a C-ECHO to the receiver, as a scanner does."""
    # This import takes half a second, so it is done only if needed.
    from pynetdicom import AE
    from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

    caller = AE(address.callers[0] if address.callers else "RTDECODE_CHECK")
    caller.add_requested_context(Verification)
    caller.acse_timeout = caller.dimse_timeout = caller.network_timeout = ECHO_S
    port = int(str(source.endpoint).rpartition(":")[2])
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)  # noqa: S104 - a comparison, not a binding
    began_ns = clock.monotonic_ns()
    association = caller.associate(host, port, ae_title=address.title)
    listening = f"listens on {source.endpoint} as {address.title}"
    if not association.is_established:
        return Finding(
            SOURCE,
            CheckResult.RED,
            f"{listening} but did not answer this computer's own C-ECHO",
            "check the firewall; other DICOM nodes cannot connect either",
        )
    status = association.send_c_echo()
    took_ms = (clock.monotonic_ns() - began_ns) / 1e6
    association.release()
    answered = getattr(status, "Status", None) == 0
    if not answered:
        return Finding(
            SOURCE,
            CheckResult.RED,
            f"{listening} but answered a C-ECHO with an error",
            "choose another port; report the error if that does not help",
        )
    who = ", ".join(address.callers) if address.callers else "any program on this computer"
    return Finding(
        SOURCE,
        CheckResult.GREEN,
        f"{listening} and answers a C-ECHO in {took_ms:.0f} ms; who may send: {who}. "
        "Also verify (echo) it from the scanner during the service",
        figures={"echo_ms": took_ms},
    )
