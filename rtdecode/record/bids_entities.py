"""The BIDS entities of a session, from options or from its folder's name."""

import re
from dataclasses import dataclass
from pathlib import Path

from rtdecode.errors import ConfigError

UNKNOWN_SUBJECT = "unknown"
TASK = "nf"
_LABEL = re.compile(r"[0-9A-Za-z]+")


@dataclass(frozen=True, slots=True)
class BidsEntities:
    """The BIDS entities of a session's files."""

    subject: str = UNKNOWN_SUBJECT
    session: str | None = None
    """`None`: the file names have no session entity."""
    task: str = TASK
    run: str = "1"
    """Number of the session's first run, with its leading zeros."""

    @property
    def folder(self) -> str:
        """The folder of the files in the data set."""
        return "/".join([f"sub-{self.subject}", *self._session, "func"])

    @property
    def title(self) -> str:
        """The title of the report."""
        return "_".join([f"sub-{self.subject}", *self._session, f"task-{self.task}"])

    def stem(self, run: int) -> str:
        """Return the first part of a run's file names; `run` counts from 1 in the session."""
        number = str(int(self.run) + run - 1).zfill(len(self.run))
        return f"{self.title}_run-{number}"

    @property
    def _session(self) -> list[str]:
        return [] if self.session is None else [f"ses-{self.session}"]


def labels_of(
    folder: Path,
    subject: str | None = None,
    session: str | None = None,
    task: str | None = None,
    run: str | None = None,
) -> BidsEntities:
    """Return the given labels; missing ones are from the folder's name or the defaults.

    Raises
    ------
    ConfigError
        A label is not allowed in BIDS; the error lists every such label.
    """
    name = folder.resolve().name
    given = {"sub": subject, "ses": session, "task": task, "run": run}
    found = {key: value or _entity(name, key) for key, value in given.items()}
    problems = [
        f"the label {key}-{value} is not allowed in BIDS; use letters and digits only"
        for key, value in found.items()
        if value is not None and not _LABEL.fullmatch(value)
    ]
    number = found["run"]
    if number is not None and not (number.isascii() and number.isdigit()):
        problems.append(f"the label run-{number} is not allowed in BIDS; use a number")
    if problems:
        raise ConfigError(problems)
    return BidsEntities(
        found["sub"] or UNKNOWN_SUBJECT, found["ses"], found["task"] or TASK, number or "1"
    )


def _entity(name: str, key: str) -> str | None:
    """Return the value of an entity in a folder's name, if BIDS allows it."""
    value = r"[0-9]+" if key == "run" else r"[0-9A-Za-z]+"
    found = re.search(rf"(?:^|_){key}-({value})(?:_|$)", name, re.ASCII)
    return None if found is None else found[1]
