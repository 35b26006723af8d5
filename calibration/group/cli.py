"""`rtdecode group`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rtdecode.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from calibration.weights.study import StudyDescription


def group(
    bundle: Annotated[
        list[Path],
        typer.Argument(help="Bundles of `rtdecode calibrate`, one for each person, 2 to 100."),
    ],
    out: Annotated[
        Path, typer.Option(help="The study to write: a .safetensors file that does not exist.")
    ],
    classes: Annotated[
        str | None,
        typer.Option(
            help="Trial types, and which of them form one class, as for calibrate. "
            "\\[default: the trial types that all people have]"
        ),
    ] = None,
    rest: Annotated[
        bool, typer.Option("--rest", help="Rest (the pauses between blocks) is a class.")
    ] = False,
    weights: Annotated[
        str | None,
        typer.Option(
            help="Pretrained weights of the bundles, if they are a file. "
            "\\[default: by the name in the bundles]"
        ),
    ] = None,
) -> None:
    """Learn from several people what helps the next one, and write a study.

    A study has the class means of the network's features and of voxels over people, and their
    scatter. `rtdecode calibrate --weights study.safetensors` then needs fewer minutes of the next
    person, and with --zero-shot no labelled minute at all. Each person is decoded with the study of
    the others; the report next to the study shows how well, by the number of own blocks.

    A study contains averages over people, no single volume, and the pretrained weights: their
    licence also applies to it.

    Example: rtdecode group sub-01.bundle sub-02.bundle sub-03.bundle --out study.safetensors

    If the command is interrupted, the same command continues. It keeps intermediate files in
    OUT.work until it is complete.
    """
    problems = []
    if out.exists():
        problems.append(f"--out {out}: already exists; choose another name or remove it first")
    if out.suffix != ".safetensors":
        problems.append(f"--out {out}: the name of a study ends in .safetensors")
    if problems:
        raise ConfigError(problems)

    from calibration.group.read_bundles import load_bundles

    found = load_bundles(bundle)

    import shutil

    from rich.console import Console

    from calibration.compute import best_device, one_thread
    from calibration.group.make_study import make_study
    from calibration.group.read_bundles import read_people
    from calibration.group.selection_cache import WorkFolder
    from calibration.group.study_report import report
    from calibration.progress import bars
    from calibration.weights.pretrained import load_pretrained
    from calibration.weights.study import save_study

    console = Console(stderr=True)
    pretrained = load_pretrained(weights or found[0].manifest.provenance.weights)
    people, about = read_people(found, pretrained, classes, rest=rest, device=best_device())
    work = WorkFolder(out.with_name(f"{out.name}.work"))
    with bars(console) as progress, one_thread():
        study = make_study(people, about, work, progress)
    page = out.with_suffix(".html")
    page.write_text(report(out.stem, study.about), encoding="utf-8")
    save_study(study, pretrained.network, out)
    shutil.rmtree(work.path)
    _show(study.about, console)
    console.print(f"study {out}, report {page}")
    console.print(
        f"next: rtdecode calibrate --weights {out} --run DICOM --events EVENTS.tsv --out NEW.bundle"
    )


def _show(about: StudyDescription, console: Console) -> None:
    """Print the learning curve of the people left out."""
    from rich import box
    from rich.table import Table

    from calibration.weights.study_figures import headline, table

    head, rows = table(about)
    shown = Table(head[0], box=box.SIMPLE)
    for each in head[1:]:
        shown.add_column(each, justify="right")
    for row in rows:
        shown.add_row(*row, style="bold" if row[0] == "pool" else "")
    console.print(shown)
    console.print(headline(about))
