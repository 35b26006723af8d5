"""One check after the other, every one of them."""

import time
from collections.abc import Callable

from rtdecode.check import decoder, geometry, session, sockets, source, stimulus, timing
from rtdecode.check.findings import Finding, NotTriedError, Verdict, grey, refused
from rtdecode.check.stimulus import Announce
from rtdecode.check.subject import Plan, Subject
from rtdecode.clock import Clock, SystemClock
from rtdecode.errors import RtdecodeError

Begin = Callable[[str], None]
"""Called with each check's name before it is made."""


def walk(plan: Plan, begin: Begin, announce: Announce, clock: Clock | None = None) -> list[Finding]:
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
        (decoder.BUNDLE, lambda: decoder.check_bundle(subject)),
        (decoder.PROVIDER, lambda: decoder.check_provider(subject)),
        (decoder.SPEED, lambda: decoder.check_speed(subject)),
        (geometry.GEOMETRY, lambda: geometry.check_geometry(subject)),
        (source.SOURCE, lambda: source.check_source_opens(subject)),
        (session.SESSION, lambda: session.check_session(subject)),
        (session.DISK, lambda: session.check_disk(subject)),
        (sockets.KEYS, lambda: sockets.check_keys(subject)),
        (sockets.PORTS, lambda: sockets.check_ports(subject)),
        (stimulus.STIMULUS, lambda: stimulus.check_stimulus(subject, announce)),
        (timing.CLOCK, lambda: timing.check_clock(subject)),  # last: it watched all the others
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
            name, Verdict.RED, f"internal error: {type(error).__name__}: {reason}", "report it"
        )
