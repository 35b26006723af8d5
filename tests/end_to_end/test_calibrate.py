"""`rtdecode calibrate`, from the command line to a bundle that decides."""

import json

import pytest
import torch

from calibration.networks import DeepLight
from calibration.simulation import (
    ActivationSettings,
    EpiProtocol,
    ParticipantSettings,
    RunDesign,
    default_states,
    load_template,
    make_participant,
    simulate_run,
    write_dicom,
    write_events,
)
from calibration.weights import Description, save_deeplight
from rtdecode import bundle as bundles
from rtdecode.cli import main
from rtdecode.dicom import assemble
from rtdecode.engine import Engine
from rtdecode.types import Decision

GRID = (23, 28, 23)
AFFINE = (
    (-8.0, 0.0, 0.0, 90.0),
    (0.0, 8.0, 0.0, -126.0),
    (0.0, 0.0, 8.0, -72.0),
    (0.0, 0.0, 0.0, 1.0),
)


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """Write what a user has: a run as DICOM, its events, and weights."""
    folder = tmp_path_factory.mktemp("session")
    states = tuple(s for s in default_states() if s.trial_type in {"left_hand", "places"})
    activation = ActivationSettings(bold_percent=8.0, block_spread=0.1)
    participant = make_participant(load_template(), ParticipantSettings(states, activation), 1)
    protocol = EpiProtocol((40, 40, 28), (5.5, 5.5, 5.0), repetition_time_s=2.0)
    design = RunDesign(blocks_per_state=4, block_s=12.0, rest_s=8.0, protocol=protocol)
    run = simulate_run(participant, design, seed=3)
    write_dicom(run, folder / "dicom")
    write_events(run.events, folder / "events.tsv")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        network = DeepLight(GRID, 2)
    about = Description(GRID, ("one", "two"), "random", AFFINE, layers=(4,))
    save_deeplight(network, folder / "net.safetensors", about)
    return folder


def _command(session, out, *more):
    weights = str(session / "net.safetensors")
    events = str(session / "events.tsv")
    return ["calibrate", "--weights", weights, "--events", events, "--out", str(out), *more]


def test_from_dicom_to_decisions(session, tmp_path, capsys) -> None:
    """One command makes a bundle, says how good it is, and the bundle decides on the run."""
    out = tmp_path / "sub-01.bundle"
    assert main(_command(session, out, "--run", str(session / "dicom"), "--decoder", "deep")) == 0
    told = " ".join(capsys.readouterr().err.split())
    for part in ("read the runs", "overlap", "report.html", "motion alone", "left_hand vs places"):
        assert part in told
    assert ": go" in told
    engine = Engine(bundles.load(out))
    outcomes = [engine.step(volume) for volume in assemble([session / "dicom"])]
    assert all(isinstance(outcome, Decision) for outcome in outcomes)
    assert (out / "report.html").stat().st_size > 50_000
    assert not list(tmp_path.glob("*.png"))


def test_while_the_run_is_acquired_and_then_from_it(session, tmp_path, capsys) -> None:
    """Taken from a watched folder and recorded; the record calibrates like the images.

    It is the same run: together with the bundle made of it, it is refused.
    """
    n = len(list((session / "dicom").iterdir()))
    out, again = tmp_path / "live.bundle", tmp_path / "again.bundle"
    live = ("--source", f"folder:{session / 'dicom'}", "--volumes", str(n), "--minutes", "0")
    assert main(_command(session, out, *live)) == 0
    record = tmp_path / "live.bundle-session"
    assert record.is_dir()
    capsys.readouterr()
    more = ("--run", str(record), "--json", "--minutes", "0")
    assert main(_command(session, again, *more)) == 0
    manifest = json.loads(capsys.readouterr().out)
    assert manifest["provenance"]["n_calibration_runs"] == 1
    assert manifest["metrics"]["p_value"] is None
    assert main(_command(session, tmp_path / "third", *more, "--from", str(out))) == 2
    assert "in the --from bundle already" in " ".join(capsys.readouterr().err.split())


def test_wrong_events_do_not_cost_the_run(session, tmp_path, capsys) -> None:
    """Events of another, longer run are found out after acquiring; the run is there to use."""
    n = len(list((session / "dicom").iterdir()))
    events = tmp_path / "events.tsv"
    text = (session / "events.tsv").read_text(encoding="utf-8").rstrip()
    events.write_text(f"{text}\n9000\t12\tplaces\n", encoding="utf-8")
    command = _command(session, tmp_path / "b", "--source", f"folder:{session / 'dicom'}",
                       "--volumes", str(n))  # fmt: skip
    command[command.index("--events") + 1] = str(events)
    assert main(command) != 0
    told = " ".join(capsys.readouterr().err.split())
    assert "lies outside the run" in told
    assert "the run itself is safe" in told
    assert (tmp_path / "b-session").is_dir()
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("more", "remedy"),
    [
        (("--run", "x", "--source", "zmq:"), "either --run"),
        (("--source", "zmq:"), "--source needs --volumes"),
        (("--run", "x", "--run", "y"), "one --events for each --run"),
        (("--run", "x", "--zero-shot"), "takes no --events"),
        (("--run", "x", "--classes", "faces"), "no trial type 'faces'"),
    ],
)
def test_what_cannot_be_meant_is_refused_at_once(session, tmp_path, capsys, more, remedy) -> None:
    """Options that exclude each other are named before anything is read or acquired."""
    assert main(_command(session, tmp_path / "b", *more)) == 2
    assert remedy in " ".join(capsys.readouterr().err.split())
