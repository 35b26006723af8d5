"""What a run's start says in the log, so that what follows depends on the log alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

Runs = Literal["command", "volume", "series"]
"""What begins and ends runs. `command`: commands only. `volume`: the first run begins with the
service, each further one with the first volume of a new series, and commands end them. `series`: as
`volume`, and a later series of the same protocol ends the run before it."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How a run was begun."""

    runs: Runs = "series"
    dummies: int = 0
    """So many first volumes are not used."""
    former: tuple[str, ...] = ()
    """Digests of the series whose runs had ended."""

    def header(self) -> dict[str, Any]:
        """Return it for the log."""
        return {"runs": self.runs, "dummies": self.dummies, "former": list(self.former)}

    @classmethod
    def of(cls, header: Mapping[str, Any]) -> "Rules":
        """Read it from a run's start; sessions of earlier versions did not follow series."""
        runs = header.get("runs", "volume")
        return cls(
            runs if runs in get_args(Runs) else "volume",
            int(header.get("dummies", 0)),
            tuple(map(str, header.get("former", ()))),
        )
