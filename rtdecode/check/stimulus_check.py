"""Whether the stimulus program hears what is published, and can answer."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import zmq

from rtdecode.check.context import Subject
from rtdecode.check.findings import CheckResult, Finding, green, grey
from rtdecode.check.socket_check import connects_to, opened
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
"""How long an echo is waited for before the next test is sent."""
POLL_MS = 5
SLOW_MS = 100.0
"""A program that draws 60 frames a second and looks in each needs less than 20 ms."""

Announce = Callable[[str], None]
"""Tells the operator what to do now."""


@dataclass(slots=True)
class _Round:
    """A test that was published, and its echoes."""

    nonce: str = ""
    sent_ns: int = 0
    echoes_ns: list[int] = field(default_factory=list)


@dataclass(slots=True)
class _Link:
    """What was heard of the programs that are connected."""

    current: _Round = field(default_factory=_Round)
    programs: int = 0
    answered: int = 0
    """The fewest programs that answered one test, since the first answered."""
    round_trips_ms: list[float] = field(default_factory=list)


def check_stimulus(subject: Subject, announce: Announce) -> Finding:
    """Publish tests on the service's own sockets until a program has echoed some of them."""
    wait_s = subject.plan.stimulus_s
    if wait_s is None:
        return grey(
            STIMULUS, "not tried", "check with --stimulus, and start your stimulus program then"
        )
    with opened(subject) as sockets:
        where = connects_to(sockets, subject.plan.settings.keys)
        announce(f"start your stimulus program now; waiting {wait_s:g} s ({where})")
        link = _listen(sockets, subject, wait_s)
    return _judged(link, where, wait_s)


def _listen(sockets: Sockets, subject: Subject, wait_s: float) -> _Link:
    clock, link = subject.clock, _Link()
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
            heard = len(current.echoes_ns)
            if heard < sockets.subscribers and now_ns - current.sent_ns < ANSWER_S * 1e9:
                continue
            if heard:
                # The slowest of those that answered is how long a decision may take to be seen.
                link.round_trips_ms.append((current.echoes_ns[-1] - current.sent_ns) / 1e6)
                link.answered = min(link.answered or heard, heard)
                rounds += 1
            elif rounds:
                rounds += 1
        link.current = _Round()
        if sockets.subscribers:
            link.current = _Round(secrets.token_hex(8), clock.monotonic_ns())
            sockets.publish_test(LinkTest(nonce=link.current.nonce))
    return link


def _judged(link: _Link, where: str, wait_s: float) -> Finding:
    programs = f"{count(link.programs, 'program')} connected"
    if not link.programs:
        return Finding(
            STIMULUS,
            CheckResult.RED,
            f"no program connected within {wait_s:g} s",
            f"start it while this waits, and have it connect to {where}",
            {"programs": 0},
        )
    if not link.round_trips_ms:
        return Finding(
            STIMULUS,
            CheckResult.YELLOW,
            f"{programs}, and no echo of a test outcome came back in {wait_s:g} s",
            "see that it looks for outcomes (poll) in every frame; one that does not use "
            "rtdecode.client has to echo by itself (docs/protocol.md)",
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
            "see that the stimulus program is among those that answer: close the others, and check "
            "again",
            figures,
        )
    if p50_ms > SLOW_MS:
        return Finding(
            STIMULUS,
            CheckResult.YELLOW,
            f"{found}: it is slow to look",
            "have it look for outcomes (poll) in every frame",
            figures,
        )
    return green(STIMULUS, found, figures)
