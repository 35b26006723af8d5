"""The command line: what it says, and the codes that it ends with."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from rtdecode import __version__
from rtdecode.cli import build, main
from rtdecode.journal.pack import Kind, scan
from rtdecode.types import Volume

COMMANDS = (
    "check",
    "serve",
    "forward",
    "replay",
    "monitor",
    "dashboard",
    "adapt",
    "export",
    "calibrate",
)


@pytest.fixture
def install(tmp_path, monkeypatch) -> Callable[[str, str], None]:
    """Return a function that installs a package with one command, `extra`."""

    def put(module: str, content: str) -> None:
        (tmp_path / f"{module}.py").write_text(content, encoding="utf-8")
        info = tmp_path / f"{module}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Name: {module}\nVersion: 1\n", encoding="utf-8")
        points = f"[rtdecode.commands]\nextra = {module}:command\n"
        (info / "entry_points.txt").write_text(points, encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)

    return put


def test_version(capsys) -> None:
    """`--version` needs no command."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"rtdecode {__version__}\n"


@pytest.mark.parametrize("command", [[], *([c] for c in COMMANDS)])
def test_help_shows_an_example(capsys, command) -> None:
    """The help of each command ends with a line to copy; that of all names each."""
    assert main([*command, "--help"]) == 0
    shown = capsys.readouterr().out
    if command:
        assert f"Example: rtdecode {command[0]}" in shown
    else:
        assert all(name in shown for name in COMMANDS)


def test_help_shows_every_text_of_the_source(capsys, monkeypatch) -> None:
    """No command loses a part of its help, such as a default value in brackets."""
    monkeypatch.setenv("COLUMNS", "2000")  # no text is broken into lines
    texts = dict(_help_texts(build(), ()))
    assert len(texts) > 20
    assert sum("[default: " in text for said in texts.values() for text in said) >= 20
    for path, said in texts.items():
        assert main([*path, "--help"]) == 0
        shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
        assert [text for text in said if text not in shown] == [], path


def _help_texts(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Yield each command's path, and its help texts without the escapes of Rich's markup."""
    texts = (command.help, *(parameter.help for parameter in command.params))
    yield path, [" ".join(text.replace("\\[", "[").split()) for text in texts if text]
    for name, part in getattr(command, "commands", {}).items():
        yield from _help_texts(part, (*path, name))


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["servee"],
        ["serve"],
        ["serve", "--bundle", "x"],
        ["serve", "--bundle", "x", "--source", "zmq:", "--provider", "tpu"],
        ["serve", "--bundle", "x", "--source", "zmq:", "--threads", "0"],
        ["serve", "--bundle", "x", "--source", "zmq:", "--volumes", "many"],
        ["replay", "--to", "x"],
        ["monitor", "--colour"],
        ["adapt", "carrier-pigeon"],
        ["adapt", "lsl"],
    ],
)
def test_wrong_usage_ends_with_2(capsys, arguments) -> None:
    """Wrong usage is explained in words, never with a traceback."""
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert "Usage: rtdecode" in out + err
    assert "Traceback" not in err


def test_missing_bundle_ends_with_2(capsys, tmp_path) -> None:
    """The service refuses to start without its bundle, and nothing is written."""
    arguments = ["serve", "--bundle", str(tmp_path / "none"), "--source", "zmq:"]
    assert main([*arguments, "--session", str(tmp_path / "session")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("rtdecode: ")
    assert "manifest.json: missing" in err
    assert not list(tmp_path.iterdir())


def test_each_problem_has_its_line(capsys, bundle_folder) -> None:
    """An altered and a missing file are two lines on standard error."""
    (bundle_folder / "decoder.onnx").write_bytes(b"x")
    (bundle_folder / "mask.nii.gz").unlink()
    assert main(["serve", "--bundle", str(bundle_folder), "--source", "zmq:"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.startswith("rtdecode: ") for line in lines] == [True, True]
    assert {Path(line.split(": ")[1]).name for line in lines} == {"decoder.onnx", "mask.nii.gz"}


@pytest.mark.parametrize("speed", ["fast", "", "0", "-1", "nan"])
def test_unknown_speed_ends_with_2(capsys, tmp_path, speed) -> None:
    """A speed that is neither a number above 0 nor max is refused, with what can be given."""
    assert main(["replay", str(tmp_path), "--to", str(tmp_path / "to"), "--speed", speed]) == 2
    assert "max" in capsys.readouterr().err
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["json-lines", "--listen", "somewhere"], "HOST:PORT"),
        (["pyneal-results", "--value", "average"], "KEY:CLASS"),
        (["pyneal-results", "--value", "a:x", "--value", "a:y"], "each KEY once"),
        (["json-lines", "--listen", "127.0.0.1:0"], "session that is being served"),
    ],
)
def test_an_adapter_that_cannot_work_ends_with_2(capsys, tmp_path, arguments, problem) -> None:
    """A wrong address or value, or a folder that no service opened, is said in words."""
    assert main(["adapt", *arguments, "--session", str(tmp_path)]) == 2
    assert problem in capsys.readouterr().err


def test_monitor_without_a_service_ends_with_2(capsys, tmp_path) -> None:
    """A session folder in which no service is at work is told so."""
    assert main(["monitor", "--session", str(tmp_path / "none")]) == 2
    assert str(tmp_path / "none") in capsys.readouterr().err


def test_calibrate_wants_events_or_zero_shot(capsys, tmp_path) -> None:
    """Neither and both are refused before anything is read or loaded."""
    arguments = ["calibrate", "--run", str(tmp_path), "--out", str(tmp_path / "bundle")]
    for more in ([], ["--zero-shot", "--events", str(tmp_path / "events.tsv")]):
        assert main([*arguments, *more]) == 2
        assert "--events" in capsys.readouterr().err


def test_command_of_another_package_is_added(capsys, install) -> None:
    """An entry point becomes a command, listed with its first sentence."""
    install("good_extra", "def command() -> None:\n    '''Do more.'''\n    print('done')\n")
    assert main(["extra"]) == 0
    assert capsys.readouterr().out == "done\n"
    assert main(["--help"]) == 0
    assert "Do more." in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["list"], ["--run", "x", "-v", "y"]])
def test_command_that_cannot_be_imported_says_what_to_install(capsys, install, arguments) -> None:
    """Whatever follows it, a command whose packages are missing names them and the remedy."""
    install("half_extra", "import a_package_that_is_not_here\n")
    assert main(["extra", *arguments]) == 2
    err = capsys.readouterr().err
    assert "a_package_that_is_not_here" in err
    assert "pip install 'rtdecode[calibration]'" in err
    assert main(["--help"]) == 0
    assert "Not installed: needs rtdecode[calibration]." in capsys.readouterr().out


def test_command_that_misses_a_package_when_run_says_what_to_install(capsys, install) -> None:
    """Commands that import when run, so that help is quick, are explained no worse."""
    install("lazy_extra", "def command() -> None:\n    import a_package_that_is_not_here\n")
    assert main(["extra"]) == 2
    err = capsys.readouterr().err
    assert "a_package_that_is_not_here" in err
    assert "pip install 'rtdecode[calibration]'" in err


@pytest.mark.parametrize(
    ("kind", "code"), [("ConfigError", 2), ("BundleError", 2), ("RunError", 1)]
)
def test_our_own_errors_have_their_codes(capsys, install, kind, code) -> None:
    """What refuses to start ends with 2, what stops a run with 1, both in words."""
    source = (
        f"from rtdecode.errors import {kind}\n\n\ndef command() -> None:\n    raise {kind}('so')"
    )
    install(f"raises_{kind.lower()}", source)
    assert main(["extra"]) == code
    assert capsys.readouterr().err == "rtdecode: so\n"


def test_our_own_mistakes_are_not_hidden(install) -> None:
    """A module of ours that is not there is a fault of ours, not a package to install."""
    install("own_extra", "def command() -> None:\n    import rtdecode.no_such_module\n")
    with pytest.raises(ModuleNotFoundError):
        main(["extra"])


def test_ctrl_c_ends_without_a_traceback(capsys, install) -> None:
    """Ctrl-C in a command is no error."""
    install("stopped_extra", "def command() -> None:\n    raise KeyboardInterrupt\n")
    assert main(["extra"]) in {1, 130}
    assert "Traceback" not in capsys.readouterr().err


def test_source_that_cannot_be_opened_ends_with_2(capsys, bundle, tmp_path) -> None:
    """A recording that is not there is refused by its name."""
    sockets = [f"--{name}=tcp://127.0.0.1:*" for name in ("outcomes", "control", "ingest")]
    source = f"recording:{tmp_path / 'gone'}"
    arguments = ["serve", "--bundle", str(bundle.path), "--source", source, *sockets]
    assert main([*arguments, "--session", str(tmp_path / "session")]) == 2
    assert str(tmp_path / "gone") in capsys.readouterr().err


def _mosaic(volume: Volume) -> bytes:
    """Return a volume as a Siemens mosaic of 4 x 4 tiles, stored in row order from above."""
    x, y, slices = volume.data.shape
    tiles = np.zeros((16, y, x), "<u2")
    tiles[:slices] = np.clip(volume.data.transpose(2, 1, 0)[:, ::-1, ::-1], 0, 4095)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[f"volume {volume.index}"])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = (
        meta.MediaStorageSOPClassUID,
        meta.MediaStorageSOPInstanceUID,
    )
    ds.Modality, ds.ImageType = "MR", ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
    ds.Manufacturer = "SIEMENS"
    ds.SeriesInstanceUID, ds.SeriesNumber = generate_uid(entropy_srcs=["cli"]), 5
    ds.AcquisitionNumber = ds.InstanceNumber = volume.index + 1
    ds.RepetitionTime = 1000 * volume.repetition_time_s
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
    ds.Rows, ds.Columns = 4 * y, 4 * x
    ds.PixelData = tiles.reshape(4, 4, y, x).swapaxes(1, 2).tobytes()
    ds.PixelSpacing, ds.ImageOrientationPatient = [7.0, 7.0], [1, 0, 0, 0, 1, 0]
    ds.SliceThickness = ds.SpacingBetweenSlices = 8.0
    # The corner of the whole picture, laid around the centre of the volume.
    ds.ImagePositionPatient = [-7.0 * (4 * x - 1) / 2, -7.0 * (4 * y - 1) / 2, -52.0]
    ds.add_new(0x00190010, "LO", "SIEMENS MR HEADER")
    ds.add_new(0x0019100A, "US", slices)
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def test_run_is_served_to_its_end(capsys, bundle, scan, tmp_path) -> None:
    """ServiceStart ends after the volumes asked for, sums the run up in JSON and ends with 0."""
    export = tmp_path / "export"
    export.mkdir()
    for index in range(6):
        (export / f"{index}.dcm").write_bytes(_mosaic(scan(index)))
    sockets = [f"--{name}=tcp://127.0.0.1:*" for name in ("outcomes", "control", "ingest")]
    arguments = ["serve", "--bundle", str(bundle.path), "--source", f"folder:{export}", *sockets]
    more = ["--session", str(tmp_path / "session"), "--volumes", "6", "--provider", "cpu"]
    assert main([*arguments, *more, "--json"]) == 0
    out, err = capsys.readouterr()
    summary = json.loads(out)
    assert (summary["decisions"], summary["skipped"], summary["unreadable"]) == (2, 4, 0)
    assert "ready: tiny (2 classes) on cpu, 1 thread" in err
    report = tmp_path / "session" / "session_report.html"
    assert f"report: {report}" in err
    assert summary["outcomes_sha256"] in report.read_text("utf-8")
    stem = tmp_path / "session/bids/sub-unknown/func/sub-unknown_task-nf_run-1"
    assert stem.with_name(f"{stem.name}_desc-decoding_timeseries.tsv").is_file()


def test_a_report_that_cannot_be_written_changes_nothing_of_the_run(
    capsys, bundle, scan, tmp_path
) -> None:
    """It is told, with what writes it later; the summary and the exit code are the run's."""
    export = tmp_path / "export"
    export.mkdir()
    for index in range(3):
        (export / f"{index}.dcm").write_bytes(_mosaic(scan(index)))
    (tmp_path / "session").mkdir()
    (tmp_path / "session" / "bids").write_text("in the way")
    arguments = ["serve", "--bundle", str(bundle.path), "--source", f"folder:{export}", *SOCKETS]
    more = ["--session", str(tmp_path / "session"), "--volumes", "3", "--provider", "cpu"]
    assert main([*arguments, *more, "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["state"] == "ended"
    assert "no report was written" in err
    assert f"rtdecode export {tmp_path / 'session'} --bids" in err


SOCKETS = [f"--{name}=tcp://127.0.0.1:*" for name in ("outcomes", "control", "ingest")]


@pytest.fixture
def served(bundle, scan, tmp_path) -> Callable[..., Path]:
    """Return a function that serves a run of six volumes until it has so many."""

    def serve(volumes: int) -> Path:
        export = tmp_path / "export"
        export.mkdir()
        for index in range(volumes):
            (export / f"{index}.dcm").write_bytes(_mosaic(scan(index)))
        arguments = ["serve", "--bundle", str(bundle.path), "--source", f"folder:{export}"]
        more = ["--session", str(tmp_path / "session"), "--volumes", str(volumes)]
        assert main([*arguments, *SOCKETS, *more, "--provider", "cpu", "--late", "skip"]) == 0
        for index in range(volumes, 6):
            (export / f"{index}.dcm").write_bytes(_mosaic(scan(index)))
        return tmp_path / "session"

    return serve


def test_a_finished_session_verifies_byte_for_byte(capsys, bundle, served) -> None:
    """The same bundle gives the same outcomes again; nothing in the session changes."""
    session = served(6)
    before = {path: path.read_bytes() for path in session.rglob("*") if path.is_file()}
    assert main(["replay", "--verify", str(session), "--bundle", str(bundle.path)]) == 0
    assert "run 1: 6 outcomes are as recorded" in capsys.readouterr().out
    assert {p: p.read_bytes() for p in session.rglob("*") if p.is_file()} == before


def test_verifying_names_the_first_difference_and_its_causes(capsys, bundle, served) -> None:
    """An altered outcome is found, and what was not the same when it was recorded is named."""
    session = served(6)
    with closing(sqlite3.connect(session / "session.sqlite")) as record, record:
        changed = "json_set(outcome, '$.window_volumes', 99)"
        record.execute(f"UPDATE outcomes SET outcome = {changed} WHERE volume >= 4")  # noqa: S608
        record.execute("UPDATE servings SET version = '0.0.9', bundle = 'x'")
    arguments = ["replay", "--verify", str(session), "--bundle", str(bundle.path), "--threads", "2"]
    assert main(arguments) == 1
    out = capsys.readouterr().out
    assert "run 1: volume 4 is the first that is not as recorded" in out
    assert "threads: recorded with 1, now 2" in out
    assert "version of rtdecode: recorded with 0.0.9, now" in out
    assert "provider" not in out
    assert main([*arguments, "--json"]) == 1
    (told,) = json.loads(capsys.readouterr().out)
    assert told["difference"]["volume"] == 4


def test_verifying_computes_as_was_recorded_unless_it_is_told_otherwise(
    capsys, bundle, served
) -> None:
    """Provider and threads are the newest serving's; options come first."""
    session = served(6)
    with closing(sqlite3.connect(session / "session.sqlite")) as record, record:
        record.execute("UPDATE servings SET settings = json_set(settings, '$.threads', 2)")
        changed = "json_set(outcome, '$.window_volumes', 99)"
        record.execute(f"UPDATE outcomes SET outcome = {changed} WHERE volume >= 4")  # noqa: S608
    arguments = ["replay", "--verify", str(session), "--bundle", str(bundle.path)]
    assert main(arguments) == 1
    assert "threads" not in capsys.readouterr().out.partition("bundle, provider, threads")[0]
    assert main([*arguments, "--threads", "1"]) == 1
    assert "threads: recorded with 2, now 1" in capsys.readouterr().out


@pytest.mark.parametrize("missing", ["objects.pack", "session.sqlite"])
def test_what_is_no_session_is_not_verified(capsys, bundle, served, missing) -> None:
    """The message names the folder, and nothing is made in it."""
    session = served(6)
    (session / missing).unlink()
    for arguments in (["replay", "--bundle", str(bundle.path), "--verify"], ["resume"]):
        assert main([*arguments, str(session)]) == 2
        assert f"{session} cannot be read as a session" in capsys.readouterr().err
    assert not (session / missing).exists()


@pytest.mark.parametrize("end_is_logged", [True, False])
def test_an_unfinished_run_is_resumed_as_it_was_served(
    capsys, bundle, served, end_is_logged
) -> None:
    """The session says with what: source, bundle, provider, deadline."""
    session = served(6)
    if not end_is_logged:
        pack = session / "objects.pack"
        with pack.open("r+b") as file:
            *_, before, last = scan(file)
            assert last.kind is Kind.END
            file.truncate(before.body_offset + before.body_length)
    with closing(sqlite3.connect(session / "session.sqlite")) as record, record:
        record.execute("UPDATE runs SET ended_utc = NULL")
        record.execute("DELETE FROM outcomes WHERE volume = 5")
    assert main(["resume", str(session), "--json"]) == 0
    out, err = capsys.readouterr()
    summary = json.loads(out.splitlines()[-1])
    assert (summary["decisions"], summary["skipped"], summary["state"]) == (2, 4, "ended")
    assert "are withheld" in err
    assert main(["replay", "--verify", str(session), "--bundle", str(bundle.path)]) == 0


def test_what_cannot_be_resumed_is_refused(capsys, bundle, served, tmp_path) -> None:
    """A run that has ended, another bundle in the place, a session that does not say how."""
    session = served(6)
    assert main(["resume", str(session)]) == 2
    assert f"rtdecode serve --session {session}" in capsys.readouterr().err
    record = sqlite3.connect(session / "session.sqlite", isolation_level=None)
    with closing(record):
        record.execute("UPDATE runs SET ended_utc = NULL")
        record.execute("UPDATE servings SET settings = json_set(settings, '$.bundle', '/gone')")
        assert main(["resume", str(session)]) == 2
        assert "manifest.json: missing" in capsys.readouterr().err
        source = f"recording:{tmp_path}"
        change = "UPDATE servings SET settings = json_set(settings, '$.source', ?, '$.bundle', ?)"
        record.execute(change, (source, str(bundle.path)))
        assert main(["resume", str(session)]) == 2
        assert "is a replay of another one" in capsys.readouterr().err
        record.execute("DROP TABLE servings")
        assert main(["resume", str(session)]) == 2
        assert "does not record its bundle" in capsys.readouterr().err
