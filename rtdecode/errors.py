"""Errors, named by their consequence."""

from collections.abc import Callable, Sequence


class RtdecodeError(Exception):
    """Any error that rtdecode raises on purpose; its message says what to do."""


class ConfigError(RtdecodeError):
    """Refuse to start: a setting, path or port is wrong.

    Parameters
    ----------
    problems
        Every problem found, so that the operator mends them in one go.
    """

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class BundleError(ConfigError):
    """Refuse to start: the decoder bundle is incomplete, altered or of another version."""


class VolumeError(RtdecodeError):
    """An object or volume cannot be used; it becomes `Skipped` and the run goes on."""


class ProtocolError(VolumeError):
    """A volume was acquired with another protocol than the bundle's."""


class RunError(RtdecodeError):
    """Stop the run and keep everything recorded so far."""


def check_all(*checks: Callable[[], object]) -> None:
    """Make every check, and refuse with the problems of all of them.

    Parameters
    ----------
    checks
        Each raises `ConfigError` where something is wrong.

    Raises
    ------
    ConfigError
        With every problem, in the order of the checks.
    """
    problems: list[str] = []
    for check in checks:
        try:
            check()
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
