"""What a check found."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from rtdecode.errors import ConfigError, RtdecodeError


class CheckResult(StrEnum):
    """Whether a session can go on what was found."""

    GREEN = "green"
    YELLOW = "yellow"
    """It works, with something that an operator should know."""
    RED = "red"
    """It does not work."""
    GREY = "grey"
    """Not tried: it was not asked for, or needs what is red."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One row of the table."""

    name: str
    verdict: CheckResult
    found: str
    """In words, with the numbers."""
    remedy: str = ""
    """What to do; empty where nothing is to be done."""
    figures: dict[str, float] = field(default_factory=dict)
    """The numbers again, for programs; each name ends with its unit, or counts something."""


class NotTriedError(RtdecodeError):
    """A check needs what another check has found to be missing."""


def green(name: str, found: str, figures: dict[str, float] | None = None) -> Finding:
    """Return a finding that needs nothing done."""
    return Finding(name, CheckResult.GREEN, found, figures=figures or {})


def grey(name: str, found: str, remedy: str = "") -> Finding:
    """Return that something was not tried."""
    return Finding(name, CheckResult.GREY, found, remedy)


def refused(name: str, error: RtdecodeError) -> Finding:
    """Return a red finding from an error of ours.

    Its messages say what is wrong, and after the last semicolon what to do.
    """
    problems = error.problems if isinstance(error, ConfigError) else (str(error),)
    parts = [problem.rpartition("; ") for problem in problems]
    found = "\n".join(what or remedy for what, _, remedy in parts)
    remedies = dict.fromkeys(remedy for what, _, remedy in parts if what)  # each once
    return Finding(name, CheckResult.RED, found, "\n".join(remedies))


def ready(findings: Iterable[Finding]) -> bool:
    """Whether nothing is red."""
    return all(finding.verdict is not CheckResult.RED for finding in findings)
