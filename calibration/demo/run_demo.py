"""The steps of the demo."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console

from calibration.calibration_settings import CalibrationSettings
from calibration.compute import one_thread
from calibration.decoders.fit import FittingSettings
from calibration.demo import feedback_report as reports
from calibration.demo.feedback_report import Report
from calibration.demo.scan import ScanSettings, plan, scan, write
from calibration.demo.service_process import serve_and_play
from calibration.demo.show import Show
from calibration.recipe import CalibrationResult, calibrate
from calibration.simulation import SimulatedRun, load_template
from calibration.weights.pretrained import Pretrained, load_pretrained
from rtdecode.dicom import assemble
from rtdecode.errors import ConfigError
from rtdecode.player.play import Speed
from rtdecode.types import Outcome

WEIGHTS = "deeplight-2d-4mm-sim"
STUDY = Path(__file__).parent / "simulated_people.safetensors"
"""The study of other simulated people (tools/experiments/demo_study.py)."""
_PARTICIPANTS = 1000
"""Number of simulated people of each seed of the demo."""


@dataclass(frozen=True, slots=True)
class DemoSettings:
    """The options of the demo."""

    seed: int = 1
    speed: Speed = 10.0
    """Speed of the feedback run's player relative to the scanner."""
    keep: Path | None = None
    """Folder for the files, new or empty. None: the files are deleted."""
    scans: ScanSettings = field(default_factory=ScanSettings)


def run(settings: DemoSettings, console: Console) -> Report:
    """Run the demo.

    Raises
    ------
    ConfigError
        The folder for the files is not empty, or a setting is not valid.
    RunError
        A step failed; the error has the message of the step or of the service.
    """
    _check(settings)
    show = Show(console)
    show.open()
    with _folder(settings.keep) as folder, one_thread():
        report = _run(settings, folder, show)
        if settings.keep is not None:
            report = replace(report, folder=str(folder))
        show.close(report)
    return report


def _run(settings: DemoSettings, folder: Path, show: Show) -> Report:
    """Run all steps in one folder."""
    pretrained = load_pretrained(str(STUDY))
    calibration, feedback = scan(load_template(), settings.scans, settings.seed * _PARTICIPANTS)
    calibration_result = _calibrate(pretrained, calibration, folder, settings, show)
    metrics = calibration_result.bundle.manifest.metrics
    if metrics is None:
        raise ConfigError(
            "the demo's calibration has no held-out figures, because it has no events"
        )
    demo_plan = plan(feedback, calibration_result.bundle.manifest.classes)
    outcomes = _feedback(calibration_result, feedback, demo_plan, folder, settings, show)
    return Report(
        seed=settings.seed,
        simulated=True,
        weights=pretrained.name,
        others=0 if pretrained.study is None else pretrained.study.about.n_people,
        calibration=metrics,
        registration_overlap=calibration_result.bundle.manifest.provenance.registration_overlap,
        feedback=reports.feedback(demo_plan, outcomes),
        seconds={name: round(seconds, 2) for name, seconds in show.seconds.items()},
    )


def _calibrate(
    pretrained: Pretrained,
    simulated_run: SimulatedRun,
    folder: Path,
    settings: DemoSettings,
    show: Show,
) -> CalibrationResult:
    """Scan the participant's calibration run, and compile the decoder from the files."""
    with show.step("calibration scan", "scan the participant: calibration run") as step:
        images = write(simulated_run, folder / "calibration", step.progress)
        step.note = f"{len(simulated_run)} DICOM files"
    with show.step("calibrate", "calibrate: from DICOM to a decoder") as step:
        step.progress("read the run", 0, 1)
        calibration_result = calibrate(
            [assemble([images])],
            pretrained,
            [images.parent / "events.tsv"],
            folder / "decoder",
            CalibrationSettings(
                name="demo",
                fitting=FittingSettings(seed=settings.seed),
                quick_registration=True,
                seed=settings.seed,
            ),
            step.progress,
        )
        metrics = calibration_result.bundle.manifest.metrics
        if metrics is not None:
            step.note = f"held-out blocks: {metrics.accuracy.block:.0%} right"
    return calibration_result


def _feedback(
    calibration_result: CalibrationResult,
    simulated_run: SimulatedRun,
    demo_plan: reports.DemoPlan,
    folder: Path,
    settings: DemoSettings,
    show: Show,
) -> list[Outcome]:
    """Scan the participant's feedback run, and decode it while the images arrive."""
    with show.step("feedback scan", "scan the participant: feedback run") as step:
        images = write(simulated_run, folder / "feedback", step.progress)
        step.note = f"{len(simulated_run)} DICOM files"
    speed = "full speed" if settings.speed == "max" else f"{settings.speed:g} x real time"
    with show.step("feedback", f"serve, and play the run at {speed}") as step:
        with show.live(demo_plan) as on_outcome:
            outcomes = serve_and_play(
                calibration_result.bundle.path,
                images,
                folder / "feedback",
                len(simulated_run),
                settings.speed,
                on_outcome,
            )
        step.note = f"{len(outcomes)} outcomes"
    return outcomes


def _check(settings: DemoSettings) -> None:
    problems = []
    if settings.seed < 0:
        problems.append(f"--seed {settings.seed}: it must be 0 or more")
    if settings.speed != "max" and not settings.speed > 0:
        problems.append(f"--speed {settings.speed}: it must be above 0, or max")
    keep = settings.keep
    if keep is not None and keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
        problems.append(f"--keep {keep}: it must be a new or empty folder")
    if problems:
        raise ConfigError(problems)


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """Yield the working folder: the one to keep, or a temporary one."""
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="rtdecode-demo-", ignore_cleanup_errors=True) as name:
        yield Path(name).resolve()
