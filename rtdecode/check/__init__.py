"""Everything that a session needs, tried before the participant enters."""

from rtdecode.check.findings import Finding, Verdict, ready
from rtdecode.check.subject import Plan
from rtdecode.check.walk import walk

__all__ = ["Finding", "Plan", "Verdict", "ready", "walk"]
