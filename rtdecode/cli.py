"""The `rtdecode` command; other packages add theirs by entry point (group `rtdecode.commands`)."""

import importlib.metadata
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rtdecode import __version__
from rtdecode.adapters.cli import app as adapt
from rtdecode.check.cli import check
from rtdecode.client.cli import control
from rtdecode.client.options import ClientKeys
from rtdecode.dashboard.cli import dashboard
from rtdecode.display.cli import app as display
from rtdecode.errors import ConfigError, RtdecodeError
from rtdecode.export.cli import export
from rtdecode.keys.cli import app as keys_app
from rtdecode.monitor.cli import monitor
from rtdecode.service.cli import resume, serve

if TYPE_CHECKING:
    from rtdecode.engine import Provider

GROUP = "rtdecode.commands"
EXIT_RUN, EXIT_CONFIG = 1, 2


def build() -> typer.Typer:
    """Return the command line with every installed command on it."""
    app = typer.Typer(
        name="rtdecode",
        help="A streaming real-time neurofeedback decoder for fMRI.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
        rich_markup_mode="rich",
    )
    app.callback()(_common)
    app.command()(check)
    app.command()(serve)
    app.command()(resume)
    app.command()(replay)
    app.command()(monitor)
    app.command()(dashboard)
    app.command()(control)
    app.add_typer(adapt, name="adapt")
    app.add_typer(keys_app, name="keys")
    app.add_typer(display, name="display")
    app.command()(export)
    for entry in sorted(importlib.metadata.entry_points(group=GROUP), key=lambda e: e.name):
        _add(app, entry)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns
    -------
    0 where it did what was asked, 2 where it refused to start (usage, configuration or bundle),
    1 where a run was stopped by a fault.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    command = typer.main.get_command(build())
    try:
        # Typer explains wrong usage and Ctrl-C in its own way, and always ends with this exception.
        command.main(args=None if arguments is None else list(arguments), prog_name="rtdecode")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in {"", "rtdecode", "calibration"}:
            raise
        typer.echo(f"rtdecode: {_needs(error)}", err=True)
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
    """Be the console script."""
    sys.exit(main())


def replay(
    path: Annotated[
        list[Path] | None, typer.Argument(help="The recorded series: its folder or files.")
    ] = None,
    to: Annotated[
        str | None, typer.Option(help="A folder, or a service's ingest socket (tcp://...).")
    ] = None,
    speed: Annotated[
        str,
        typer.Option(help="Pace: 1 as recorded, 10 ten times faster, max as fast as it goes."),
    ] = "1",
    verify: Annotated[
        Path | None,
        typer.Option(help="Compute this session's outcomes again and compare, instead."),
    ] = None,
    bundle: Annotated[Path | None, typer.Option(help="For --verify: the decoder.")] = None,
    provider: Annotated[
        Literal["cpu", "cuda", "auto"] | None,
        typer.Option(help="For --verify: where the network runs. [default: as recorded]"),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(help="For --verify: the network's on the CPU. [default: as recorded]", min=1),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="For --verify: print JSON.")] = False,
    keys: ClientKeys = None,
) -> None:
    """Play a recorded series into a folder or a service, or verify a recorded session.

    With --verify the exit code is 0 where every outcome is the recorded one, byte for byte, else 1.

    Example: rtdecode replay dicom/ --to /mnt/scanner --speed 10

    Example: rtdecode replay --verify sub-01_run-1 --bundle bundle/
    """
    if verify is not None:
        if bundle is None or path or to:
            raise typer.BadParameter(
                "--verify SESSION needs --bundle, and takes no PATH and no --to"
            )
        _verify(verify, bundle, provider, threads, as_json=json)
        return
    if not path or to is None or bundle is not None:
        raise typer.BadParameter("give PATH and --to, or --verify SESSION and --bundle")
    from rich.console import Console

    from rtdecode.player import parse_speed, play

    report = play(path, to, parse_speed(speed), console=Console(stderr=True), keys=keys)
    late = f"; the latest left {report.latest_ms:.0f} ms after its time" if speed != "max" else ""
    typer.echo(
        f"played {report.volumes} volumes in {report.objects} files in {report.seconds:.1f} s{late}"
    )


def _verify(
    session: Path, bundle: Path, provider: "Provider | None", threads: int | None, *, as_json: bool
) -> None:
    import msgspec

    from rtdecode import bundle as bundles
    from rtdecode.journal import Serving
    from rtdecode.pipeline import Pipeline
    from rtdecode.service import computed_with, verify

    recorded_provider, recorded_threads = computed_with(session)
    threads = threads or recorded_threads
    loaded = bundles.load(bundle)
    pipeline = Pipeline(loaded, provider or recorded_provider, threads)
    now = Serving(0, loaded.digest, {"provider": pipeline.provider, "threads": threads})
    results = verify(session, pipeline, now)
    if as_json:
        typer.echo(msgspec.json.encode(results))
    for result in () if as_json else results:
        state = "" if result.ended else " of an unfinished run"
        if result.difference is None:
            typer.echo(f"run {result.run}: {result.outcomes} outcomes{state} are as recorded")
            continue
        found = result.difference
        typer.echo(
            f"run {result.run}: volume {found.volume} is the first that is not as recorded\n"
            f"  recorded  {found.recorded}\n  computed  {found.computed}"
        )
        causes = found.circumstances or [
            "bundle, provider, threads, version and system are the same"
        ]
        for cause in causes:
            typer.echo(f"  {cause}")
    raise typer.Exit(EXIT_RUN if any(r.difference for r in results) else 0)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"rtdecode {__version__}")
        raise typer.Exit


def _common(
    _version: Annotated[
        bool,
        # Eager: it answers before a command is missed.
        typer.Option("--version", help="Print the version.", is_eager=True, callback=_show_version),
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what happens.")] = False,
) -> None:
    if verbose:
        logging.getLogger().setLevel(logging.INFO)


def _add(app: typer.Typer, entry: importlib.metadata.EntryPoint) -> None:
    try:
        command = entry.load()
    except ModuleNotFoundError as error:
        reason = _needs(error)

        def explain() -> None:
            raise ConfigError(f"rtdecode {entry.name}: {reason}")

        app.command(
            entry.name,
            help="Not installed: needs rtdecode[calibration].",
            # Whatever was asked of it, this is the answer.
            context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
        )(explain)
        return
    if isinstance(command, typer.Typer):
        app.add_typer(command, name=entry.name)
    else:
        app.command(entry.name)(command)


def _needs(error: ModuleNotFoundError) -> str:
    return f"{error.name} is not installed; pip install 'rtdecode[calibration]'"
