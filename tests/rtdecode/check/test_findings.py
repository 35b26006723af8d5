"""Findings from errors."""

from rtdecode.check.findings import CheckResult, Finding, ready, red
from rtdecode.errors import BundleError, RunError


def test_all_problems_of_an_error_are_listed_and_each_remedy_once():
    """The remedy follows the last semicolon of a message."""
    error = BundleError(["a: missing; copy it; all of it", "b: altered; all of it", "c is bad"])
    assert red("bundle", error) == Finding(
        "bundle", CheckResult.RED, "a: missing; copy it\nb: altered\nc is bad", "all of it"
    )


def test_an_error_without_a_remedy_is_shown_unchanged():
    """The whole message is the result."""
    assert red("x", RunError("it broke")).found == "it broke"


def test_only_red_is_not_ready():
    """The operator judges yellow and grey."""
    others = [Finding("x", v, "") for v in CheckResult if v is not CheckResult.RED]
    assert ready(others)
    assert not ready([*others, Finding("y", CheckResult.RED, "")])
