"""`rtdecode calibrate`: from labelled runs to a decoder bundle."""

from __future__ import annotations

import math
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


class ReadOutChoice(StrEnum):
    """What decides from single volumes."""

    BEST = "best"
    WINDOW = "window"
    FILTER = "filter"


class Baselines(StrEnum):
    """Which decoders to compare with."""

    FAST = "fast"
    ALL = "all"


def calibrate(
    out: Annotated[Path, typer.Option(help="The bundle to write: a folder that does not exist.")],
    run: Annotated[
        list[Path] | None,
        typer.Option(
            help="A calibration run: a folder (or file) of DICOM images, or a session that "
            "`rtdecode serve` recorded. Give the option again for each further run."
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            help="Instead of --run: calibrate while the run is acquired, from folder:PATH, "
            "dicom://..., zmq: or pyneal://HOST:PORT, as `rtdecode serve` takes them."
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
            help="Which trial types to decode, and which as one: face+body:people,house+scene:"
            "places. [default: each trial type is a class]"
        ),
    ] = None,
    rest: Annotated[
        bool, typer.Option("--rest", help="Decode rest, the pauses between blocks, as a class.")
    ] = False,
    weights: Annotated[
        str,
        typer.Option(help="Pretrained weights: a name from `rtdecode weights list`, or a file."),
    ] = "deeplight-2d",
    zero_shot: Annotated[
        bool, typer.Option("--zero-shot", help="Keep the pretrained states; needs no events.")
    ] = False,
    earlier: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="A bundle of this person, yesterday's or the last run's: its calibration data "
            "are used along with the new run's, in its space.",
        ),
    ] = None,
    decoder: Annotated[
        Preference,
        typer.Option(help="Let held-out blocks choose, or say which decoder to compile."),
    ] = Preference.BEST,
    read_out: Annotated[
        ReadOutChoice,
        typer.Option(
            help="Decide by a sliding window or by the forward filter of a hidden Markov chain, or "
            "let held-out blocks choose."
        ),
    ] = ReadOutChoice.BEST,
    baselines: Annotated[
        Baselines,
        typer.Option(help="Compare with what takes seconds, or also with what takes long."),
    ] = Baselines.FAST,
    minutes: Annotated[
        float | None,
        typer.Option(
            help="Time limit for the permutation test and the comparisons once the run is there. "
            "A test that does not end in time gives neither go nor no-go.",
            min=0.0,
        ),
    ] = None,
    lag_s: Annotated[
        float | None,
        typer.Option(help="Haemodynamic lag, seconds. [default: chosen from 3 to 7]", min=0.0),
    ] = None,
    t1: Annotated[
        Path | None, typer.Option(help="The subject's T1-weighted image, NIfTI, if there is one.")
    ] = None,
    transform: Annotated[
        Path | None, typer.Option(help="EPI-to-MNI transform you already have (ITK or FSL).")
    ] = None,
    volumes: Annotated[
        int | None, typer.Option(help="With --source: the run is complete with so many.", min=10)
    ] = None,
    session: Annotated[
        Path | None,
        typer.Option(help="With --source zmq:: folder in which what arrives is recorded."),
    ] = None,
    ingest: Annotated[
        str, typer.Option(help="With --source zmq:: objects are pushed here.")
    ] = INGEST,
    keys: Annotated[
        Path | None,
        typer.Option(help="With --source zmq:: folder of the service's keys, as for serve."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON.")] = False,
) -> None:
    """Compile a decoder for one person from a few minutes of labelled scanning.

    It learns where this person's brain differs, chooses lag, layer and decoder on held-out blocks,
    says how good the result is and whether to go on, and writes a bundle for `rtdecode serve`.
    Open report.html in the bundle before you use it. Ctrl-C while it chooses or compares keeps the
    best so far; a second one stops.

    Example: rtdecode calibrate --run dicom/ --events events.tsv --out sub-01.bundle

    Some trial types, two as one class: --classes face+body:people,house+scene:places

    While the run is acquired: rtdecode calibrate --source folder:/export --volumes 156 --events
    events.tsv --out sub-01.bundle

    The exit code is 0 for go, 3 for no-go and 4 for not tested (--minutes or Ctrl-C ended the
    permutation test); the bundle is written in each case. It is 1 or 2 where there is no bundle.
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
    from calibration.data.inputs import check_inputs

    files = {
        "--run": runs,
        "--t1": [t1] if t1 else [],
        "--transform": [transform] if transform else [],
    }
    check_all(
        lambda: _check(
            runs, source, tables, zero_shot=zero_shot, earlier=earlier, volumes=volumes, out=out
        ),
        lambda: check_events(tables, classes),
        lambda: check_inputs(files, weights, live, earlier),
    )
    # The bundle is verified before torch is imported, which takes seconds.
    from rtdecode import bundle as bundles

    known = None if earlier is None else bundles.load(earlier)

    import msgspec
    from rich.console import Console

    from calibration.budget import Budget
    from calibration.console import announcements, print_summary
    from calibration.data.acquire import acquire, read_run
    from calibration.decoders.fit import FittingSettings
    from calibration.progress import bars
    from calibration.recipe import CalibrationSettings, preparing
    from calibration.recipe import calibrate as compile_decoder
    from calibration.weights.pretrained import load_pretrained
    from rtdecode.clock import SystemClock
    from rtdecode.signals import stopped_by_signals

    console = Console(stderr=True)
    pretrained = load_pretrained(weights)
    settings = CalibrationSettings(
        name=out.name,
        classes=classes,
        rest=rest,
        fitting=FittingSettings(decoder.value, baselines.value, lag_s, read_out=read_out.value),
        t1=t1,
        transform=transform,
    )
    begun = None
    with bars(console) as progress, ExitStack() as stack:
        if live is not None and volumes is not None:
            begun = stack.enter_context(
                preparing(pretrained, settings, volumes, zero_shot=zero_shot)
            )

            def came(volume: Volume) -> None:
                begun.add(volume)
                progress("the run, as it comes", len(begun.volumes), volumes)

            progress("the run, as it comes", 0, volumes)
            acquire(live, came)
            series = [begun.volumes]
        else:
            series = []
            for done, path in enumerate(runs, start=1):
                progress("read the runs", done - 1, len(runs))
                series.append(read_run(path))
                progress("read the runs", done, len(runs))
        enough = threading.Event()
        with stopped_by_signals(enough), _recorded(recorded):
            result = compile_decoder(
                series,
                pretrained,
                tables,
                out,
                settings,
                progress,
                earlier=known,
                begun=begun if known is None else None,
                budget=Budget(minutes, SystemClock(), enough),
                announce=announcements(console),
            )
    if enough.is_set():
        console.print(
            "[yellow]stopped early: what was not tested or compared by then is left out[/]"
        )
    if json:
        typer.echo(msgspec.json.encode(result.bundle.manifest))
    else:
        print_summary(result, console)
    raise typer.Exit(exit_code(result.bundle.manifest.metrics))


def exit_code(metrics: Metrics | None) -> int:
    """Return what a script reads: whether chance is excluded. Zero-shot claims nothing."""
    from rtdecode.metrics import verdict

    if metrics is None:
        return 0
    return {"go": 0, "no-go": EXIT_NO_GO, "not tested": EXIT_NOT_TESTED}[
        verdict(metrics, ()).outcome
    ]


@contextmanager
def _recorded(session: Path | None) -> Iterator[None]:
    """Say where a run that was acquired is, if what follows cannot use it."""
    try:
        yield
    except ConfigError as error:
        if session is None:
            raise
        raise ConfigError(
            [*error.problems, f"the run itself is safe: mend this, and use --run {session}"]
        ) from error


def check_events(events: list[Path], classes: str | None) -> None:
    """Refuse events that cannot be right whatever the run, before it is read or acquired.

    Raises
    ------
    ConfigError
        With every problem.
    """
    from calibration.data.blocks import find_blocks, parse_classes
    from rtdecode.events import read_events

    types: list[str] = []
    for path in events:
        blocks = find_blocks(read_events(path), path, math.inf)
        types += [block.trial_type for block in blocks]
    if events:
        parse_classes(classes, types)


def _check(
    runs: list[Path],
    source: str | None,
    events: list[Path],
    *,
    zero_shot: bool,
    earlier: Path | None,
    volumes: int | None,
    out: Path,
) -> None:
    problems = []
    if out.exists():
        problems.append(f"{out}: already exists; choose another --out or remove it first")
    if bool(runs) == (source is not None):
        problems.append("give either --run (once for each run) or --source, not both")
    if source is not None and volumes is None:
        problems.append("--source needs --volumes: how many the calibration run will have")
    if zero_shot and (events or earlier is not None):
        problems.append("--zero-shot keeps the pretrained states: it takes no --events or --from")
    if not zero_shot and not events:
        problems.append("give --events FILE (fit to this person), or --zero-shot")
    if events and len(events) != max(1, len(runs)):
        problems.append(
            f"{len(runs)} runs and {len(events)} events files: give one --events for each --run, "
            "in the same order"
        )
    if problems:
        raise ConfigError(problems)


def demo(
    seed: Annotated[int, typer.Option(help="Other people, other noise.", min=0)] = 1,
    speed: Annotated[
        str, typer.Option(help="Pace of the feedback run: 1 as a scanner's, 10, or max.")
    ] = "10",
    keep: Annotated[
        Path | None, typer.Option(help="Keep the files (DICOM, decoder, record) in this folder.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Show the whole chain at work on a simulated participant, in about two minutes.

    Needs no download, no GPU and no scanner. It scans a simulated participant as DICOM, calibrates
    the small network that rtdecode ships, serves, and shows decisions beside the truth.

    Example: rtdecode demo --keep demo/
    """
    import msgspec
    from rich.console import Console

    from calibration.demo import DemoSettings
    from calibration.demo import run as run_demo
    from rtdecode.player import parse_speed

    settings = DemoSettings(seed=seed, speed=parse_speed(speed), keep=keep)
    report = run_demo(settings, Console(stderr=json))
    if json:
        typer.echo(msgspec.json.encode(report))
