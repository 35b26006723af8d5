"""Calibration from a run to a bundle that serves, on a simulated participant and a coarse grid."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch

from calibration.budget import Budget
from calibration.bundling.assemble_decoder import assemble_fitted, assemble_zero_shot
from calibration.calibration_settings import CalibrationSettings
from calibration.data.calibration_data import CalibrationData
from calibration.data.prepared_runs import prepare_run
from calibration.decoders.fit import FittingSettings
from calibration.networks import DeepLight
from calibration.progress import silent
from calibration.recipe import calibrate, start_preparation
from calibration.simulation import (
    ActivationSettings,
    EpiProtocol,
    ParticipantSettings,
    RunDesign,
    default_states,
    load_template,
    make_participant,
    simulate_run,
    write_events,
)
from rtdecode import bundle as bundles
from rtdecode.clock import SystemClock
from rtdecode.engine import Engine
from rtdecode.errors import ConfigError
from rtdecode.metrics import verdict
from rtdecode.stages import Preparation, dilate
from rtdecode.types import NONE, Prepared


@pytest.fixture
def quick(made) -> CalibrationSettings:
    """Return settings that leave out what is tested elsewhere: registration, many permutations."""
    return CalibrationSettings(
        "quick", transform=made.transform, fitting=FittingSettings(permutations=5)
    )


def test_bundles_load_again(made) -> None:
    """What calibration returned is what is on disk."""
    for calibrated in (made.fitted, made.zero_shot):
        read = bundles.load(calibrated.bundle.path)
        assert read.digest == calibrated.bundle.digest
        assert read.manifest == calibrated.bundle.manifest
        assert not [p for p in read.path.parent.iterdir() if p.name.startswith(".")]


def test_manifest_says_what_was_done(made) -> None:
    """Classes, window, lag, matrix, grid, rule and origin are those of this calibration."""
    fitted, zero_shot = made.fitted.bundle.manifest, made.zero_shot.bundle.manifest
    assert fitted.classes == ("left_hand", "places")
    assert zero_shot.classes == made.pretrained.states
    chosen = made.fitted.fitted.read_outs.chosen
    assert fitted.window_volumes == chosen.window_volumes
    assert (fitted.read_out, fitted.dwell_s) == (chosen.kind, chosen.dwell_s)
    assert f"Read-out {chosen.name}: log-loss per held-out block" in fitted.rule
    assert (zero_shot.read_out, zero_shot.dwell_s, zero_shot.window_volumes) == ("window", None, 4)
    assert zero_shot.temperature == 1.0
    assert zero_shot.metrics is None
    assert (zero_shot.kind, zero_shot.rule) == (
        "zero-shot",
        "as published, not fitted to this person",
    )
    assert fitted.kind == made.fitted.fitted.chosen.name
    assert "Rule: " in fitted.rule
    assert "Lag " in fitted.rule
    assert 3 <= fitted.haemodynamic_lag_s <= 7
    for manifest in (fitted, zero_shot):
        assert manifest.repetition_time_s == 2.0
        assert manifest.source_shape == (40, 40, 28)
        assert manifest.model_shape == made.pretrained.grid_shape
        np.testing.assert_array_equal(manifest.model_affine, made.pretrained.grid_affine)
        assert manifest.provenance.weights == "random"
        assert manifest.provenance.libraries["torch"] == torch.__version__
    assert fitted.provenance.n_calibration_volumes == len(made.volumes) - 3
    assert fitted.provenance.n_calibration_runs == 1
    assert "Affine" in fitted.provenance.registration
    assert "epi_to_mni.txt" in zero_shot.provenance.registration
    assert fitted.provenance.data_sha256 != zero_shot.provenance.data_sha256


def test_onnx_agreed_with_torch(made) -> None:
    """Parity was measured over every volume and is far within what is accepted."""
    for calibrated, run in ((made.fitted, made.with_gap), (made.zero_shot, made.volumes)):
        parity = calibrated.bundle.manifest.parity
        assert parity["volumes"] == len(run)
        assert 0 <= parity["probability"] < 1e-4
        assert 0 <= parity["state"] < 1e-4


def test_metrics_are_held_out_figures(made) -> None:
    """Strong activity is decoded above chance, and the figures fit each other."""
    metrics = made.fitted.bundle.manifest.metrics
    assert (metrics.n_blocks, metrics.chance) == (8, 0.5)
    assert 30 <= metrics.n_volumes <= 48
    assert 0.7 < metrics.accuracy.volume <= 1
    assert 0.75 <= metrics.accuracy.block <= 1
    low, high = metrics.accuracy.interval_95_block
    assert 0 < low < metrics.accuracy.block <= high <= 1
    assert metrics.split.startswith("leave one block of each class out, 4 folds, 8 s guard, 1 run")
    assert sum(map(sum, metrics.confusion)) == 8
    assert 0 < metrics.p_value <= 0.1
    assert metrics.permutations == 30
    assert 0 < made.fitted.bundle.manifest.temperature < np.inf


def test_baselines_stand_beside_it(made) -> None:
    """Every candidate, the plain decoders and the controls, by the same figures."""
    compared = {one.name: one for one in made.fitted.bundle.manifest.metrics.comparison}
    assert {
        "convolution 4",
        "convolution 6",
        "recurrent features",
        "voxels",
        "8 mm voxels, LDA",
        "8 mm voxels, logistic",
        "400 parcels, LDA",
        "400 parcels, logistic",
        "motion alone",
        "time alone",
    } == set(compared)
    assert {compared[name].kind for name in ("motion alone", "time alone")} == {"control"}
    assert compared["voxels"].accuracy.volume > compared["time alone"].accuracy.volume


def test_registration_found_the_head(made) -> None:
    """Affine registration lays each voxel where the participant truly has it, within a voxel."""
    for calibrated in (made.fitted, made.zero_shot):
        assert calibrated.registration.overlap > 0.85
        points_mm = calibrated.registration.coordinates_mm.T.astype(float)
        space = calibrated.bundle.space
        affine = made.pretrained.grid_affine
        grid = np.argwhere(dilate(space.mask)) @ affine[:3, :3].T + affine[:3, 3]
        error_mm = np.linalg.norm(made.run.participant.to_mni(points_mm).T - grid, axis=1)
        assert np.median(error_mm) < 8.0


def test_progress_names_every_step_to_its_end(made) -> None:
    """Each step tells when it is done."""
    last = {step: (done, total) for step, done, total in made.told}
    assert {
        "register to MNI",
        "prepare as served",
        "prepare cross-validation",
        "permute blocks",
        "export to ONNX",
        "write the report",
    } <= set(last)
    assert all(done == total for done, total in last.values()), last


def _decided_by_torch(made, which: str) -> Iterator[tuple[Prepared, np.ndarray]]:
    """Yield each prepared volume and what the torch decoder says after it."""
    calibrated = getattr(made, which)
    bundle = calibrated.bundle
    run = made.with_gap if which == "fitted" else made.volumes
    stages = Preparation(bundle.space, bundle.manifest.preparation)
    initial = {
        name.removeprefix("preparation/"): array
        for name, array in bundle.initial_state.items()
        if name.startswith("preparation/")
    }
    prepared, _ = prepare_run(stages, initial, run, silent, "")
    if which == "fitted":
        decoder = assemble_fitted(calibrated.fitted, made.pretrained, bundle.space, 2.0)
    else:
        decoder = assemble_zero_shot(made.pretrained, bundle.space, 2.0)
    state = [torch.from_numpy(array) for array in decoder.initial_state().values()]
    before = prepared[0].index - 1
    for one in prepared:
        inputs = (one.data.copy(), np.float32(one.quality.usable), np.int64(one.index - before))
        with torch.inference_mode():
            probabilities, _, _, _, *state = decoder(*map(torch.as_tensor, inputs), *state)
        before = one.index
        yield one, probabilities.numpy()


@pytest.mark.parametrize("which", ["fitted", "zero_shot"])
def test_served_run_is_the_calibrated_run(made, which: str, capfd) -> None:
    """The engine decides on the run as the torch decoder does on the prepared volumes.

    ONNX Runtime has nothing to complain about meanwhile, and the state keeps its shapes.
    """
    run = made.with_gap if which == "fitted" else made.volumes
    calibrated = getattr(made, which)
    engine = Engine(calibrated.bundle)
    labels = set()
    for volume, (prepared, expected) in zip(run, _decided_by_torch(made, which), strict=True):
        decision = engine.step(volume)
        assert decision.probabilities == pytest.approx(expected, abs=1e-4)
        assert (decision.motion, repr(decision.quality)) == (
            prepared.motion,
            repr(prepared.quality),
        )
        labels.add(decision.label)
    assert labels - {NONE} <= set(calibrated.bundle.manifest.classes)
    assert which == "zero_shot" or labels - {NONE} == set(calibrated.bundle.manifest.classes)
    state = engine.state()
    for tensor in calibrated.bundle.manifest.state:
        assert state[f"decoder/{tensor.name}"].shape == tensor.shape
    assert "onnxruntime" not in capfd.readouterr().err


def test_served_run_is_ready_after_four_volumes(made) -> None:
    """The spread learnt while calibrating makes a run of the same person ready at once."""
    engine = Engine(made.fitted.bundle)
    ready = ["not_ready" not in engine.step(v).quality.why for v in made.volumes[:6]]
    assert ready == [False] * 4 + [True] * 2


def test_volumes_prepared_as_they_came_make_the_same_bundle(made, quick, tmp_path) -> None:
    """Registered and walked through while the run was acquired, nothing changes but the time."""
    whole = calibrate([made.volumes], made.pretrained, [made.events], tmp_path / "whole", quick)
    preparation = start_preparation(made.pretrained, quick, len(made.volumes))
    for volume in made.volumes:
        preparation.add(volume)
    live = calibrate(
        [preparation.volumes],
        made.pretrained,
        [made.events],
        tmp_path / "live",
        quick,
        preparation=preparation,
    )
    assert live.bundle.decoder == whole.bundle.decoder
    for name, array in whole.bundle.initial_state.items():
        np.testing.assert_array_equal(live.bundle.initial_state[name], array)


class SlowClock:
    """A clock on which a minute passes whenever somebody looks at it."""

    def __init__(self) -> None:
        self.now_ns = 0

    def monotonic_ns(self) -> int:
        """Return the time."""
        self.now_ns += 60_000_000_000
        return self.now_ns

    def time_ns(self) -> int:
        """Return the same."""
        return self.monotonic_ns()


@contextmanager
def busy_core() -> Iterator[None]:
    """Keep a core busy."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as hog:
        yield
        hog.kill()


def test_a_busy_machine_gives_the_same_verdict(made, quick, tmp_path) -> None:
    """Beside other work and on a slow clock, the bundle is the same to its digest."""
    quiet = calibrate([made.volumes], made.pretrained, [made.events], tmp_path / "quiet", quick)
    with busy_core():
        busy = calibrate(
            [made.volumes], made.pretrained, [made.events], tmp_path / "busy", quick,
            budget=Budget(1e6, SlowClock()),
        )  # fmt: skip
    assert busy.bundle.manifest.metrics.p_value == quiet.bundle.manifest.metrics.p_value
    assert busy.bundle.manifest == quiet.bundle.manifest
    assert busy.bundle.digest == quiet.bundle.digest


def test_regulation_against_rest_is_a_go(made, tmp_path) -> None:
    """One task and the pauses, 150 volumes, the commonest design: every permutation is done."""
    states = tuple(s for s in default_states() if s.trial_type == "left_hand")
    settings = ParticipantSettings(states, ActivationSettings(bold_percent=8.0, block_spread=0.1))
    participant = make_participant(load_template(), settings, seed=1)
    protocol = EpiProtocol((40, 40, 28), (5.5, 5.5, 5.0), repetition_time_s=2.0)
    design = RunDesign(blocks_per_state=7, block_s=20.0, rest_s=19.0, protocol=protocol)
    run = simulate_run(participant, design, seed=5)
    volumes = list(run.volumes())
    events = write_events(run.events, tmp_path / "events.tsv")
    wanted = CalibrationSettings("regulation", rest=True, quick_registration=True)

    found = calibrate([volumes], made.pretrained, [events], tmp_path / "out", wanted)

    metrics = found.bundle.manifest.metrics
    assert abs(len(volumes) - 150) < 5
    assert metrics.n_blocks == 15 - sum("left out: rest" in note for note in metrics.notes)
    assert metrics.permutations == 1000
    assert metrics.p_value < 0.01
    assert verdict(metrics, found.bundle.manifest.classes).go


def test_recalibration_forgets_nothing(made, quick, tmp_path) -> None:
    """From a bundle and a second run: the first run's data and space are used along with it."""
    events = write_events(made.second.events, tmp_path / "events.tsv")
    first = made.fitted.bundle
    both = calibrate(
        [list(made.second.volumes())], made.pretrained, [events], tmp_path / "both", quick,
        earlier=first,
    )  # fmt: skip
    manifest = both.bundle.manifest
    assert manifest.provenance.n_calibration_runs == 2
    assert manifest.provenance.n_calibration_volumes == len(made.with_gap) + len(made.volumes)
    assert manifest.metrics.n_blocks == 16
    assert manifest.metrics.split.startswith("leave one run out, 2 folds")
    assert manifest.metrics.accuracy.block > 0.8
    assert both.registration is None
    np.testing.assert_array_equal(both.bundle.space.mask, first.space.mask)
    kept, before = CalibrationData.load(both.bundle), CalibrationData.load(first)
    n = len(before.run)
    np.testing.assert_array_equal(kept.prepared[:n], before.prepared)
    assert [len(blocks) for blocks in kept.blocks] == [8, 8]
    # Kept in half precision, the second run is what was learnt from, to rounding.
    assert np.isfinite(kept.prepared).all()
    with pytest.raises(ConfigError, match="holds no calibration data"):
        CalibrationData.load(made.zero_shot.bundle)


def test_a_run_is_given_once(made, quick, tmp_path) -> None:
    """Twice in one command or again after a bundle, it would be held out and trained on."""
    twice = ([made.volumes] * 2, made.pretrained, [made.events] * 2, tmp_path / "out", quick)
    with pytest.raises(ConfigError, match="run 2 is run 1 again"):
        calibrate(*twice)
    again = ([made.with_gap], made.pretrained, [made.events], tmp_path / "out", quick)
    with pytest.raises(ConfigError, match="run 1 is in the --from bundle already"):
        calibrate(*again, earlier=made.fitted.bundle)
    assert not list(tmp_path.iterdir())


def test_two_runs_are_held_out_one_by_one(made, quick, tmp_path) -> None:
    """Given together they are registered to the first, and their spreads are pooled."""
    events = [made.events, write_events(made.second.events, tmp_path / "events.tsv")]
    runs = [made.volumes, list(made.second.volumes())]
    found = calibrate(runs, made.pretrained, events, tmp_path / "both", quick)
    metrics = found.bundle.manifest.metrics
    assert metrics.split.startswith("leave one run out, 2 folds")
    assert metrics.accuracy.block > 0.8
    assert found.bundle.manifest.provenance.n_calibration_runs == 2


@pytest.mark.parametrize("decoder", ["linear", "deep", "stack"])
def test_the_decoder_asked_for_is_compiled(made, quick, tmp_path, decoder) -> None:
    """Linear evidence has no convolution in its graph, deep and stacked evidence do."""
    settings = replace(quick, fitting=FittingSettings(decoder, permutations=1))
    found = calibrate([made.volumes], made.pretrained, [made.events], tmp_path / "out", settings)
    assert (b"Conv" in found.bundle.decoder) == (decoder != "linear")
    parts = found.fitted.chosen.parts
    assert len(parts) == (2 if decoder == "stack" else 1)
    assert ("voxels" in parts) == (decoder != "deep")


@pytest.mark.parametrize("read_out", ["window", "filter"])
def test_the_read_out_asked_for_is_compiled(made, quick, tmp_path, read_out) -> None:
    """Its state is in the graph, its figures are the decoder's, and it serves with gaps."""
    settings = replace(quick, fitting=FittingSettings("linear", permutations=1, read_out=read_out))
    found = calibrate([made.with_gap], made.pretrained, [made.events], tmp_path / "o", settings)
    manifest = found.bundle.manifest
    assert manifest.read_out == read_out
    memory = "belief" if read_out == "filter" else "evidence"
    assert [tensor.name for tensor in manifest.state][:2] == [memory, "weight"]
    assert [one.kind for one in manifest.metrics.read_outs] == ["window", "filter"]
    (mine,) = (one for one in manifest.metrics.read_outs if one.kind == read_out)
    assert manifest.metrics.accuracy.window == mine.accuracy
    assert manifest.metrics.log_loss == mine.log_loss
    assert manifest.metrics.onset_latency_s == mine.onset_latency_s
    whole, first, second = (Engine(found.bundle) for _ in range(3))
    expected = [whole.step(volume).probabilities for volume in made.with_gap[:60]]
    decided = [first.step(volume).probabilities for volume in made.with_gap[:40]]
    second.restore(first.state())
    decided += [second.step(volume).probabilities for volume in made.with_gap[40:60]]
    assert decided == expected


def test_rest_can_be_decoded(made, quick, tmp_path) -> None:
    """Rest as a class of its own joins the others."""
    settings = replace(quick, rest=True)
    found = calibrate([made.volumes], made.pretrained, [made.events], tmp_path / "out", settings)
    assert found.bundle.manifest.classes == ("left_hand", "places", "rest")
    assert found.bundle.manifest.metrics.chance == pytest.approx(1 / 3)


def test_no_time_still_gives_a_decoder(made, quick, tmp_path) -> None:
    """With its budget over from the start, calibration compiles the best it has, unjudged."""
    found = calibrate(
        [made.volumes], made.pretrained, [made.events], tmp_path / "out", quick,
        budget=Budget(0.0, SystemClock()),
    )  # fmt: skip
    metrics = found.bundle.manifest.metrics
    assert metrics.p_value is None
    assert "motion alone" not in {one.name for one in metrics.comparison}
    assert (found.bundle.path / "report.html").is_file()


def test_wrong_events_are_refused_before_any_computation(made, quick, tmp_path) -> None:
    """A row that is no time is named, and no step has begun."""
    events = tmp_path / "events.tsv"
    text = made.events.read_text(encoding="utf-8").splitlines()
    text[3] = "soon\t12\tplaces"
    events.write_text("\n".join(text), encoding="utf-8")
    told = []
    with pytest.raises(ConfigError, match="row 4") as caught:
        calibrate(
            [made.volumes],
            made.pretrained,
            [events],
            tmp_path / "out",
            quick,
            lambda *step: told.append(step),
        )
    assert str(events) in caught.value.problems[0]
    assert not told
    assert [p.name for p in tmp_path.iterdir()] == ["events.tsv"]


def test_events_of_another_run_are_refused(made, quick, tmp_path) -> None:
    """Blocks beyond the run's end are named before any computation."""
    told = []
    with pytest.raises(ConfigError, match="are these the events of this run"):
        calibrate(
            [made.volumes[:30]],
            made.pretrained,
            [made.events],
            tmp_path / "out",
            quick,
            lambda *step: told.append(step),
        )
    assert not told


def test_what_is_wrong_with_the_run_is_told_at_once(made, quick) -> None:
    """An existing folder, too few volumes and no repetition time are told together."""
    volumes = [replace(v, repetition_time_s=float("nan")) for v in made.volumes[:5]]
    out = made.fitted.bundle.path
    before = sorted(p.stat().st_mtime_ns for p in out.iterdir())
    with pytest.raises(ConfigError) as caught:
        calibrate([volumes], made.pretrained, [], out, quick)
    assert [
        text in problem
        for text, problem in zip(
            ("already exists", "has 5 volumes", "RepetitionTime"),
            caught.value.problems,
            strict=True,
        )
    ] == [True] * 3
    assert sorted(p.stat().st_mtime_ns for p in out.iterdir()) == before


@pytest.mark.parametrize("runs", [[], [[]]])
def test_run_without_volumes_is_refused(made, quick, tmp_path, runs) -> None:
    """An empty run, and none at all, are told so, and are no crash."""
    with pytest.raises(ConfigError, match="has 0 volumes"):
        calibrate(runs, made.pretrained, [], tmp_path / "out", quick)


def test_runs_of_different_protocols_are_refused(made, quick, tmp_path) -> None:
    """Another matrix or repetition time cannot be learnt from together."""
    other = [replace(v, repetition_time_s=1.5) for v in made.volumes]
    with pytest.raises(ConfigError, match="different protocols"):
        calibrate(
            [made.volumes, other],
            made.pretrained,
            [made.events, made.events],
            tmp_path / "out",
            quick,
        )


def test_a_bundle_of_another_grid_is_not_gone_on_from(made, quick, tmp_path) -> None:
    """Prepared voxels of one grid are no input of another network."""
    with torch.random.fork_rng(devices=[]):
        other = replace(made.pretrained, network=DeepLight((10, 12, 6), 2))
    with pytest.raises(ConfigError, match="use the weights that it was made with"):
        calibrate(
            [made.volumes],
            other,
            [made.events],
            tmp_path / "out",
            quick,
            earlier=made.fitted.bundle,
        )


def test_t1_that_is_no_image_is_refused_before_registration(made, tmp_path) -> None:
    """A wrong --t1 is named, and no bundle appears."""
    t1 = tmp_path / "t1.nii.gz"
    t1.write_bytes(b"no image")
    told = []
    with pytest.raises(ConfigError, match=r"--t1 .*t1\.nii\.gz"):
        calibrate(
            [made.volumes[:12]],
            made.pretrained,
            [],
            tmp_path / "out",
            CalibrationSettings("wrong", t1=t1),
            lambda *step: told.append(step),
        )
    assert not told
    assert not (tmp_path / "out").exists()
