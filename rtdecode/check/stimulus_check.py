"""Check of the link to the stimulus program: it must receive messages and answer."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import zmq

from rtdecode.check.context import CheckContext
from rtdecode.check.findings import CheckResult, Finding, green, grey
from rtdecode.check.socket_check import describe_endpoints, open_sockets
from rtdecode.report_kit import count
from rtdecode.service.sockets import Sockets
from rtdecode.wire import (
    Done,
    EchoRequest,
    LinkTest,
    Refused,
    Reply,
    Request,
    Snapshot,
    SnapshotRequest,
)

STIMULUS = "stimulus link"
ROUNDS = 10
ANSWER_S = 0.5
"""Waiting time for an echo before the next test."""
POLL_MS = 5
SLOW_MS = 100.0
"""A program that polls in each of 60 frames per second needs less than 20 ms."""

Announce = Callable[[str], None]
"""Receives instructions for the operator."""


@dataclass(slots=True)
class _Round:
    """A published test and its echoes."""

    nonce: str = ""
    sent_ns: int = 0
    echoes_ns: list[int] = field(default_factory=list)


@dataclass(slots=True)
class _Link:
    """The answers of the connected programs."""

    current: _Round = field(default_factory=_Round)
    programs: int = 0
    answered: int = 0
    """Minimum number of programs that answered a test, since the first answer."""
    round_trips_ms: list[float] = field(default_factory=list)


def check_stimulus(context: CheckContext, announce: Announce) -> Finding:
    """Publish tests on the service's own sockets until programs have echoed `ROUNDS` of them."""
    wait_s = context.plan.stimulus_s
    if wait_s is None:
        return grey(
            STIMULUS, "not tried", "check with --stimulus, then start your stimulus program"
        )
    with open_sockets(context) as sockets:
        where = describe_endpoints(sockets, context.plan.settings.keys)
        announce(f"start your stimulus program now; waiting {wait_s:g} s ({where})")
        link = _listen(sockets, context, wait_s)
    return _judge(link, where, wait_s)


def _listen(sockets: Sockets, context: CheckContext, wait_s: float) -> _Link:
    clock, link = context.clock, _Link()
    poller = zmq.Poller()
    sockets.register(poller)
    until_ns = clock.monotonic_ns() + int(wait_s * 1e9)
    rounds = 0

    def handle(request: Request) -> Reply:
        if isinstance(request, EchoRequest):
            if request.nonce == link.current.nonce:
                link.current.echoes_ns.append(clock.monotonic_ns())
            return Done(detail="heard")
        if isinstance(request, SnapshotRequest):
            return Snapshot(session="check", run=0, state="idle", last=0, outcomes=())
        return Refused(error="this is rtdecode check, which only tests the connection")

    while rounds < ROUNDS and (now_ns := clock.monotonic_ns()) < until_ns:
        poller.poll(POLL_MS)
        sockets.answer(handle)
        link.programs = max(link.programs, sockets.subscribers)
        current = link.current
        if current.nonce:
            echoes = len(current.echoes_ns)
            if echoes < sockets.subscribers and now_ns - current.sent_ns < ANSWER_S * 1e9:
                continue
            if echoes:
                # The slowest answer shows how long a decision may take until a program sees it.
                link.round_trips_ms.append((current.echoes_ns[-1] - current.sent_ns) / 1e6)
                link.answered = min(link.answered or echoes, echoes)
                rounds += 1
            elif rounds:
                rounds += 1
        link.current = _Round()
        if sockets.subscribers:
            link.current = _Round(secrets.token_hex(8), clock.monotonic_ns())
            sockets.publish_test(LinkTest(nonce=link.current.nonce))
    return link


def _judge(link: _Link, where: str, wait_s: float) -> Finding:
    programs = f"{count(link.programs, 'program')} connected"
    if not link.programs:
        return Finding(
            STIMULUS,
            CheckResult.RED,
            f"no program connected within {wait_s:g} s",
            f"start it while the check waits, and let it connect to {where}",
            {"programs": 0},
        )
    if not link.round_trips_ms:
        return Finding(
            STIMULUS,
            CheckResult.YELLOW,
            f"{programs}, but no echo of a test outcome arrived in {wait_s:g} s",
            "check that it polls for outcomes in every frame; without rtdecode.client it must echo "
            "by itself (docs/protocol.md)",
            {"programs": link.programs},
        )
    p50_ms, slowest_ms = (float(v) for v in np.percentile(link.round_trips_ms, (50, 100)))
    figures = {
        "programs": link.programs,
        "programs_answered": link.answered,
        "round_trip_p50_ms": p50_ms,
        "round_trip_slowest_ms": slowest_ms,
        "tests": len(link.round_trips_ms),
    }
    found = (
        f"{programs}, {link.answered} answered; a test outcome and its echo took {p50_ms:.1f} ms "
        f"at the median, {slowest_ms:.1f} ms at most ({len(link.round_trips_ms)} tests)"
    )
    if link.answered < link.programs:
        return Finding(
            STIMULUS,
            CheckResult.YELLOW,
            found,
            "check that the stimulus program answers: close the other programs, and check again",
            figures,
        )
    if p50_ms > SLOW_MS:
        return Finding(
            STIMULUS,
            CheckResult.YELLOW,
            f"{found}: it polls too rarely",
            "let it poll for outcomes in every frame",
            figures,
        )
    return green(STIMULUS, found, figures)
