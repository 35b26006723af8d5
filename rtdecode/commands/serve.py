"""`rtdecode serve` and `rtdecode resume`."""

import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rtdecode.errors import ConfigError
from rtdecode.ports import CONTROL, INGEST, OUTCOMES

if TYPE_CHECKING:
    from rtdecode.pipeline import Pipeline
    from rtdecode.service.settings import ServiceSettings


def serve(
    bundle: Annotated[Path, typer.Option(help="The decoder: a folder from `rtdecode calibrate`.")],
    source: Annotated[
        str,
        typer.Option(
            help="Where volumes come from. folder:PATH: the scanner writes files there. "
            "dicom://HOST:PORT?aet=TITLE&from=TITLE,TITLE: the scanner sends DICOM here. "
            "zmq: objects are pushed to --ingest (rtdecode forward does). "
            "pyneal://HOST:PORT: Pyneal's scanner programs send volumes here. "
            "recording:PATH: a recorded session."
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
        int, typer.Option(help="End after this many volumes (0: at a command or Ctrl-C).", min=0)
    ] = 0,
    provider: Annotated[
        Literal["cpu", "cuda", "auto"], typer.Option(help="Where the network runs.")
    ] = "auto",
    threads: Annotated[int, typer.Option(help="CPU threads of the network.", min=1)] = 1,
    patience_s: Annotated[
        float | None,
        typer.Option(
            help="Waiting time for a missing volume, seconds. [default: one repetition time]"
        ),
    ] = None,
    deadline_s: Annotated[
        float | None,
        typer.Option(
            help="Time limit from a volume to its recorded decision, seconds; later decisions are "
            "late. [default: one repetition time]"
        ),
    ] = None,
    late: Annotated[
        Literal["publish", "skip"],
        typer.Option(help="Publish late decisions as late, or publish their volumes as skipped."),
    ] = "publish",
    runs: Annotated[
        Literal["command", "volume", "series"],
        typer.Option(
            help="What begins and ends runs. command: only commands. volume: a new series begins a "
            "run if none is open. series: a new series also ends the open run."
        ),
    ] = "series",
    dummies: Annotated[
        int,
        typer.Option(help="Volumes to skip at the start of a run (not in steady state).", min=0),
    ] = 0,
    polling: Annotated[
        bool, typer.Option("--polling", help="Poll the folder; network shares are polled anyway.")
    ] = False,
    outcomes: Annotated[str, typer.Option(help="Endpoint of the outcomes.")] = OUTCOMES,
    control: Annotated[str, typer.Option(help="Endpoint for requests.")] = CONTROL,
    ingest: Annotated[
        str, typer.Option(help="Endpoint for pushed objects (source zmq:).")
    ] = INGEST,
    keys: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the service's keys; other computers connect with their own keys."
        ),
    ] = None,
    dashboard: Annotated[
        bool,
        typer.Option("--dashboard", help="Open `rtdecode dashboard` too, until the service ends."),
    ] = False,
    events: Annotated[
        Path | None, typer.Option(help="For --dashboard: blocks of the run, as a BIDS events.tsv.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Decode volumes as they arrive, and publish one outcome for each.

    Stop with Ctrl-C; start again with the same --session to continue the run.

    Example: rtdecode serve --bundle bundle/ --source folder:/mnt/scanner --session sub-01_run-1

    Over DICOM, in quotes: --source 'dicom://:11112?aet=RTDECODE'
    """
    from rtdecode.service import ServiceSettings, check_unfinished

    logging.getLogger("rtdecode").setLevel(logging.INFO)
    if dashboard and keys is not None:
        raise ConfigError(
            "--dashboard with --keys: the dashboard needs a client's keys; start it by itself: "
            "rtdecode dashboard --session SESSION --keys A_CLIENTS_KEYS"
        )
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
        threads=threads,
        bundle=bundle,
        keys=keys,
    )
    _check(settings, bundle, events)

    from rtdecode import bundle as bundles
    from rtdecode.pipeline import Pipeline

    loaded = bundles.load(bundle)
    check_unfinished(folder, loaded.digest)
    pipeline = Pipeline(loaded, provider, threads)
    settings = replace(settings, provider=pipeline.provider)
    dashboard_arguments = (
        ["dashboard", "--session", str(folder), "--bundle", str(bundle)] if dashboard else []
    )
    if dashboard_arguments and events is not None:
        dashboard_arguments += ["--events", str(events)]
    _serve(settings, pipeline, loaded.manifest.name, dashboard_arguments, as_json=json)


def resume(
    session: Annotated[Path, typer.Argument(help="The session's folder.")],
    json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Continue the unfinished run of a session with its earlier settings.

    For other settings give the same --session to rtdecode serve.

    Example: rtdecode resume sub-01_run-1
    """
    from rtdecode.service import resume_settings

    logging.getLogger("rtdecode").setLevel(logging.INFO)
    settings, bundle, digest = resume_settings(session)
    _check(settings, bundle)

    from rtdecode import bundle as bundles
    from rtdecode.pipeline import Pipeline

    loaded = bundles.load(bundle)
    if loaded.digest != digest:
        raise ConfigError(
            f"the unfinished run of session {session} began with bundle {digest}, but "
            f"{bundle} is now bundle {loaded.digest}; restore the earlier bundle, or give its "
            f"folder to rtdecode serve --session {session}"
        )
    # Use the provider that `auto` chose; another one gives other outcomes.
    pipeline = Pipeline(loaded, "cuda" if settings.provider == "cuda" else "cpu", settings.threads)
    _serve(settings, pipeline, loaded.manifest.name, [], as_json=json)


def _check(settings: "ServiceSettings", bundle: Path, events: Path | None = None) -> None:
    """Refuse wrong settings before numba and ONNX Runtime are imported."""
    from rtdecode.dashboard.planned_blocks import read_blocks
    from rtdecode.service import check_bundle, check_start

    check_start(
        settings,
        lambda: check_bundle(bundle),
        lambda: () if events is None else read_blocks(events),
    )


def _serve(
    settings: "ServiceSettings",
    pipeline: "Pipeline",
    name: str,
    dashboard_arguments: list[str],
    *,
    as_json: bool,
) -> None:
    import msgspec

    from rtdecode.service import Endpoints
    from rtdecode.service import serve as run_service
    from rtdecode.service.dashboard_process import DashboardProcess

    deadline_s = settings.deadline_s or pipeline.repetition_time_s
    late_rule = "published as late" if settings.late == "publish" else "withheld"

    def announce(endpoints: Endpoints) -> None:
        typer.echo(
            f"ready: {name} ({len(pipeline.classes)} classes) on {settings.runs_on}; session "
            f"{settings.session}\n"
            f"outcomes {endpoints.outcomes}  control {endpoints.control}"
            + (f"  ingest {endpoints.ingest}" if endpoints.ingest else "")
            + f"\ndecisions later than {deadline_s:g} s after their volume are {late_rule}"
            + f"\nwatch with: rtdecode monitor --session {settings.session}"
            + (" --keys A_CLIENTS_KEYS" if settings.keys else ""),
            err=True,
        )
        if dashboard_arguments:
            dashboard.start()

    typer.echo("warming up (compiling takes some seconds the first time) ...", err=True)
    with DashboardProcess(dashboard_arguments) as dashboard:
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
    _write_record(settings.session)
    raise typer.Exit(summary.exit_code)


def _write_record(session: Path) -> None:
    """Write the tables and the report of a session; print an error instead of raising it."""
    from rtdecode.journal import read_session
    from rtdecode.record import write_in_session

    try:
        if not any(run.outcomes for run in read_session(session).runs):
            return
        written = write_in_session(session)
    except Exception as error:  # noqa: BLE001 - the run has ended and is on disk
        typer.echo(
            f"no report was written ({type(error).__name__}: {error}); the session is complete, "
            f"and rtdecode export {session} --bids FOLDER writes one",
            err=True,
        )
    else:
        typer.echo(f"report: {written.report}", err=True)
