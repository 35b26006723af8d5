"""The operator's dashboard beside a service: a process of its own that ends with it."""

import logging
import subprocess
import sys
from collections.abc import Sequence
from typing import Self

END_S = 5.0
"""How long it may take to end by itself."""

log = logging.getLogger(__name__)


class Beside:
    """Runs one `rtdecode` command beside the service; whatever becomes of it touches nothing here.

    Parameters
    ----------
    arguments
        Of the command.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def start(self) -> None:
        """Start it; where that fails, say so and go on."""
        command = [sys.executable, "-m", "rtdecode", *self._arguments]
        # In a group of its own: Ctrl-C is for the service, which ends it.
        apart = 0
        if sys.platform == "win32":
            apart = subprocess.CREATE_NEW_PROCESS_GROUP
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                creationflags=apart,
                start_new_session=sys.platform != "win32",
            )
        except OSError as error:
            log.warning("the dashboard cannot be started: %s", error.strerror)
