"""How runs begin, pause, end and follow one another, over real sockets and files."""

import json
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import replace
from io import BytesIO

import pydicom
import pytest

from rtdecode.cli import main
from rtdecode.errors import ConfigError
from rtdecode.journal import Journal, read_session
from rtdecode.journal.pack import Entry, Kind
from rtdecode.journal.pack_writer import PackWriter
from rtdecode.ledger import ScanProtocol
from rtdecode.service import serve
from rtdecode.types import Decision, Skipped
from rtdecode.wire import WireError


def reported(outcomes):
    """Return run, index and reason (or label's presence) of each outcome."""
    return [
        (o.run, o.index, o.outcome.reason if isinstance(o.outcome, Skipped) else "decision")
        for o in outcomes
    ]


def first_of_next_run(outcomes):
    """Return the next outcome, also if the client has just received the end of the last run."""
    while True:
        for numbered in outcomes:
            return numbered


def changed(content, **changes):
    """Return an object with other header elements."""
    ds = pydicom.dcmread(BytesIO(content))
    for name, value in changes.items():
        setattr(ds, name, value)
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


@pytest.fixture
def fitting(stand_in):
    """Return a decoder with the protocol of its run."""

    class Fitting(stand_in):
        protocol = ScanProtocol((8, 8, 4), (3.0, 3.0, 3.0), 1.5)

    return Fitting


def test_a_run_that_restarts_is_the_next_run(start, export, scanner, make_scanner, settings):
    """The first run ends with its volumes; the second is numbered from 0."""
    service = start()
    again = make_scanner(series=6)
    with service.outcomes() as outcomes:
        for index in (0, 1, 3):
            export(f"a{index}.dcm", scanner.mosaic(index))
        assert [next(outcomes).index for _ in range(2)] == [0, 1]
        for index in range(2):
            export(f"b{index}.dcm", again.mosaic(index))
        export("a4.dcm", scanner.mosaic(4))  # what is left of the first
        export("b2.dcm", again.mosaic(2))
        arrived = [next(outcomes) for _ in range(5)]
    assert reported(arrived)[:2] == [(1, 2, "gap"), (1, 3, "decision")]
    assert reported(arrived)[2:] == [(2, index, "decision") for index in range(3)]
    with service.control() as control:
        status = control.status()
    assert (status.run, status.state, status.left_out, status.objects) == (2, "running", 1, 4)
    assert "left out" in status.detail
    assert service.shut().state == "stopped"
    run = read_session(settings.session).runs[1]
    assert [kind for kind, _ in run.notices] == ["wrong_series"]


def test_after_a_kill_around_a_new_run_the_outcomes_are_the_same(
    tmp_path, export, scanner, make_scanner, stand_in_script
):
    """After a kill in any volume of either run, the outcomes are those of unbroken runs."""
    again = make_scanner(series=6, seed=9)
    for index in (0, 1, 3):
        export(f"a{index}.dcm", scanner.mosaic(index))
    for index in range(5):
        export(f"b{index}.dcm", again.mosaic(index))
    source = f"folder:{tmp_path / 'export'}"

    def run(session, *more):
        command = [sys.executable, str(stand_in_script), str(tmp_path / session), source, "5"]
        done = subprocess.run(
            [*command, *map(str, more)], capture_output=True, text=True, timeout=100, check=False
        )
        return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None

    def outcomes(session):
        with Journal(tmp_path / session) as journal:
            return reported(journal.outcomes())

    unbroken = run("unbroken")
    assert unbroken["state"] == "ended"
    for die_at in (0, 3, 0, 2, 4):  # twice in the first run, then in the second
        assert run("killed", die_at) is None
    assert run("killed") == unbroken
    assert outcomes("killed") == outcomes("unbroken")
    assert [o[:2] for o in outcomes("unbroken")] == [
        *((1, index) for index in range(4)),
        *((2, index) for index in range(5)),
    ]


@pytest.mark.parametrize(
    "cut", ["before the start", "after the start", "before the first run ended"]
)
def test_a_crash_between_two_runs_loses_neither(
    start, export, scanner, make_scanner, settings, cut
):
    """Any part of the next run's first records may have reached the disk."""
    again = make_scanner(series=6, seed=9)
    service = start(checkpoint_volumes=100)
    with service.outcomes() as outcomes:
        export("a0.dcm", scanner.mosaic(0))
        export("a2.dcm", scanner.mosaic(2))
        assert next(outcomes).index == 0
        export("b0.dcm", again.mosaic(0))
        whole = [next(outcomes) for _ in range(3)]
    service.shut()
    with Journal(settings.session) as journal:
        (start_2,) = [r for r in journal.records if r.header.get("run") == 2]
        shutil.rmtree(settings.session / "checkpoints")
        record = journal._record
        record.execute("DELETE FROM outcomes WHERE run = 2")
        record.execute("DELETE FROM runs WHERE run = 2")
        if cut != "after the start":
            record.execute("UPDATE runs SET ended_utc = NULL")
        if cut == "before the start":
            pack = PackWriter(settings.session / "objects.pack")
            before = pack.records[start_2.number - 1]
            pack.close()
    if cut == "before the start":
        with (settings.session / "objects.pack").open("r+b") as file:
            file.truncate(before.body_offset + before.body_length)
    service = start(checkpoint_volumes=100)
    with service.control() as control:
        status = control.status()
        found = control.snapshot(since=1).outcomes
    assert (status.run, status.state) == (2, "running")
    with sqlite3.connect(settings.session / "session.sqlite") as record:
        (ended,) = record.execute("SELECT ended_utc FROM runs WHERE run = 1").fetchone()
    record.close()
    assert ended is not None
    assert [(o.run, o.sequence, o.outcome.index) for o in found] == [
        (o.run, o.sequence, o.index) for o in whole
    ]
    assert service.shut().run == 2


def test_after_an_end_the_first_volume_of_a_new_series_begins_the_next_run(
    start, export, scanner, make_scanner
):
    """The rest of the ended series begins no run, also after a restart of the service."""
    service = start(runs="volume")
    with service.control() as control, service.outcomes() as outcomes:
        export("a0.dcm", scanner.mosaic(0))
        assert next(outcomes).index == 0
        control.end()
        assert control.status().state == "ended"
        assert list(outcomes) == []
        export("a1.dcm", scanner.mosaic(1))
        export("b0.dcm", make_scanner(series=6).mosaic(0))
        while control.status().run == 1:
            pass
        assert reported([first_of_next_run(outcomes)]) == [(2, 0, "decision")]
        control.end()
    service.shut()
    service = start()
    with service.control() as control:
        export("a2.dcm", scanner.mosaic(2))
        while control.status().left_out == 0:
            pass
        assert "has ended" in control.status().detail
        assert (control.status().run, control.status().state) == (3, "ready")
    service.shut()


def test_an_object_that_was_durable_before_the_service_died_begins_the_next_run(
    start, export, scanner, make_scanner, settings
):
    """An object that arrived after a run's end and before the crash is not lost."""
    service = start()
    with service.outcomes() as outcomes, service.control() as control:
        export("a0.dcm", scanner.mosaic(0))
        next(outcomes)
        control.end()
        assert list(outcomes) == []
    service.shut()
    with Journal(settings.session) as journal:
        header = {"name": "b0.dcm", "received_ns": 1}
        body = make_scanner(series=6).mosaic(0)
        journal.append_objects([Entry(Kind.OBJECT, header, body)])
    service = start()
    with service.control() as control:
        assert (control.status().run, control.status().decisions) == (2, 1)
    service.shut()


def test_the_rest_of_a_second_reconstruction_begins_no_run(start, export, scanner, make_scanner):
    """A second reconstruction still arrives after the end of the run."""
    service = start(runs="volume")
    second = make_scanner(series=6)
    with service.control() as control, service.outcomes() as outcomes:
        export("a0.dcm", scanner.mosaic(0))
        next(outcomes)
        export("b0.dcm", second.mosaic(0))
        while control.status().left_out == 0:
            pass
        control.end()
        assert list(outcomes) == []
        export("b1.dcm", second.mosaic(1))
        export("c0.dcm", make_scanner(series=7).mosaic(0))
        assert reported([first_of_next_run(outcomes)]) == [(2, 0, "decision")]
        assert control.status().objects == 1
    service.shut()


def test_with_runs_command_only_commands_begin_and_end_runs(start, export, scanner, make_scanner):
    """Nothing is decoded outside a run, and no series begins or ends one."""
    service = start(runs="command")
    with service.control() as control, service.outcomes() as outcomes:
        assert control.status().state == "idle"
        with pytest.raises(WireError, match="no run has begun; possible now: start"):
            control.end()
        assert control.start() == "run 1 is ready"
        export("a0.dcm", scanner.mosaic(0))
        assert reported([next(outcomes)]) == [(1, 0, "decision")]
        export("b0.dcm", make_scanner(series=6).mosaic(0))
        while control.status().left_out == 0:
            pass
        control.end()
        assert list(outcomes) == []
        control.start()
        export("b1.dcm", make_scanner(series=6).mosaic(0)[:-1] + b"\1")
        assert reported([first_of_next_run(outcomes)]) == [(2, 0, "decision")]
    assert service.shut().state == "stopped"


def test_series_that_cannot_be_the_run_are_left_out(
    start, export, scanner, make_scanner, fitting, settings
):
    """Copies, phases, reports and other protocols arrive before and between; each is reported."""
    copies, other = make_scanner(series=8, seed=1), make_scanner(series=3, seed=2)
    service = start(fitting(), volumes=3)

    def foreign(index):
        moco = ["ORIGINAL", "PRIMARY", "M", "ND", "MOCO", "MOSAIC"]
        phase = ["ORIGINAL", "PRIMARY", "P", "ND", "MOSAIC"]
        yield "moco", changed(copies.mosaic(index), ImageType=moco)
        yield "phase", changed(scanner.mosaic(index), ImageType=phase)
        yield "report", changed(other.mosaic(index), Modality="SR")
        yield "faster", changed(other.mosaic(index), RepetitionTime=700.0)

    with service.outcomes() as outcomes:
        for index in range(3):
            for name, content in foreign(index):
                export(f"{index}_a_{name}.dcm", content)
            export(f"{index}_b.dcm", scanner.mosaic(index))
        assert reported(outcomes) == [(1, index, "decision") for index in range(3)]
    summary = service.finish()
    assert (summary.left_out, summary.unreadable, summary.decisions) == (12, 0, 3)
    texts = [text for _, text in read_session(settings.session).runs[0].notices]
    assert len(texts) == 4
    assert any("repetition time 0.7 s, the bundle's 1.5 s" in text for text in texts)


def test_an_image_that_contradicts_another_is_reported(start, export, scanner, settings, caplog):
    """The first is kept; the operator reads it in the status, the log and the record."""
    service = start()
    with service.outcomes() as outcomes, service.control() as control:
        export("0.dcm", scanner.mosaic(0))
        first = next(outcomes)
        altered = changed(scanner.mosaic(0), PixelData=scanner.mosaic(1)[-512:])
        export("0_again.dcm", altered)
        while control.status().conflicts == 0:
            pass
        assert "the first is kept" in control.status().detail
        assert [o.outcome.index for o in control.snapshot(since=0).outcomes] == [first.index]
    assert service.shut().conflicts == 1
    assert [r.levelname for r in caplog.records if "two different images" in r.message] == ["ERROR"]
    run = read_session(settings.session).runs[0]
    assert [kind for kind, _ in run.notices] == ["conflict"]


def test_dummies_are_skipped_and_left_out_of_the_statistics(start, export, scanner, stand_in):
    """The first volume after the dummies is the decoder's first volume."""
    seen = []

    class Watched(stand_in):
        def step(self, item):
            seen.append(item.index)
            return super().step(item)

    service = start(Watched(), volumes=4, dummies=2)
    with service.outcomes() as outcomes:
        for index in range(4):
            export(f"{index}.dcm", scanner.mosaic(index))
        arrived = list(outcomes)
    assert [reason for *_, reason in reported(arrived)] == ["dummy"] * 2 + ["decision"] * 2
    assert seen == [2, 3]
    service.finish()
    with pytest.raises(ConfigError, match="dummies"):
        start(dummies=-1)


def test_a_pause_withholds_decisions_and_keeps_the_statistics(
    start, export, scanner, tmp_path, stand_in, settings
):
    """Paused volumes have no decision; afterwards the run is the same as without a pause."""
    service = start()
    with service.control() as control, service.outcomes() as outcomes:
        export("0.dcm", scanner.mosaic(0))
        first = next(outcomes)
        assert control.pause() == "run 1 is paused"
        with pytest.raises(WireError, match="pause is not possible while run 1 is paused"):
            control.pause()
        for index in (1, 3):
            export(f"{index}.dcm", scanner.mosaic(index))
        paused = [next(outcomes) for _ in range(3)]
        assert [reason for _, _, reason in reported(paused)] == ["paused", "gap", "paused"]
        assert paused[0].outcome.motion is not None
        service.shut()
    service = start()
    with service.control() as control, service.outcomes() as outcomes:
        assert control.status().state == "paused"
        assert control.resume() == "run 1 is ready"
        export("4.dcm", scanner.mosaic(4))
        last = [next(outcomes) for _ in range(5)][-1]
        assert control.status().state == "running"
        control.end()
        assert control.status().state == "ended"
    service.shut()

    whole = serve(
        replace(
            settings,
            session=tmp_path / "whole",
            source="folder:" + str(tmp_path / "export"),
            volumes=5,
            linger_s=0.0,
        ),
        stand_in(),
    )
    assert whole.decisions == 4
    with Journal(tmp_path / "whole") as journal:
        unbroken = journal.outcomes()
    assert isinstance(last.outcome, Decision)
    assert first.probabilities == unbroken[0].probabilities
    assert last.probabilities == unbroken[4].probabilities

    replay = replace(
        settings, session=tmp_path / "replay", source=f"recording:{settings.session}", linger_s=0.0
    )
    assert serve(replay, stand_in()).decisions == 2
    with Journal(tmp_path / "replay") as journal:
        assert [reason for _, _, reason in reported(journal.outcomes())] == [
            "decision",
            "paused",
            "gap",
            "paused",
            "decision",
        ]


def test_a_replay_keeps_the_rules_of_the_recorded_run(
    start, export, scanner, make_scanner, stand_in, settings, tmp_path
):
    """With dummies and ended series, the digest of the replay is the recorded one."""
    service = start(dummies=1)
    other = make_scanner(series=6)
    with service.outcomes() as outcomes:
        export("a0.dcm", scanner.mosaic(0))
        next(outcomes)
        for index in range(3):
            export(f"b{index}.dcm", other.mosaic(index))
            next(outcomes)
    with service.control() as control:
        export("a1.dcm", scanner.mosaic(1))
        while control.status().left_out == 0:
            pass
        control.end()
    recorded = service.shut()
    replay = replace(
        settings, session=tmp_path / "replay", source=f"recording:{settings.session}", linger_s=0.0
    )
    replayed = serve(replay, stand_in())
    assert replayed.outcomes_sha256 == recorded.outcomes_sha256
    assert (replayed.skipped, replayed.decisions, replayed.left_out) == (1, 2, 1)


def test_the_command_line_controls_a_session(start, settings, capsys):
    """Every action prints text or JSON; a refusal has exit code 1 and the possible actions."""
    service = start()
    session = ["--session", str(settings.session)]

    def control(*arguments):
        code = main(["control", *arguments, *session])
        out, err = capsys.readouterr()
        return code, (out + err).strip()

    assert control("pause") == (0, "run 1 is paused")
    code, said = control("start")
    assert code == 1
    assert "start is not possible while run 1 is paused; possible now: resume or end" in said
    assert control("resume") == (0, "run 1 is ready")
    assert control("mark", "the participant coughed") == (0, "marked after outcome 0")
    assert control("mark")[0] == 2
    reported = (0, "left hand: recorded as presented at 3.5 s")
    assert control("event", "left hand", "--onset-s", "3.5", "--duration-s", "2") == reported
    assert control("event")[0] == control("mark", "text", "--onset-s", "3.5")[0] == 2
    assert control("end", "now")[0] == 2
    code, said = control("status", "--json")
    assert json.loads(said)["state"] == "ready"
    assert control("end") == (0, "run 1 is ended")
    assert control("start") == (0, "run 2 is ready")
    assert control("status")[1].startswith("run 2 ready: 0 decisions")
    assert control("shutdown") == (0, "the service stops")
    assert service.finish().state == "stopped"


def test_the_log_says_how_runs_began(start, export, scanner, make_scanner, settings):
    """Starts, ends and pauses are records, with the rules of the run."""
    service = start(runs="series", dummies=1)
    with service.control() as control, service.outcomes() as outcomes:
        export("a0.dcm", scanner.mosaic(0))
        next(outcomes)
        export("b0.dcm", make_scanner(series=6).mosaic(0))
        next(outcomes)
        control.pause()
        control.end()
    service.shut()
    with Journal(settings.session) as journal:
        events = [r for r in journal.records if r.kind is not Kind.OBJECT]
    kinds = [r.kind for r in events]
    assert kinds == [Kind.START, Kind.START, Kind.PAUSE, Kind.END]
    first, second, _, end = (r.header for r in events)
    assert (first["runs"], first["dummies"], first["former"]) == ("series", 1, [])
    assert second["from"] == 2
    assert len(second["former"]) == 1
    assert end["series"] not in second["former"]
