"""Calibration from a run to a bundle that serves, on a simulated participant and a coarse grid."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from calibration.networks import DeepLight, ReadOut, StreamingDecoder
from calibration.progress import silent
from calibration.recipe import Calibrated, CalibrationSettings, Pretrained, calibrate, walk
from calibration.simulation import (
    ActivationSettings,
    EpiProtocol,
    ParticipantSettings,
    RunDesign,
    SimulatedRun,
    default_states,
    load_template,
    make_participant,
    simulate_run,
    write_events,
)
from rtdecode import bundle as bundles
from rtdecode.engine import Engine
from rtdecode.errors import ConfigError
from rtdecode.stages import Preparation, dilate
from rtdecode.types import Prepared, Volume

GRID = (23, 28, 23)
GRID_AFFINE = np.array([[-8.0, 0, 0, 90], [0, 8, 0, -126], [0, 0, 8, -72], [0, 0, 0, 1]])
STATES = ("looking", "listening", "resting")
LAYER = 4
"""Random weights keep less of the signal the deeper one reads."""
GAP = range(50, 53)
"""Volumes that the fitted calibration never saw."""


@dataclass(frozen=True)
class Calibrations:
    """One run, and what two calibrations made of it."""

    run: SimulatedRun
    volumes: list[Volume]
    """All of the run."""
    with_gap: list[Volume]
    """What the fitted calibration was given."""
    pretrained: Pretrained
    events: Path
    fitted: Calibrated
    zero_shot: Calibrated
    told: list[tuple[str, int, int]]
    """Progress of the fitted calibration."""


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Let torch use one thread, as other tests run beside this one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def pretrained() -> Pretrained:
    """Return a network that has learnt nothing: its random features will do."""
    torch.manual_seed(7)
    return Pretrained("random", DeepLight(GRID, len(STATES)), STATES, GRID_AFFINE, "0" * 64)


def _transform(run: SimulatedRun, path: Path) -> Path:
    """Write the affine map from MNI to the scanner that fits this participant best, for ITK."""
    scanner = np.random.default_rng(1).uniform(-60, 60, (3, 400)) + run.centre_mm[:, None]
    mni = np.vstack([run.participant.to_mni(scanner), np.ones(400)])
    matrix = np.linalg.lstsq(mni.T, scanner.T, rcond=None)[0].T
    # ITK's millimetres are LPS.
    turn = np.diag([-1.0, -1.0, 1.0])
    parameters = [*(turn @ matrix[:, :3] @ turn).ravel(), *(turn @ matrix[:, 3])]
    path.write_text(
        "#Insight Transform File V1.0\n#Transform 0\n"
        "Transform: MatrixOffsetTransformBase_double_3_3\n"
        f"Parameters: {' '.join(f'{p:.9f}' for p in parameters)}\nFixedParameters: 0 0 0\n",
        encoding="utf-8",
    )
    return path


@pytest.fixture(scope="module")
def made(
    one_thread: None,  # noqa: ARG001 - a fixture is used by being asked for
    pretrained: Pretrained,
    tmp_path_factory: pytest.TempPathFactory,
) -> Calibrations:
    """Calibrate twice: fitted to events with a gap in the run, and zero-shot by a transform."""
    folder = tmp_path_factory.mktemp("calibrations")
    states = tuple(s for s in default_states() if s.trial_type in {"left_hand", "places"})
    settings = ParticipantSettings(states, ActivationSettings(bold_percent=8.0, block_spread=0.1))
    participant = make_participant(load_template(), settings, seed=1)
    protocol = EpiProtocol((40, 40, 28), (5.5, 5.5, 5.0), repetition_time_s=2.0)
    design = RunDesign(blocks_per_state=4, block_s=12.0, rest_s=8.0, protocol=protocol)
    run = simulate_run(participant, design, seed=3)
    volumes = list(run.volumes())
    with_gap = [v for v in volumes if v.index not in GAP]
    events = write_events(run.events, folder / "events.tsv")
    told: list[tuple[str, int, int]] = []
    fitted = calibrate(
        with_gap,
        pretrained,
        events,
        folder / "fitted",
        CalibrationSettings("fitted", quick_registration=True, read_out_layer=LAYER),
        lambda *step: told.append(step),
    )
    transform = _transform(run, folder / "epi_to_mni.txt")
    zero_shot = calibrate(
        volumes,
        pretrained,
        None,
        folder / "zero-shot",
        CalibrationSettings("zero-shot", window_s=3.0, transform=transform),
    )
    return Calibrations(run, volumes, with_gap, pretrained, events, fitted, zero_shot, told)


def test_bundles_load_again(made: Calibrations) -> None:
    """What calibration returned is what is on disk."""
    for calibrated in (made.fitted, made.zero_shot):
        read = bundles.load(calibrated.bundle.path)
        assert read.digest == calibrated.bundle.digest
        assert read.manifest == calibrated.bundle.manifest
        assert not [p for p in read.path.parent.iterdir() if p.name.startswith(".")]


def test_manifest_says_what_was_done(made: Calibrations) -> None:
    """Classes, window, lag, matrix, grid and origin are those of this calibration."""
    fitted, zero_shot = made.fitted.bundle.manifest, made.zero_shot.bundle.manifest
    assert fitted.classes == ("left_hand", "places")
    assert zero_shot.classes == STATES
    assert (fitted.window_volumes, zero_shot.window_volumes) == (4, 2)
    assert zero_shot.temperature == 1.0
    assert zero_shot.metrics is None
    for manifest in (fitted, zero_shot):
        assert manifest.repetition_time_s == 2.0
        assert manifest.haemodynamic_lag_s == 5.0
        assert manifest.source_shape == (40, 40, 28)
        assert manifest.model_shape == GRID
        np.testing.assert_array_equal(manifest.model_affine, GRID_AFFINE)
        assert manifest.provenance.weights == "random"
        assert manifest.provenance.libraries["torch"] == torch.__version__
    assert fitted.provenance.n_calibration_volumes == len(made.volumes) - 3
    assert "Affine" in fitted.provenance.registration
    assert "epi_to_mni.txt" in zero_shot.provenance.registration
    assert fitted.provenance.data_sha256 != zero_shot.provenance.data_sha256


def test_onnx_agreed_with_torch(made: Calibrations) -> None:
    """Parity was measured over every volume and is far within what is accepted."""
    for calibrated, run in ((made.fitted, made.with_gap), (made.zero_shot, made.volumes)):
        parity = calibrated.bundle.manifest.parity
        assert parity["volumes"] == len(run)
        assert 0 <= parity["probability"] < 1e-4
        assert 0 <= parity["state"] < 1e-4


def test_metrics_are_held_out_figures(made: Calibrations) -> None:
    """Strong activity is decoded above chance, and the figures fit each other."""
    metrics = made.fitted.bundle.manifest.metrics
    assert (metrics.n_blocks, metrics.chance) == (8, 0.5)
    assert 30 <= metrics.n_volumes <= 48
    assert 0.7 < metrics.balanced_accuracy_volume <= 1
    assert 0.75 <= metrics.balanced_accuracy_block <= 1
    low, high = metrics.interval_95_block
    assert 0 < low < metrics.balanced_accuracy_block <= high <= 1
    assert "leave one block of each class out, 4 folds" in metrics.split
    assert "shrinkage LDA" in metrics.baseline
    assert 0 < made.fitted.bundle.manifest.temperature < np.inf


def test_registration_found_the_head(made: Calibrations) -> None:
    """Affine registration lays each voxel where the participant truly has it, within a voxel."""
    for calibrated in (made.fitted, made.zero_shot):
        assert calibrated.registration.overlap > 0.85
        points_mm = calibrated.registration.coordinates_mm.T.astype(float)
        space = calibrated.bundle.space
        grid = np.argwhere(dilate(space.mask)) @ GRID_AFFINE[:3, :3].T + GRID_AFFINE[:3, 3]
        error_mm = np.linalg.norm(made.run.participant.to_mni(points_mm).T - grid, axis=1)
        assert np.median(error_mm) < 8.0


def test_progress_names_every_step_to_its_end(made: Calibrations) -> None:
    """Each step tells when it is done."""
    last = {step: (done, total) for step, done, total in made.told}
    assert {"average the EPI", "register to MNI", "export to ONNX"} <= set(last)
    assert all(done == total for done, total in last.values()), last


def _decided_by_torch(
    calibrated: Calibrated, made: Calibrations, run: list[Volume], read_out: ReadOut | None
) -> Iterator[tuple[Prepared, np.ndarray]]:
    """Yield each prepared volume and what the torch decoder says after it."""
    bundle = calibrated.bundle
    manifest = bundle.manifest
    stages = Preparation(bundle.space, manifest.preparation)
    initial = {n.removeprefix("preparation/"): a for n, a in bundle.initial_state.items()}
    prepared, _ = walk(stages, initial, run, silent, "")
    decoder = StreamingDecoder(
        made.pretrained.network,
        bundle.space.mask,
        manifest.window_volumes,
        manifest.temperature,
        read_out,
    )
    state = [torch.from_numpy(array) for array in decoder.initial_state().values()]
    before = prepared[0].index - 1
    for one in prepared:
        inputs = (one.data.copy(), np.float32(one.quality.usable), np.int64(one.index - before))
        with torch.inference_mode():
            probabilities, _, *state = decoder(*map(torch.as_tensor, inputs), *state)
        before = one.index
        yield one, probabilities.numpy()


def _linear_layer(calibrated: Calibrated) -> ReadOut:
    """Return the fitted output layer as the ONNX file holds it."""
    import onnx

    model = onnx.load_from_string(calibrated.bundle.decoder)
    held = {i.name.rpartition(".")[2]: i for i in model.graph.initializer if "read_out" in i.name}
    weight, bias = (onnx.numpy_helper.to_array(held[name]).copy() for name in ("weight", "bias"))
    return ReadOut(LAYER, weight, bias)


@pytest.mark.parametrize("which", ["fitted", "zero_shot"])
def test_served_run_is_the_calibrated_run(made: Calibrations, which: str) -> None:
    """The engine decides on the run as the torch decoder does on the prepared volumes."""
    fitted = which == "fitted"
    calibrated = getattr(made, which)
    run = made.with_gap if fitted else made.volumes
    read_out = _linear_layer(calibrated) if fitted else None
    engine = Engine(calibrated.bundle)
    labels = set()
    expected = _decided_by_torch(calibrated, made, run, read_out)
    for volume, (prepared, probabilities) in zip(run, expected, strict=True):
        decision = engine.step(volume)
        assert decision.probabilities == pytest.approx(probabilities, abs=1e-4)
        assert (decision.motion, repr(decision.quality)) == (
            prepared.motion,
            repr(prepared.quality),
        )
        labels.add(decision.label)
    assert not fitted or labels == set(calibrated.bundle.manifest.classes)


def test_served_run_is_ready_after_four_volumes(made: Calibrations) -> None:
    """The spread learnt while calibrating makes a run of the same person ready at once."""
    engine = Engine(made.fitted.bundle)
    ready = ["not_ready" not in engine.step(v).quality.why for v in made.volumes[:6]]
    assert ready == [False] * 4 + [True] * 2


def test_wrong_events_are_refused_before_any_computation(made, tmp_path) -> None:
    """A row that is no time is named, and no step has begun."""
    events = tmp_path / "events.tsv"
    text = made.events.read_text(encoding="utf-8").splitlines()
    text[3] = "soon\t12\tplaces"
    events.write_text("\n".join(text), encoding="utf-8")
    told = []
    settings = CalibrationSettings("wrong")
    with pytest.raises(ConfigError, match="row 4") as caught:
        calibrate(
            made.volumes,
            made.pretrained,
            events,
            tmp_path / "out",
            settings,
            lambda *step: told.append(step),
        )
    assert str(events) in caught.value.problems[0]
    assert not told
    assert [p.name for p in tmp_path.iterdir()] == ["events.tsv"]


def test_events_of_another_run_are_refused(made, tmp_path) -> None:
    """Blocks beyond the run's end are named before any computation."""
    told = []
    with pytest.raises(ConfigError, match="are these the events of this run"):
        calibrate(
            made.volumes[:30],
            made.pretrained,
            made.events,
            tmp_path / "out",
            CalibrationSettings("wrong"),
            lambda *step: told.append(step),
        )
    assert not told


def test_what_is_wrong_with_the_run_is_told_at_once(made) -> None:
    """An existing folder, too few volumes and no repetition time are told together."""
    volumes = [replace(v, repetition_time_s=float("nan")) for v in made.volumes[:5]]
    out = made.fitted.bundle.path
    before = sorted(p.stat().st_mtime_ns for p in out.iterdir())
    with pytest.raises(ConfigError) as caught:
        calibrate(volumes, made.pretrained, None, out, CalibrationSettings("wrong"))
    assert [
        text in problem
        for text, problem in zip(
            ("already exists", "has 5 volumes", "RepetitionTime"),
            caught.value.problems,
            strict=True,
        )
    ] == [True] * 3
    assert sorted(p.stat().st_mtime_ns for p in out.iterdir()) == before


def test_run_without_volumes_is_refused(made, tmp_path) -> None:
    """An empty run is told so, and is no crash."""
    with pytest.raises(ConfigError, match="has 0 volumes"):
        calibrate([], made.pretrained, None, tmp_path / "out", CalibrationSettings("wrong"))


def test_t1_that_is_no_image_is_refused_before_registration(made, tmp_path) -> None:
    """A wrong --t1 is named, and no bundle appears."""
    t1 = tmp_path / "t1.nii.gz"
    t1.write_bytes(b"no image")
    settings = CalibrationSettings("wrong", t1=t1)
    told = []
    with pytest.raises(ConfigError, match=r"--t1 .*t1\.nii\.gz"):
        calibrate(
            made.volumes[:12],
            made.pretrained,
            None,
            tmp_path / "out",
            settings,
            lambda *step: told.append(step),
        )
    assert not told
    assert not (tmp_path / "out").exists()
