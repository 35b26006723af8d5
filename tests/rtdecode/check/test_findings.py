"""What becomes of errors."""

from rtdecode.check.findings import CheckResult, Finding, ready, refused
from rtdecode.errors import BundleError, RunError


def test_every_problem_of_an_error_is_told_and_each_remedy_once():
    """Messages say after their last semicolon what to do."""
    error = BundleError(["a: missing; copy it; all of it", "b: altered; all of it", "c is bad"])
    assert refused("bundle", error) == Finding(
        "bundle", CheckResult.RED, "a: missing; copy it\nb: altered\nc is bad", "all of it"
    )


def test_an_error_without_a_remedy_is_told_whole():
    """Nothing is lost."""
    assert refused("x", RunError("it broke")).found == "it broke"


def test_only_red_is_not_ready():
    """Yellow and grey are for the operator to judge."""
    others = [Finding("x", v, "") for v in CheckResult if v is not CheckResult.RED]
    assert ready(others)
    assert not ready([*others, Finding("y", CheckResult.RED, "")])
