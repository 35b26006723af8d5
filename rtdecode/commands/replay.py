"""`rtdecode replay`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rtdecode.commands.options import ClientKeys

if TYPE_CHECKING:
    from rtdecode.engine import Provider


def replay(
    path: Annotated[
        list[Path] | None, typer.Argument(help="The recorded series: its folder or files.")
    ] = None,
    to: Annotated[
        str | None, typer.Option(help="A folder, or a service's ingest socket (tcp://...).")
    ] = None,
    speed: Annotated[
        str,
        typer.Option(help="Speed: 1 as recorded, 10 ten times faster, max as fast as possible."),
    ] = "1",
    verify: Annotated[
        Path | None,
        typer.Option(help="Compute this session's outcomes again and compare them."),
    ] = None,
    bundle: Annotated[Path | None, typer.Option(help="For --verify: the decoder's bundle.")] = None,
    provider: Annotated[
        Literal["cpu", "cuda", "auto"] | None,
        typer.Option(help="For --verify: where the network runs. [default: as recorded]"),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            help="For --verify: CPU threads of the network. [default: as recorded]", min=1
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="For --verify: print JSON.")] = False,
    keys: ClientKeys = None,
) -> None:
    """Play a recorded series into a folder or a service, or verify a recorded session.

    With --verify the exit code is 0 if every outcome equals the recorded one byte for byte, else 1.

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
    late = f"; the latest was sent {report.latest_ms:.0f} ms late" if speed != "max" else ""
    typer.echo(
        f"played {report.volumes} volumes in {report.objects} files in {report.seconds:.1f} s{late}"
    )


def _verify(
    session: Path, bundle: Path, provider: "Provider | None", threads: int | None, *, as_json: bool
) -> None:
    import msgspec

    from rtdecode import bundle as bundles
    from rtdecode.journal import ServiceStart
    from rtdecode.pipeline import Pipeline
    from rtdecode.service import recorded_execution, verify

    recorded_provider, recorded_threads = recorded_execution(session)
    threads = threads or recorded_threads
    loaded = bundles.load(bundle)
    pipeline = Pipeline(loaded, provider or recorded_provider, threads)
    now = ServiceStart(0, loaded.digest, {"provider": pipeline.provider, "threads": threads})
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
    raise typer.Exit(1 if any(r.difference for r in results) else 0)
