"""The `rtdecode` command; other packages add theirs by entry point (group `rtdecode.commands`)."""

import importlib.metadata
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rtdecode import __version__
from rtdecode.adapters.cli import app as adapt
from rtdecode.errors import ConfigError, RtdecodeError
from rtdecode.export.cli import export
from rtdecode.keys.cli import app as keys_app

if TYPE_CHECKING:
    from rtdecode.engine import Provider
    from rtdecode.pipeline import Pipeline
    from rtdecode.service import ServiceSettings

GROUP = "rtdecode.commands"
EXIT_RUN, EXIT_CONFIG = 1, 2
ClientKeys = Annotated[
    Path | None, typer.Option(help="Folder of this client's keys, or its .key_secret file.")
]
OUTCOMES, CONTROL, INGEST = (f"tcp://127.0.0.1:{port}" for port in (7801, 7802, 7803))


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
    app.command()(serve)
    app.command()(resume)
    app.command()(replay)
    app.command()(monitor)
    app.command()(control)
    app.add_typer(adapt, name="adapt")
    app.add_typer(keys_app, name="keys")
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


def serve(
    bundle: Annotated[Path, typer.Option(help="The decoder: a folder from `rtdecode calibrate`.")],
    source: Annotated[
        str,
        typer.Option(
            help="Where volumes come from. folder:PATH: the scanner writes files there. "
            "dicom://HOST:PORT?aet=TITLE&from=TITLE,TITLE: the scanner sends DICOM here. "
            "zmq: objects are pushed to --ingest (tools/forward_folder does). "
            "pyneal://HOST:PORT: Pyneal's scanner programs send volumes here. "
            "recording:PATH: a session again."
        ),
    ],
    session: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the session's record; an unfinished run in it is continued. "
            "[default: sessions/DATE-TIME]"
        ),
    ] = None,
    volumes: Annotated[
        int, typer.Option(help="End after this many volumes (0: when told or at Ctrl-C).", min=0)
    ] = 0,
    provider: Annotated[
        Literal["cpu", "cuda", "auto"], typer.Option(help="Where the network runs.")
    ] = "auto",
    threads: Annotated[int, typer.Option(help="Network's threads on the CPU.", min=1)] = 1,
    patience_s: Annotated[
        float | None,
        typer.Option(help="Wait for an overtaken volume. [default: one repetition time]"),
    ] = None,
    deadline_s: Annotated[
        float | None,
        typer.Option(
            help="A decision that is recorded later after its volume is late. [default: one "
            "repetition time]"
        ),
    ] = None,
    late: Annotated[
        Literal["publish", "skip"],
        typer.Option(help="Publish late decisions, marked, or publish the volume as skipped."),
    ] = "publish",
    runs: Annotated[
        Literal["command", "volume", "series"],
        typer.Option(
            help="What begins and ends runs: commands only; a new series' first volume begins one "
            "after another's end; or a new series also ends the one before it."
        ),
    ] = "series",
    dummies: Annotated[
        int, typer.Option(help="Skip so many first volumes of a run (not in steady state).", min=0)
    ] = 0,
    polling: Annotated[
        bool, typer.Option("--polling", help="Poll the folder; network shares are polled anyway.")
    ] = False,
    outcomes: Annotated[str, typer.Option(help="Outcomes are published here.")] = OUTCOMES,
    control: Annotated[str, typer.Option(help="Status and commands.")] = CONTROL,
    ingest: Annotated[str, typer.Option(help="Objects are pushed here (source zmq:).")] = INGEST,
    keys: Annotated[
        Path | None,
        typer.Option(help="Folder of the service's keys: other computers may connect with theirs."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Decode volumes as they come, and publish one outcome for each.

    Stop with Ctrl-C; start again with the same --session to continue where it stopped.

    Example: rtdecode serve --bundle bundle/ --source folder:/mnt/scanner --session sub-01_run-1

    Over DICOM, in quotes: --source 'dicom://:11112?aet=RTDECODE'
    """
    from rtdecode import bundle as bundles
    from rtdecode.pipeline import Pipeline
    from rtdecode.service import ServiceSettings

    logging.getLogger("rtdecode").setLevel(logging.INFO)
    loaded = bundles.load(bundle)
    pipeline = Pipeline(loaded, provider, threads)
    folder = session or Path("sessions") / time.strftime("%Y%m%d-%H%M%S")
    settings = ServiceSettings(
        session=folder,
        source=source,
        outcomes=outcomes,
        control=control,
        ingest=ingest,
        volumes=volumes,
        patience_s=patience_s,
        deadline_s=deadline_s,
        late=late,
        runs=runs,
        dummies=dummies,
        force_polling=polling,
        provider=pipeline.provider,
        threads=threads,
        bundle=bundle,
        keys=keys,
    )
    _serve(settings, pipeline, loaded.manifest.name, as_json=json)


def resume(
    session: Annotated[Path, typer.Argument(help="The session's folder.")],
    json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Go on with a session's unfinished run, with the settings that it was served with.

    For other settings give the same --session to rtdecode serve.

    Example: rtdecode resume sub-01_run-1
    """
    from rtdecode import bundle as bundles
    from rtdecode.pipeline import Pipeline
    from rtdecode.service import resumable

    logging.getLogger("rtdecode").setLevel(logging.INFO)
    settings, bundle, digest = resumable(session)
    loaded = bundles.load(bundle)
    if loaded.digest != digest:
        raise ConfigError(
            f"the unfinished run of session {session} was begun with bundle {digest}, and "
            f"{bundle} is now bundle {loaded.digest}; put that one back, or give its place "
            f"to rtdecode serve --session {session}"
        )
    # The one that `auto` had chosen: another would not give the same outcomes.
    pipeline = Pipeline(loaded, "cuda" if settings.provider == "cuda" else "cpu", settings.threads)
    _serve(settings, pipeline, loaded.manifest.name, as_json=json)


def _serve(settings: "ServiceSettings", pipeline: "Pipeline", name: str, *, as_json: bool) -> None:
    import msgspec

    from rtdecode.service import Endpoints
    from rtdecode.service import serve as run_service

    deadline_s = settings.deadline_s or pipeline.repetition_time_s
    shown = "published marked late" if settings.late == "publish" else "withheld"

    def announce(endpoints: Endpoints) -> None:
        typer.echo(
            f"ready: {name} ({len(pipeline.classes)} classes) on {settings.runs_on}; session "
            f"{settings.session}\n"
            f"outcomes {endpoints.outcomes}  control {endpoints.control}"
            + (f"  ingest {endpoints.ingest}" if endpoints.ingest else "")
            + f"\ndecisions later than {deadline_s:g} s after their volume are {shown}"
            + f"\nwatch with: rtdecode monitor --session {settings.session}"
            + (" --keys A_CLIENTS_KEYS" if settings.keys else ""),
            err=True,
        )

    typer.echo("warming up (the first time compiles for some seconds) ...", err=True)
    summary = run_service(settings, pipeline, on_ready=announce)
    if as_json:
        typer.echo(msgspec.json.encode(msgspec.to_builtins(summary, enc_hook=str)))
    else:
        typer.echo(
            f"run {summary.run} {summary.state}: {summary.decisions} decisions ({summary.late} "
            f"late), {summary.skipped} skipped, {summary.unreadable} objects unreadable, "
            f"{summary.left_out} left out, "
            f"{summary.conflicts} in conflict; latency p50 {summary.latency_p50_ms:.0f} ms, p95 "
            f"{summary.latency_p95_ms:.0f} ms\n"
            f"outcomes sha256 {summary.outcomes_sha256}"
        )
        if summary.fault:
            typer.echo(f"fault: {summary.fault}", err=True)
    raise typer.Exit(summary.exit_code)


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
        Literal["cpu", "cuda", "auto"], typer.Option(help="For --verify: as for serve.")
    ] = "cpu",
    threads: Annotated[int, typer.Option(help="For --verify: as for serve.", min=1)] = 1,
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
    session: Path, bundle: Path, provider: "Provider", threads: int, *, as_json: bool
) -> None:
    import msgspec

    from rtdecode import bundle as bundles
    from rtdecode.journal import Serving
    from rtdecode.pipeline import Pipeline
    from rtdecode.service import verify

    loaded = bundles.load(bundle)
    pipeline = Pipeline(loaded, provider, threads)
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


def monitor(
    session: Annotated[
        Path | None, typer.Option(help="Find the service by its session folder.")
    ] = None,
    outcomes: Annotated[str, typer.Option(help="The service's outcomes.")] = OUTCOMES,
    control: Annotated[str, typer.Option(help="The service's control.")] = CONTROL,
    keys: ClientKeys = None,
    json: Annotated[bool, typer.Option("--json", help="Print a line of JSON an outcome.")] = False,
) -> None:
    """Show decisions, motion and latency live in the terminal.

    Example: rtdecode monitor --session sub-01_run-1
    """
    from rich.console import Console

    from rtdecode.client import session_endpoints
    from rtdecode.monitor import watch

    if session is not None:
        found = session_endpoints(session)
        outcomes, control = found["outcomes"], found["control"]
    watch(outcomes, control, Console(), as_json=json, keys=keys)


def control(
    action: Annotated[
        Literal["start", "end", "pause", "resume", "mark", "status", "shutdown"],
        typer.Argument(help="What to do."),
    ],
    text: Annotated[str | None, typer.Argument(help="The remark, for mark.")] = None,
    session: Annotated[
        Path | None, typer.Option(help="Find the service by its session folder.")
    ] = None,
    endpoint: Annotated[str, typer.Option("--control", help="The service's control.")] = CONTROL,
    keys: ClientKeys = None,
    json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Start, end, pause or resume a run; put a remark into its record; ask how it stands.

    In a pause volumes are recorded and keep the statistics going, and none has a decision.

    Example: rtdecode control --session sub-01_run-1 mark "the participant coughed"
    """
    import msgspec

    from rtdecode.client import Control, session_endpoints

    if (text is None) == (action == "mark"):
        raise ConfigError("mark needs the remark's text, and nothing else takes one")
    if session is not None:
        endpoint = session_endpoints(session)["control"]
    with Control(endpoint, keys=keys) as service:
        if action == "status":
            status = service.status()
            told = (
                f"run {status.run} {status.state}: {status.decisions} decisions, {status.skipped} "
                f"skipped; {status.objects} objects, {status.unreadable} unreadable, "
                f"{status.left_out} left out, {status.conflicts} in conflict"
            )
            answer = msgspec.to_builtins(status)
            told += f"\n{status.detail}" if status.detail else ""
        else:
            told = service.mark(text) if text is not None else getattr(service, action)()
            answer = {"done": told}
    typer.echo(msgspec.json.encode(answer) if json else told)


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
