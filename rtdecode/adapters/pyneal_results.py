"""Pyneal's results server: stimulus scripts that were written for Pyneal work unchanged.

A client connects, sends a volume's number from 0 as up to 16 ASCII digits, gets one line of JSON,
and the server closes. One that is silent, slow or talks nonsense delays nobody.
"""

import asyncio
import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

from rtdecode.adapters.address import Address
from rtdecode.adapters.server import serve_clients
from rtdecode.errors import ConfigError
from rtdecode.types import Decision, Outcome
from rtdecode.wire import Numbered, Status

PORT = 5556
"""Pyneal's own for results."""
MAX_REQUEST_BYTES = 16
USUAL_DIGITS = 4
"""Pyneal's clients send as many and no end; other lengths are taken as they stand after a pause."""
PAUSE_S = 0.2
SILENCE_S = 5.0
"""After so long without a digit, or without reading its answer, a client is left."""
VALUE_KEY = "average"
"""What Pyneal calls its result by default."""


def run(
    session: Path,
    listen: Address,
    values: dict[str, str],
    stop: Event,
    on_ready: Callable[[Address], None],
    keys: Path | None = None,
) -> None:
    """Answer Pyneal's clients until `stop` is set.

    Parameters
    ----------
    session
        The folder of a session that is being served.
    listen
        Where clients connect.
    values
        Class by key: an answer has the class's fast probability under the key. Where there is
        none, `average` is that of the bundle's first class.
    stop, on_ready, keys
        As for `rtdecode.adapters.server.serve_clients`.

    Raises
    ------
    ConfigError
        It cannot start, or the bundle has no class of a name in `values`.
    """
    results = Results(values)
    serve_clients(listen, session, results, results.answer, stop, on_ready, keys)


class Results:
    """The current run's outcomes, by volume.

    Parameters
    ----------
    values
        As for `run`.
    """

    def __init__(self, values: dict[str, str]) -> None:
        self._values = values
        self._classes: tuple[str, ...] = ()
        self._run = ("", 0)
        self._found: dict[int, bytes] = {}

    def begin(self, status: Status) -> None:
        """Learn the classes' names."""
        unknown = sorted(set(self._values.values()) - set(status.classes))
        if unknown:
            raise ConfigError(
                f"--value names no class of the bundle: {', '.join(unknown)}; its classes are "
                f"{', '.join(status.classes)}"
            )
        self._classes = status.classes

    def take(self, numbered: Numbered) -> None:
        """Keep an outcome; those of earlier runs are forgotten."""
        if self._run != (numbered.session, numbered.run):
            self._run = (numbered.session, numbered.run)
            self._found.clear()
        self._found[numbered.index] = _line(self._result(numbered.outcome))

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one client's one request."""
        request = await _request(reader)
        if request:
            writer.write(self.line(request))
            writer.write_eof()
            # Closing with something unread would take the answer back.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(_the_rest(reader), SILENCE_S)

    def line(self, request: bytes) -> bytes:
        """Return the answer to a request, a line of JSON."""
        digits = request.strip()
        if not digits.isdigit() or len(request) > MAX_REQUEST_BYTES:
            error = "a request is a volume's number from 0, in up to 16 digits"
            return _line({"foundResults": False, "error": error})
        return self._found.get(int(digits), _line({"foundResults": False}))

    def _result(self, outcome: Outcome) -> dict[str, Any]:
        if not isinstance(outcome, Decision):
            return {"foundResults": False, "skipped": str(outcome.reason)}
        names = self._classes
        if len(names) != len(outcome.fast):  # of a bundle whose service is gone
            return {"foundResults": False, "skipped": "other classes"}
        probabilities = dict(zip(names, outcome.probabilities, strict=True))
        fast = dict(zip(names, outcome.fast, strict=True))
        values = self._values or {VALUE_KEY: names[0]}
        return {
            "foundResults": True,
            **{key: fast[name] for key, name in values.items()},
            "label": outcome.label,
            "probabilities": probabilities,
            "fast": fast,
            "usable": outcome.quality.usable,
        }


async def _request(reader: asyncio.StreamReader) -> bytes:
    """Return what a client asks; empty where it says nothing."""
    request = b""
    while len(request) < USUAL_DIGITS and not request.endswith(b"\n"):
        try:
            more = await asyncio.wait_for(
                reader.read(MAX_REQUEST_BYTES + 1), PAUSE_S if request else SILENCE_S
            )
        except TimeoutError:
            break
        if not more:
            break
        request += more
    return request


async def _the_rest(reader: asyncio.StreamReader) -> None:
    while await reader.read(1 << 12):
        pass


def _line(result: dict[str, Any]) -> bytes:
    return json.dumps(result).encode() + b"\n"
