"""One check after the other, every one of them."""

import time
from collections.abc import Callable

from rtdecode.check import (
    decoder_check,
    protocol_check,
    session_check,
    socket_check,
    source_check,
    stimulus_check,
    timing_check,
)
from rtdecode.check.context import SessionPlan, Subject
from rtdecode.check.findings import CheckResult, Finding, NotTriedError, grey, refused
from rtdecode.check.stimulus_check import Announce
from rtdecode.clock import Clock, SystemClock
from rtdecode.errors import RtdecodeError

Begin = Callable[[str], None]
"""Called with each check's name before it is made."""


def walk(
    plan: SessionPlan, begin: Begin, announce: Announce, clock: Clock | None = None
) -> list[Finding]:
    """Make every check, also after one was red.

    Parameters
    ----------
    plan
        The session's.
    begin
        Told what is checked now.
    announce
        Told what the operator has to do now.
    clock
        Measures.
    """
    clock = clock or SystemClock()
    subject = Subject(
        plan, clock, began_wall_ns=time.time_ns(), began_monotonic_ns=clock.monotonic_ns()
    )
    checks: tuple[tuple[str, Callable[[], Finding]], ...] = (
        (decoder_check.BUNDLE, lambda: decoder_check.check_bundle(subject)),
        (decoder_check.PROVIDER, lambda: decoder_check.check_provider(subject)),
        (decoder_check.SPEED, lambda: decoder_check.check_speed(subject)),
        (protocol_check.GEOMETRY, lambda: protocol_check.check_geometry(subject)),
        (source_check.SOURCE, lambda: source_check.check_source_opens(subject)),
        (session_check.SESSION, lambda: session_check.check_session(subject)),
        (session_check.DISK, lambda: session_check.check_disk(subject)),
        (socket_check.KEYS, lambda: socket_check.check_keys(subject)),
        (socket_check.PORTS, lambda: socket_check.check_ports(subject)),
        (stimulus_check.STIMULUS, lambda: stimulus_check.check_stimulus(subject, announce)),
        (
            timing_check.CLOCK,
            lambda: timing_check.check_clock(subject),
        ),  # last: it watched all the others
    )
    findings = []
    for name, check in checks:
        begin(name)
        findings.append(_made(name, check))
    return findings


def _made(name: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except NotTriedError as error:
        return grey(name, f"not tried: {error}")
    except RtdecodeError as error:
        return refused(name, error)
    except Exception as error:  # noqa: BLE001 - the loop's boundary: the other checks are made all the same
        # The system's errors name files, and scanners name files after participants.
        reason = error.strerror if isinstance(error, OSError) else error
        return Finding(
            name, CheckResult.RED, f"internal error: {type(error).__name__}: {reason}", "report it"
        )
