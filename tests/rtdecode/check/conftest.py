"""A plan on the tiny bundle and free ports."""

from pathlib import Path

import pytest

from rtdecode.check import Finding, SessionPlan, walk
from rtdecode.check.context import Subject
from rtdecode.clock import SystemClock
from rtdecode.service import ServiceSettings

ANY = "tcp://127.0.0.1:*"


@pytest.fixture
def plan(bundle, tmp_path) -> SessionPlan:
    """Return a plan of which everything works."""
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
def subject(plan, bundle) -> Subject:
    """Return that plan with its bundle loaded."""
    return Subject(plan, SystemClock(), loaded=bundle)


@pytest.fixture
def rows():
    """Return a function that makes every check of a plan and gives the rows by name."""

    def made(plan: SessionPlan) -> dict[str, Finding]:
        findings = walk(plan, lambda _: None, lambda _: None)
        return {finding.name: finding for finding in findings}

    return made


def tree(folder: Path) -> list[str]:
    """Return every name below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture
def names():
    """Return a function that lists all there is below a folder."""
    return tree
