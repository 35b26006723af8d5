"""Pyneal's results server, so that stimulus scripts for Pyneal work unchanged.

A client connects, sends the number of a volume from 0 as up to 16 ASCII digits, gets one line of
JSON, and the server closes the connection. No client delays another client.
"""

import asyncio
import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

from rtdecode.adapters.address import Address
from rtdecode.adapters.server import read_to_end, serve_clients
from rtdecode.errors import ConfigError
from rtdecode.types import Decision, Outcome
from rtdecode.wire import Numbered, Status

MAX_REQUEST_BYTES = 16
USUAL_DIGITS = 4
"""Pyneal's clients send this number of digits; a shorter request ends with a pause."""
PAUSE_S = 0.2
"""Length of that pause, seconds."""
SILENCE_S = 5.0
"""Time limit for a client to send a digit, and to read its answer, seconds."""
VALUE_KEY = "average"
"""Pyneal's default name of a result."""


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
        Folder of a session that a service has opened.
    listen
        Address for clients.
    values
        Class by key: an answer has the class's fast probability under the key. If empty,
        `average` is the fast probability of the bundle's first class.
    stop, on_ready, keys
        As for `rtdecode.adapters.server.serve_clients`.

    Raises
    ------
    ConfigError
        The adapter cannot start, or `values` names a class that the bundle does not have.
    """
    results = Results(values)
    serve_clients(listen, session, results, results.answer, stop, on_ready, keys)


class Results:
    """The results of the current run, by volume.

    Parameters
    ----------
    values
        As for `run`.
    """

    def __init__(self, values: dict[str, str]) -> None:
        self._values = values
        self._classes: tuple[str, ...] = ()
        self._run = ("", 0)
        self._lines: dict[int, bytes] = {}

    def begin(self, status: Status) -> None:
        """Use the names of the classes."""
        unknown = sorted(set(self._values.values()) - set(status.classes))
        if unknown:
            raise ConfigError(
                f"--value names classes that the bundle does not have: {', '.join(unknown)}; "
                f"it has {', '.join(status.classes)}"
            )
        self._classes = status.classes

    def take(self, numbered: Numbered) -> None:
        """Add an outcome; the outcomes of earlier runs are dropped."""
        if self._run != (numbered.session, numbered.run):
            self._run = (numbered.session, numbered.run)
            self._lines.clear()
        self._lines[numbered.index] = _line(self._result(numbered.outcome))

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the one request of a client."""
        request = await _request(reader)
        if request:
            writer.write(self.line(request))
            writer.write_eof()
            # Closing a connection with unread bytes would discard the answer.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(read_to_end(reader), SILENCE_S)

    def line(self, request: bytes) -> bytes:
        """Return the answer to a request, a line of JSON."""
        digits = request.strip()
        if not digits.isdigit() or len(request) > MAX_REQUEST_BYTES:
            error = "a request is the number of a volume from 0, in up to 16 digits"
            return _line({"foundResults": False, "error": error})
        return self._lines.get(int(digits), _line({"foundResults": False}))

    def _result(self, outcome: Outcome) -> dict[str, Any]:
        if not isinstance(outcome, Decision):
            return {"foundResults": False, "skipped": str(outcome.reason)}
        names = self._classes
        if len(names) != len(outcome.fast):  # the outcome is from another bundle
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
    """Return the request of a client; empty if it sends nothing."""
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


def _line(result: dict[str, Any]) -> bytes:
    return json.dumps(result).encode() + b"\n"
