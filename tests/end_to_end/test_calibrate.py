"""`rtdecode calibrate`, from the command line to a bundle that decides."""

import json

import pytest

from calibration.cli import EXIT_NO_GO, EXIT_NOT_TESTED, exit_code
from rtdecode import bundle as bundles
from rtdecode.cli import main
from rtdecode.dicom import assemble
from rtdecode.engine import Engine
from rtdecode.types import Decision


def _command(scanned, out, *more):
    weights = str(scanned / "net.safetensors")
    events = str(scanned / "events.tsv")
    return ["calibrate", "--weights", weights, "--events", events, "--out", str(out), *more]


def test_from_dicom_to_decisions(scanned, tmp_path, capsys) -> None:
    """One command makes a bundle and prints its accuracy; the bundle decodes the run."""
    out = tmp_path / "sub-01.bundle"
    assert main(_command(scanned, out, "--run", str(scanned / "dicom"), "--decoder", "deep")) == 0
    printed = " ".join(capsys.readouterr().err.split())
    for part in ("read the runs", "overlap", "report.html", "motion alone", "left_hand vs places"):
        assert part in printed
    assert ": go" in printed
    engine = Engine(bundles.load(out))
    outcomes = [engine.step(volume) for volume in assemble([scanned / "dicom"])]
    assert all(isinstance(outcome, Decision) for outcome in outcomes)
    assert (out / "report.html").stat().st_size > 50_000
    assert not list(tmp_path.glob("*.png"))


def test_calibration_during_acquisition_and_from_the_recording(scanned, tmp_path, capsys) -> None:
    """A run from a watched folder is recorded; its recording gives the same calibration.

    It is the same run: together with the bundle made of it, it is refused.
    """
    n = len(list((scanned / "dicom").iterdir()))
    out, again = tmp_path / "live.bundle", tmp_path / "again.bundle"
    live = ("--source", f"folder:{scanned / 'dicom'}", "--volumes", str(n), "--minutes", "0")
    assert main(_command(scanned, out, *live)) == EXIT_NOT_TESTED
    record = tmp_path / "live.bundle-session"
    assert record.is_dir()
    capsys.readouterr()
    more = ("--run", str(record), "--json", "--minutes", "0")
    assert main(_command(scanned, again, *more)) == EXIT_NOT_TESTED
    manifest = json.loads(capsys.readouterr().out)
    assert manifest["provenance"]["n_calibration_runs"] == 1
    assert manifest["metrics"]["p_value"] is None
    assert main(_command(scanned, tmp_path / "third", *more, "--from", str(out))) == 2
    assert "in the --from bundle already" in " ".join(capsys.readouterr().err.split())


def test_each_verdict_has_its_exit_code(make_metrics) -> None:
    """Each verdict has its own exit code; without a fit the exit code is 0."""
    assert exit_code(make_metrics(p_value=0.01)) == 0
    assert exit_code(make_metrics(p_value=0.2)) == EXIT_NO_GO
    assert exit_code(make_metrics(p_value=None)) == EXIT_NOT_TESTED
    assert exit_code(None) == 0


def test_wrong_events_do_not_discard_the_run(scanned, tmp_path, capsys) -> None:
    """Events of a longer run are refused after the acquisition; the run is recorded."""
    n = len(list((scanned / "dicom").iterdir()))
    events = tmp_path / "events.tsv"
    text = (scanned / "events.tsv").read_text(encoding="utf-8").rstrip()
    events.write_text(f"{text}\n9000\t12\tplaces\n", encoding="utf-8")
    command = _command(scanned, tmp_path / "b", "--source", f"folder:{scanned / 'dicom'}",
                       "--volumes", str(n))  # fmt: skip
    command[command.index("--events") + 1] = str(events)
    assert main(command) != 0
    printed = " ".join(capsys.readouterr().err.split())
    assert "lies outside the run" in printed
    assert "the run itself is recorded" in printed
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
def test_contradictory_options_are_refused_at_once(scanned, tmp_path, capsys, more, remedy) -> None:
    """Contradictory options are reported before anything is read or acquired."""
    assert main(_command(scanned, tmp_path / "b", *more)) == 2
    assert remedy in " ".join(capsys.readouterr().err.split())
