"""Results of checks."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from rtdecode.errors import ConfigError, RtdecodeError


class CheckResult(StrEnum):
    """Result of one check."""

    GREEN = "green"
    YELLOW = "yellow"
    """It works, but the operator should know something."""
    RED = "red"
    """It does not work."""
    GREY = "grey"
    """It was not tried: it was not requested, or it depends on a red check."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One row of the table of results."""

    name: str
    verdict: CheckResult
    found: str
    """Result in words, with the numbers."""
    remedy: str = ""
    """Action for the operator; empty if none is needed."""
    figures: dict[str, float] = field(default_factory=dict)
    """Numbers for programs. Each name ends with its unit, or is a count."""


class NotTriedError(RtdecodeError):
    """A check was not tried, because it depends on one that failed."""


def green(name: str, found: str, figures: dict[str, float] | None = None) -> Finding:
    """Return a finding that needs no action."""
    return Finding(name, CheckResult.GREEN, found, figures=figures or {})


def grey(name: str, found: str, remedy: str = "") -> Finding:
    """Return a finding that was not tried."""
    return Finding(name, CheckResult.GREY, found, remedy)


def red(name: str, error: RtdecodeError) -> Finding:
    """Return a red finding from an error of rtdecode.

    In its messages, the remedy follows the last semicolon.
    """
    problems = error.problems if isinstance(error, ConfigError) else (str(error),)
    parts = [problem.rpartition("; ") for problem in problems]
    found = "\n".join(what or remedy for what, _, remedy in parts)
    remedies = dict.fromkeys(remedy for what, _, remedy in parts if what)  # without repeats
    return Finding(name, CheckResult.RED, found, "\n".join(remedies))


def ready(findings: Iterable[Finding]) -> bool:
    """Return whether no finding is red."""
    return all(finding.verdict is not CheckResult.RED for finding in findings)
