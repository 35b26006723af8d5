"""How a session is called in BIDS: by options, or by its folder's name."""

import re
from dataclasses import dataclass
from pathlib import Path

from rtdecode.errors import ConfigError

UNKNOWN_SUBJECT = "unknown"
TASK = "nf"
_LABEL = re.compile(r"[0-9A-Za-z]+")


@dataclass(frozen=True, slots=True)
class BidsEntities:
    """The entities of a session's files."""

    subject: str = UNKNOWN_SUBJECT
    session: str | None = None
    """`None`: the files name no session."""
    task: str = TASK
    run: str = "1"
    """The session's first run; zeros before it are kept."""

    @property
    def folder(self) -> str:
        """Where the files of a data set lie."""
        return "/".join([f"sub-{self.subject}", *self._session, "func"])

    @property
    def title(self) -> str:
        """What the report is called."""
        return "_".join([f"sub-{self.subject}", *self._session, f"task-{self.task}"])

    def stem(self, run: int) -> str:
        """Return how a run's files begin; `run` is the session's, from 1."""
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
    """Return labels as they are given, else as the folder's name has them, else the defaults.

    Raises
    ------
    ConfigError
        With every label that BIDS does not allow.
    """
    name = folder.resolve().name
    given = {"sub": subject, "ses": session, "task": task, "run": run}
    found = {key: value or _entity(name, key) for key, value in given.items()}
    problems = [
        f"the label {key}-{value} must be letters and digits only, as BIDS has it"
        for key, value in found.items()
        if value is not None and not _LABEL.fullmatch(value)
    ]
    number = found["run"]
    if number is not None and not (number.isascii() and number.isdigit()):
        problems.append(f"the label run-{number} must be a number, as BIDS has it")
    if problems:
        raise ConfigError(problems)
    return BidsEntities(
        found["sub"] or UNKNOWN_SUBJECT, found["ses"], found["task"] or TASK, number or "1"
    )


def _entity(name: str, key: str) -> str | None:
    """Return an entity of a folder's name that can be one."""
    value = r"[0-9]+" if key == "run" else r"[0-9A-Za-z]+"
    found = re.search(rf"(?:^|_){key}-({value})(?:_|$)", name, re.ASCII)
    return None if found is None else found[1]
