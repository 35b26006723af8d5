"""Run all checks in order."""

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
from rtdecode.check.context import CheckContext, SessionPlan
from rtdecode.check.findings import CheckResult, Finding, NotTriedError, grey, red
from rtdecode.check.stimulus_check import Announce
from rtdecode.clock import Clock, SystemClock
from rtdecode.errors import RtdecodeError

Begin = Callable[[str], None]
"""Receives the name of each check before it runs."""


def run_all_checks(
    plan: SessionPlan, begin: Begin, announce: Announce, clock: Clock | None = None
) -> list[Finding]:
    """Run all checks, also after a red one.

    Parameters
    ----------
    plan
        The plan of the session.
    begin
        Receives the name of each check before it runs.
    announce
        Receives instructions for the operator.
    clock
        Clock for the time measurements.
    """
    clock = clock or SystemClock()
    context = CheckContext(
        plan, clock, start_wall_ns=time.time_ns(), start_monotonic_ns=clock.monotonic_ns()
    )
    checks: tuple[tuple[str, Callable[[], Finding]], ...] = (
        (decoder_check.BUNDLE, lambda: decoder_check.check_bundle(context)),
        (decoder_check.PROVIDER, lambda: decoder_check.check_provider(context)),
        (decoder_check.SPEED, lambda: decoder_check.check_speed(context)),
        (protocol_check.GEOMETRY, lambda: protocol_check.check_geometry(context)),
        (source_check.SOURCE, lambda: source_check.check_source_opens(context)),
        (session_check.SESSION, lambda: session_check.check_session(context)),
        (session_check.DISK, lambda: session_check.check_disk(context)),
        (socket_check.KEYS, lambda: socket_check.check_keys(context)),
        (socket_check.PORTS, lambda: socket_check.check_ports(context)),
        (stimulus_check.STIMULUS, lambda: stimulus_check.check_stimulus(context, announce)),
        (
            timing_check.CLOCK,
            lambda: timing_check.check_clock(context),
        ),  # last, because it covers the time of all others
    )
    findings = []
    for name, check in checks:
        begin(name)
        findings.append(_run_check(name, check))
    return findings


def _run_check(name: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except NotTriedError as error:
        return grey(name, f"not tried: {error}")
    except RtdecodeError as error:
        return red(name, error)
    except Exception as error:  # noqa: BLE001 - an unexpected error must not stop the other checks
        # System errors contain file names, and scanners may name files after participants.
        reason = error.strerror if isinstance(error, OSError) else error
        return Finding(
            name, CheckResult.RED, f"internal error: {type(error).__name__}: {reason}", "report it"
        )
