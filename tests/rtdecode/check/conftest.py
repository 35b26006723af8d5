"""A plan on the tiny bundle and free ports."""

from pathlib import Path

import pytest

from rtdecode.check import Finding, SessionPlan, run_all_checks
from rtdecode.check.context import CheckContext
from rtdecode.clock import SystemClock
from rtdecode.service import ServiceSettings

ANY = "tcp://127.0.0.1:*"


@pytest.fixture
def plan(bundle, tmp_path) -> SessionPlan:
    """Return a plan in which everything works."""
    (tmp_path / "export").mkdir()
    settings = ServiceSettings(
        session=tmp_path / "sessions" / "one",
        source=f"folder:{tmp_path / 'export'}",
        outcomes=ANY,
        control=ANY,
        ingest=ANY,
        bundle=bundle.path,
    )
    return SessionPlan(settings, bundle.path, "cpu", minutes=10.0)


@pytest.fixture
def context(plan, bundle) -> CheckContext:
    """Return the context of that plan with its bundle loaded."""
    return CheckContext(plan, SystemClock(), loaded_bundle=bundle)


@pytest.fixture
def rows():
    """Return a function that runs all checks of a plan and returns the rows by name."""

    def run(plan: SessionPlan) -> dict[str, Finding]:
        findings = run_all_checks(plan, lambda _: None, lambda _: None)
        return {finding.name: finding for finding in findings}

    return run


def tree(folder: Path) -> list[str]:
    """Return every name below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture
def names():
    """Return a function that lists every name below a folder."""
    return tree
