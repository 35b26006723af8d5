"""`rtdecode group`, and what a study and other priors are worth to `rtdecode calibrate`."""

import json
import shutil

import nibabel as nib
import numpy as np
import pytest

from calibration import simulation
from rtdecode import bundle as bundles
from rtdecode.cli import main
from rtdecode.dicom import assemble
from rtdecode.engine import Engine
from rtdecode.types import Decision

AFFINE = np.array([[8.0, 0, 0, -90], [0, 8, 0, -126], [0, 0, 8, -72], [0, 0, 0, 1]])
SEEDS = (8, 6)


def _scan(folder, seed: int, write_transform) -> None:
    """Write the run of another person as DICOM, with its events."""
    chosen = [s for s in simulation.default_states() if s.trial_type in {"left_hand", "places"}]
    activation = simulation.ActivationSettings(bold_percent=8.0, block_spread=0.1)
    settings = simulation.ParticipantSettings(tuple(chosen), activation)
    participant = simulation.make_participant(simulation.load_template(), settings, seed)
    protocol = simulation.EpiProtocol((40, 40, 28), (5.5, 5.5, 5.0), repetition_time_s=2.0)
    design = simulation.RunDesign(blocks_per_state=2, block_s=12.0, rest_s=8.0, protocol=protocol)
    run = simulation.simulate_run(participant, design, seed=seed)
    simulation.write_dicom(run, folder / "dicom")
    simulation.write_events(run.events, folder / "events.tsv")
    write_transform(run, folder / "epi_to_mni.txt")


def _calibrate(folder, weights, out, *more) -> int:
    run, events = str(folder / "dicom"), str(folder / "events.tsv")
    inputs = ("--run", run, "--weights", str(weights), "--out", str(out), "--minutes", "0")
    transform = folder / "epi_to_mni.txt"
    known = ("--transform", str(transform)) if transform.exists() else ()
    return main(["calibrate", *inputs, "--events", events, *known, *more])


@pytest.fixture(scope="module")
def people(scanned, tmp_path_factory, write_transform):
    """Return a folder with the bundles of two people, and a third person's run."""
    folder = tmp_path_factory.mktemp("people")
    for seed in SEEDS:
        _scan(folder / f"run-{seed}", seed, write_transform)
    weights = scanned / "net.safetensors"
    assert _calibrate(scanned, weights, folder / "one.bundle") == 4
    assert _calibrate(folder / "run-8", weights, folder / "two.bundle") == 4
    return folder


@pytest.fixture(scope="module")
def study(people, scanned):
    """Return the study of the two people."""
    out = people / "study.safetensors"
    both = [str(people / "one.bundle"), str(people / "two.bundle")]
    weights = ["--weights", str(scanned / "net.safetensors")]
    assert main(["group", *both, "--out", str(out), *weights]) == 0
    return out


def test_the_next_person_needs_no_labelled_minute(people, study, tmp_path) -> None:
    """The study alone decodes more than chance, and says what it is."""
    out = tmp_path / "zero.bundle"
    run = str(people / "run-6" / "dicom")
    weights = ("--weights", str(study))
    known = ("--transform", str(people / "run-6" / "epi_to_mni.txt"))
    assert (
        main(["calibrate", "--run", run, "--zero-shot", *weights, *known, "--out", str(out)]) == 0
    )
    bundle = bundles.load(out)
    assert bundle.manifest.classes == ("left_hand", "places")
    assert bundle.manifest.rule.startswith("study of 2 people, not fitted to this person")
    events = (people / "run-6" / "events.tsv").read_text(encoding="utf-8").splitlines()[1:]
    blocks = [line.split("\t") for line in events]
    engine, right = Engine(bundle), []
    for volume in assemble([people / "run-6" / "dicom"]):
        outcome = engine.step(volume)
        for onset, duration, name in blocks:
            if float(onset) + 9 <= volume.acquired_s < float(onset) + float(duration) + 5:
                assert isinstance(outcome, Decision)
                right.append(bundle.manifest.classes[int(np.argmax(outcome.probabilities))] == name)
    assert len(right) > 10
    assert np.mean(right) > 0.6


def test_own_blocks_are_pooled_with_the_study(people, study, tmp_path, capsys) -> None:
    """The decoder has both parts; a person of the study is refused."""
    out = tmp_path / "pool.bundle"
    assert _calibrate(people / "run-6", study, out, "--decoder", "pool", "--json") == 4
    manifest = json.loads(capsys.readouterr().out)
    assert manifest["kind"] == "pool with prior"
    for part in ("voxels with others", "convolution 4 with others"):
        assert part in manifest["rule"]
    assert "prior: voxels with others, from study of 2 people" in manifest["metrics"]["notes"]
    assert _calibrate(people / "run-8", study, tmp_path / "own.bundle") == 2
    assert "is part of the study" in " ".join(capsys.readouterr().err.split())


def test_known_states_and_group_maps_are_priors(people, scanned, tmp_path, capsys) -> None:
    """Both enter one graph; a class without a map is refused before anything is computed."""
    rng = np.random.default_rng(0)
    maps = []
    for name in ("left_hand", "places"):
        values = rng.standard_normal((23, 28, 23)).astype(np.float32)
        nib.save(nib.Nifti1Image(values, AFFINE), tmp_path / f"{name}.nii.gz")
        maps += ["--prior", f"{name}={tmp_path / f'{name}.nii.gz'}"]
    weights = scanned / "net.safetensors"
    states = ("--states", "left_hand=two,places=one", "--decoder", "pool", "--json")
    assert _calibrate(people / "run-6", weights, tmp_path / "out.bundle", *states, *maps) == 4
    manifest = json.loads(capsys.readouterr().out)
    assert (
        "prior: pretrained head, from states left_hand=two, places=one"
        in (manifest["metrics"]["notes"])
    )
    assert "voxels with group maps" in manifest["rule"]
    assert _calibrate(people / "run-6", weights, tmp_path / "no.bundle", *maps[:2]) == 2
    assert "places has no map" in " ".join(capsys.readouterr().err.split())


def test_bundles_that_do_not_fit_are_named_at_once(people, scanned, tmp_path, capsys) -> None:
    """The same run twice, another set of weights, no bundle, a study that exists."""
    same = tmp_path / "same.bundle"
    shutil.copytree(people / "one.bundle", same)
    out = tmp_path / "study.safetensors"
    weights = ["--weights", str(scanned / "net.safetensors")]
    assert main(["group", str(people / "one.bundle"), str(same), "--out", str(out), *weights]) == 2
    assert "a run is also in" in " ".join(capsys.readouterr().err.split())
    both = [str(people / "one.bundle"), str(people / "two.bundle")]
    assert main(["group", *both, "--out", str(out), "--weights", "deeplight-2d-4mm-sim"]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert told.count("calibrate again with the same --weights") == 2
    assert main(["group", both[0], str(tmp_path / "none"), "--out", str(out)]) == 2
    assert "none" in capsys.readouterr().err
    out.write_bytes(b"")
    assert main(["group", *both, "--out", str(out)]) == 2
    assert "already exists" in capsys.readouterr().err
