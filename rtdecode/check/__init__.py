"""Everything that a session needs, tried before the participant enters."""

from rtdecode.check.context import SessionPlan
from rtdecode.check.findings import CheckResult, Finding, ready
from rtdecode.check.run_checks import walk

__all__ = ["CheckResult", "Finding", "SessionPlan", "ready", "walk"]
