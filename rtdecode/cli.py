"""The `rtdecode` command; other packages add theirs by entry point (group `rtdecode.commands`)."""

import importlib
import importlib.metadata
import logging
import re
import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from rtdecode import __version__
from rtdecode.errors import ConfigError, RtdecodeError

if TYPE_CHECKING:
    from typer.core import TyperCommand, TyperGroup

GROUP = "rtdecode.commands"
EXIT_RUN, EXIT_CONFIG = 1, 2
OWN: Mapping[str, str] = MappingProxyType(
    {
        "check": "check:check",
        "serve": "serve:serve",
        "resume": "serve:resume",
        "forward": "forward:forward",
        "replay": "replay:replay",
        "monitor": "monitor:monitor",
        "dashboard": "dashboard:dashboard",
        "control": "control:control",
        "export": "export:export",
        "adapt": "adapt:app",
        "keys": "keys:app",
        "display": "display:app",
    }
)
"""Our own commands in the order of the help: module of `rtdecode.commands`, and name in it."""


def build() -> "TyperGroup":
    """Return the command line with every installed command on it; each is loaded when needed."""
    app = typer.Typer(
        name="rtdecode",
        help="A streaming real-time neurofeedback decoder for fMRI.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
        rich_markup_mode="rich",
    )
    app.callback()(_common)
    group = typer.main.get_group(app)
    # Typer reads the names and looks up one command by its name.
    group.commands = cast("MutableMapping[str, Any]", _Commands())
    return group


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns
    -------
    0 if the command succeeded, 2 if it refused to start (usage, configuration or bundle), 1 if a
    fault stopped a run.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    command = build()
    try:
        # Typer explains wrong usage and Ctrl-C in its own way, and always ends with this exception.
        command.main(args=None if arguments is None else list(arguments), prog_name="rtdecode")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in {"", "rtdecode", "calibration"}:
            raise
        typer.echo(f"rtdecode: {_missing_package(error)}", err=True)
        return EXIT_CONFIG
    except ConfigError as error:
        for problem in error.problems:
            typer.echo(f"rtdecode: {problem}", err=True)
        return EXIT_CONFIG
    except RtdecodeError as error:
        typer.echo(f"rtdecode: {error}", err=True)
        return EXIT_RUN
    return 0


def run() -> None:
    """Run the console script."""
    sys.exit(main())


class _Commands(Mapping[str, "TyperCommand | TyperGroup"]):
    """Each command by its name; a command is imported when it is looked up."""

    def __init__(self) -> None:
        self._others = {
            entry.name: entry
            for entry in sorted(importlib.metadata.entry_points(group=GROUP), key=lambda e: e.name)
            if entry.name not in OWN
        }

    def __getitem__(self, name: str) -> "TyperCommand | TyperGroup":
        if name in OWN:
            module, _, attribute = OWN[name].partition(":")
            found = importlib.import_module(f"rtdecode.commands.{module}")
            return _command(name, getattr(found, attribute))
        entry = self._others[name]
        try:
            return _command(name, entry.load())
        except ModuleNotFoundError as error:
            return _explanation(name, _missing_package(error))

    def __iter__(self) -> Iterator[str]:
        yield from OWN
        yield from self._others

    def __len__(self) -> int:
        return len(OWN) + len(self._others)


def _command(name: str, target: typer.Typer | Callable[..., None]) -> "TyperCommand | TyperGroup":
    """Return the command of a function or of an app with subcommands."""
    app = typer.Typer(rich_markup_mode="rich")
    if isinstance(target, typer.Typer):
        app.add_typer(target, name=name)
    else:
        app.command(name)(target)
    return _from_app(app, name)


def _from_app(app: typer.Typer, name: str) -> "TyperCommand | TyperGroup":
    command = cast("TyperCommand | TyperGroup", typer.main.get_group(app).commands[name])
    _show_brackets(command)
    return command


def _show_brackets(item: Any) -> None:
    r"""Escape brackets in the help texts of a command; Rich would drop them as markup.

    A bracket that is escaped already (`\[`) does not change.
    """
    if getattr(item, "help", None):
        item.help = re.sub(r"(?<!\\)\[", r"\[", item.help)
    for part in (*getattr(item, "params", ()), *getattr(item, "commands", {}).values()):
        _show_brackets(part)


def _explanation(name: str, reason: str) -> "TyperCommand | TyperGroup":
    """Return a command that says why the command is missing."""

    def explain() -> None:
        raise ConfigError(f"rtdecode {name}: {reason}")

    app = typer.Typer(rich_markup_mode="rich")
    app.command(
        name,
        help="Not installed: needs rtdecode[calibration].",
        # The message answers every use of the command.
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )(explain)
    return _from_app(app, name)


def _missing_package(error: ModuleNotFoundError) -> str:
    return f"{error.name} is not installed; pip install 'rtdecode[calibration]'"


def _show_version(is_given: bool) -> None:
    if is_given:
        typer.echo(f"rtdecode {__version__}")
        raise typer.Exit


def _common(
    _version: Annotated[
        bool,
        # Eager: it works without a command.
        typer.Option("--version", help="Print the version.", is_eager=True, callback=_show_version),
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what happens.")] = False,
) -> None:
    if verbose:
        logging.getLogger().setLevel(logging.INFO)
