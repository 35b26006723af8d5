"""Check everything that a session needs, before the participant enters."""

from rtdecode.check.context import SessionPlan
from rtdecode.check.findings import CheckResult, Finding, ready
from rtdecode.check.run_checks import run_all_checks

__all__ = ["CheckResult", "Finding", "SessionPlan", "ready", "run_all_checks"]
