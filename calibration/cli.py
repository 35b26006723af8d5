"""`rtdecode calibrate`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rtdecode.errors import ConfigError, check_all
from rtdecode.ports import INGEST

if TYPE_CHECKING:
    from rtdecode.metrics import Metrics
    from rtdecode.types import Volume


EXIT_NO_GO, EXIT_NOT_TESTED = 3, 4


class Preference(StrEnum):
    """Which decoder to compile."""

    BEST = "best"
    DEEP = "deep"
    LINEAR = "linear"
    STACK = "stack"
    POOL = "pool"


class ReadOutChoice(StrEnum):
    """How decisions are made from the evidence of single volumes."""

    BEST = "best"
    WINDOW = "window"
    FILTER = "filter"


class Baselines(StrEnum):
    """Which baselines to compare with."""

    FAST = "fast"
    ALL = "all"


def calibrate(
    out: Annotated[Path, typer.Option(help="The bundle to write: a folder that does not exist.")],
    run: Annotated[
        list[Path] | None,
        typer.Option(
            help="A calibration run: a folder or file of DICOM images, or a session recorded by "
            "`rtdecode serve`. Repeat the option for each further run."
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            help="Instead of --run: calibrate while the run is acquired. Sources as for "
            "`rtdecode serve`: folder:PATH, dicom://..., zmq: or pyneal://HOST:PORT."
        ),
    ] = None,
    events: Annotated[
        list[Path] | None,
        typer.Option(
            help="BIDS events.tsv (onset, duration, trial_type) of each run, in the same order."
        ),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            help="Trial types to decode, and which of them form one class: "
            "face+body:people,house+scene:places. [default: each trial type is a class]"
        ),
    ] = None,
    rest: Annotated[
        bool, typer.Option("--rest", help="Decode rest (the pauses between blocks) as a class.")
    ] = False,
    weights: Annotated[
        str,
        typer.Option(
            help="Pretrained weights: a name from `rtdecode weights list`, a file, or a study of "
            "`rtdecode group`, which needs fewer minutes of this person."
        ),
    ] = "deeplight-2d",
    zero_shot: Annotated[
        bool,
        typer.Option(
            "--zero-shot",
            help="Keep what the weights or the study know; needs no events, only some volumes.",
        ),
    ] = False,
    states: Annotated[
        str | None,
        typer.Option(
            help="Prior: the state of the weights for each class: "
            "left_hand=motor_lh,right_hand=motor_rh. \\[default: states with the classes' names]"
        ),
    ] = None,
    prior: Annotated[
        list[str] | None,
        typer.Option(
            help="Prior: a group map (NIfTI, MNI space) of a class: faces=faces_z.nii.gz. Repeat "
            "the option for each class."
        ),
    ] = None,
    earlier: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="An earlier bundle of this person: its calibration data are used together with "
            "the new run, in the space of that bundle.",
        ),
    ] = None,
    decoder: Annotated[
        Preference,
        typer.Option(help="Decoder to compile. best: chosen on held-out blocks."),
    ] = Preference.BEST,
    read_out: Annotated[
        ReadOutChoice,
        typer.Option(
            help="Read-out: a sliding window, or the forward filter of a hidden Markov model. "
            "best: chosen on held-out blocks."
        ),
    ] = ReadOutChoice.BEST,
    baselines: Annotated[
        Baselines,
        typer.Option(help="Baselines: fast (seconds) or all (minutes)."),
    ] = Baselines.FAST,
    minutes: Annotated[
        float | None,
        typer.Option(
            help="Time limit for the permutation test and the comparisons, after the run is "
            "complete. A test that does not finish gives neither go nor no-go.",
            min=0.0,
        ),
    ] = None,
    lag_s: Annotated[
        float | None,
        typer.Option(help="Haemodynamic lag, seconds. [default: chosen from 3 to 7]", min=0.0),
    ] = None,
    t1: Annotated[
        Path | None, typer.Option(help="The subject's T1-weighted image (NIfTI), if available.")
    ] = None,
    transform: Annotated[
        Path | None, typer.Option(help="An existing EPI-to-MNI transform (ITK or FSL).")
    ] = None,
    volumes: Annotated[
        int | None, typer.Option(help="With --source: number of volumes of the run.", min=10)
    ] = None,
    session: Annotated[
        Path | None,
        typer.Option(help="With --source zmq:: folder in which the run is recorded."),
    ] = None,
    ingest: Annotated[
        str, typer.Option(help="With --source zmq:: address to which objects are pushed.")
    ] = INGEST,
    keys: Annotated[
        Path | None,
        typer.Option(help="With --source zmq:: folder of the service's keys, as for serve."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON.")] = False,
) -> None:
    """Compile a decoder for one person from a few minutes of labelled scanning.

    It registers the run to MNI, chooses lag, layer and decoder on held-out blocks, reports the
    held-out performance with a go or no-go, and writes a bundle for `rtdecode serve`. Read
    report.html in the bundle before you use it. Ctrl-C during the permutation test or the
    comparisons skips the rest of them; a second Ctrl-C stops the command.

    Example: rtdecode calibrate --run dicom/ --events events.tsv --out sub-01.bundle

    Other people's data help if there are few minutes: a study of `rtdecode group`, group maps
    (--prior), or states that the weights know (--states). Such priors are added to the person's own
    data; their weight falls with the number of own blocks. One block of each class is then enough.

    Some trial types, two of them in one class: --classes face+body:people,house+scene:places

    During the acquisition: rtdecode calibrate --source folder:/export --volumes 156 --events
    events.tsv --out sub-01.bundle

    The exit code is 0 for go, 3 for no-go and 4 for not tested (--minutes or Ctrl-C ended the
    permutation test); the bundle is written in these cases. It is 1 or 2 if there is no bundle.
    """
    runs, tables = run or [], events or []
    live = recorded = None
    if source is not None:
        from rtdecode.service import ServiceSettings
        from rtdecode.wire import ANY_PORT

        recorded = session or out.with_name(f"{out.name}-session")
        live = ServiceSettings(
            recorded, source, ANY_PORT, ANY_PORT, ingest, volumes=volumes or 0, keys=keys
        )
    from calibration.data.inputs import check_events, check_inputs, check_options
    from calibration.priors.options import parse_maps, parse_states

    files = {
        "--run": runs,
        "--t1": [t1] if t1 else [],
        "--transform": [transform] if transform else [],
    }
    check_all(
        lambda: check_options(
            runs, source, tables, zero_shot=zero_shot, earlier=earlier, volumes=volumes, out=out
        ),
        lambda: check_events(tables, classes),
        lambda: check_inputs(files, weights, live, earlier),
        lambda: parse_states(states),
        lambda: parse_maps(prior or []),
    )
    # The bundle is verified before torch is imported, which takes seconds.
    from rtdecode import bundle as bundles

    earlier_bundle = None if earlier is None else bundles.load(earlier)

    import msgspec
    from rich.console import Console

    from calibration.budget import Budget
    from calibration.calibration_settings import CalibrationSettings
    from calibration.console import announcements, print_summary
    from calibration.data.acquire import acquire, read_run
    from calibration.decoders.fit import FittingSettings
    from calibration.progress import bars
    from calibration.recipe import calibrate as compile_decoder
    from calibration.recipe import start_preparation
    from calibration.weights.pretrained import load_pretrained
    from rtdecode.clock import SystemClock
    from rtdecode.signals import stopped_by_signals

    console = Console(stderr=True)
    pretrained = load_pretrained(weights)
    settings = CalibrationSettings(
        name=out.name,
        classes=classes,
        rest=rest,
        states=parse_states(states),
        maps=parse_maps(prior or []),
        fitting=FittingSettings(decoder.value, baselines.value, lag_s, read_out=read_out.value),
        t1=t1,
        transform=transform,
    )
    preparation = None
    with bars(console) as progress, ExitStack() as stack:
        if live is not None and volumes is not None:
            preparation = stack.enter_context(
                start_preparation(pretrained, settings, volumes, zero_shot=zero_shot)
            )

            def on_volume(volume: Volume) -> None:
                preparation.add(volume)
                progress("receive the run", len(preparation.volumes), volumes)

            progress("receive the run", 0, volumes)
            acquire(live, on_volume)
            series = [preparation.volumes]
        else:
            series = []
            for done, path in enumerate(runs, start=1):
                progress("read the runs", done - 1, len(runs))
                series.append(read_run(path))
                progress("read the runs", done, len(runs))
        cancelled = threading.Event()
        with stopped_by_signals(cancelled), _name_recording(recorded):
            result = compile_decoder(
                series,
                pretrained,
                tables,
                out,
                settings,
                progress,
                earlier=earlier_bundle,
                preparation=preparation if earlier_bundle is None else None,
                budget=Budget(minutes, SystemClock(), cancelled),
                announce=announcements(console),
            )
    if cancelled.is_set():
        console.print("[yellow]stopped early: the remaining tests and comparisons are left out[/]")
    if json:
        typer.echo(msgspec.json.encode(result.bundle.manifest))
    else:
        print_summary(result, console)
    raise typer.Exit(exit_code(result.bundle.manifest.metrics))


def exit_code(metrics: Metrics | None) -> int:
    """Return the exit code of the verdict; 0 for zero-shot, which has no verdict."""
    from rtdecode.metrics import verdict

    if metrics is None:
        return 0
    return {"go": 0, "no-go": EXIT_NO_GO, "not tested": EXIT_NOT_TESTED}[
        verdict(metrics, ()).outcome
    ]


@contextmanager
def _name_recording(session: Path | None) -> Iterator[None]:
    """Add the path of the acquired run to an error of the calibration."""
    try:
        yield
    except ConfigError as error:
        if session is None:
            raise
        raise ConfigError(
            [*error.problems, f"the run itself is recorded: correct this, and use --run {session}"]
        ) from error
