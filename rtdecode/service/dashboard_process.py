"""The operator's dashboard as a child process that ends with the service."""

import logging
import subprocess
import sys
from collections.abc import Sequence
from typing import Self

END_S = 5.0
"""Time that the process has to end after the request."""

log = logging.getLogger(__name__)


class DashboardProcess:
    """Runs `rtdecode dashboard` in a child process; its errors do not affect the service.

    Parameters
    ----------
    arguments
        The arguments of `rtdecode`.
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
        """Start the process; a failure is logged."""
        command = [sys.executable, "-m", "rtdecode", *self._arguments]
        # In its own process group: Ctrl-C goes to the service, which ends the process.
        flags = 0
        if sys.platform == "win32":
            flags = subprocess.CREATE_NEW_PROCESS_GROUP
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                creationflags=flags,
                start_new_session=sys.platform != "win32",
            )
        except OSError as error:
            log.warning("the dashboard cannot be started: %s", error.strerror)
