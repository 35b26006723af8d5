"""The service over real sockets and real files."""

import sqlite3
from contextlib import closing

import pytest

from rtdecode.journal import read_session
from rtdecode.types import Decision, Skipped, SkipReason
from rtdecode.wire import WireError


def test_every_volume_of_a_watched_folder_is_decided_and_published(start, export, scanner):
    """Files that are there already and files that come later all give outcomes, in order."""
    for index in range(4):
        export(f"{index:03d}.dcm", scanner.mosaic(index))
    service = start(volumes=8)
    with service.outcomes() as outcomes:
        first = next(outcomes)
        for index in range(4, 8):
            export(f"sub/{index:03d}.dcm", scanner.mosaic(index))
        rest = list(outcomes)
    assert [o.sequence for o in (first, *rest)] == list(range(1, 9))
    assert [o.index for o in (first, *rest)] == list(range(8))
    assert all(isinstance(o.outcome, Decision) for o in (first, *rest))
    assert all(o.outcome.stamps.recorded_ns for o in rest)
    summary = service.finish()
    assert (summary.exit_code, summary.state, summary.decisions) == (0, "ended", 8)


def test_slices_in_any_order_twice_and_late_become_numbered_volumes(start, export, scanner):
    """Slice files of several volumes, shuffled and repeated, give each volume once."""
    names = [(index, at) for index in range(3) for at in range(4)]
    service = start(volumes=3, patience_s=20.0)
    with service.outcomes() as outcomes:
        for index, at in (*names[5:], *names[:7]):
            export(f"IM_{index}_{at}.dcm", scanner.slice(index, at))
        assert [o.index for o in outcomes] == [0, 1, 2]
    assert service.finish().objects == 12


def test_a_missing_volume_is_skipped_and_the_run_continues(start, export, scanner):
    """A gap becomes `Skipped` after the deadline; the next volumes are decided."""
    service = start(volumes=4)
    with service.outcomes() as outcomes:
        for index in (0, 1, 3):
            export(f"{index}.dcm", scanner.mosaic(index))
        came = list(outcomes)
    assert [o.index for o in came] == [0, 1, 2, 3]
    assert isinstance(came[2].outcome, Skipped)
    assert came[2].outcome.reason is SkipReason.GAP
    assert came[2].label is None
    service.finish()


def test_a_half_written_file_is_read_when_complete(start, tmp_path, export, scanner):
    """A file that is written in two halves is decided once it is whole."""
    service = start(volumes=2, file_patience_s=60.0)
    content = scanner.mosaic(1)
    with service.outcomes() as outcomes:
        slow = tmp_path / "export" / "1.dcm"
        slow.write_bytes(content[: len(content) // 2])
        export("0.dcm", scanner.mosaic(0))
        assert next(outcomes).index == 0
        with slow.open("ab") as file:
            file.write(content[len(content) // 2 :])
        assert [o.index for o in outcomes] == [1]
    assert service.finish().unreadable == 0


def test_a_file_that_stays_broken_is_reported_and_decided_when_completed(
    start, tmp_path, export, scanner
):
    """A truncated file is reported after a time, and used when it is completed later."""
    service = start(volumes=2, file_patience_s=0.1, patience_s=60.0)
    content = scanner.mosaic(1)
    broken = tmp_path / "export" / "1.dcm"
    with service.outcomes() as outcomes, service.control() as control:
        broken.write_bytes(content[:-100])
        export("0.dcm", scanner.mosaic(0))
        assert next(outcomes).index == 0
        while control.status().unreadable == 0:
            assert outcomes.poll(0.05) is None
        assert control.status().detail.startswith("object ")
        broken.write_bytes(content)
        assert [o.index for o in outcomes] == [1]
    assert service.finish().unreadable == 1


def test_a_late_subscriber_gets_the_whole_run(start, export, scanner):
    """A client that connects in mid-run sees every outcome once, in order."""
    service = start(volumes=6)
    with service.outcomes() as early:
        for index in range(4):
            export(f"{index}.dcm", scanner.mosaic(index))
        assert [next(early).index for _ in range(4)] == [0, 1, 2, 3]
        with service.outcomes() as late:
            assert [next(late).index for _ in range(4)] == [0, 1, 2, 3]
            for index in (4, 5):
                export(f"{index}.dcm", scanner.mosaic(index))
            assert [o.index for o in late] == [4, 5]
        assert [o.index for o in early] == [4, 5]
    service.finish()


def test_a_run_ends_and_the_next_begins_by_command(start, export, scanner, make_scanner):
    """After `end` and `start` another series is the next run, numbered from 0 again."""
    service = start()
    other = make_scanner(series=6, seed=8)
    with service.control() as control, service.outcomes() as outcomes:
        export("a0.dcm", scanner.mosaic(0))
        assert next(outcomes).run == 1
        control.mark("the participant coughed")
        control.end()
        assert list(outcomes) == []
        control.start()
        export("b0.dcm", other.mosaic(0))
        second = next(outcomes)
        assert (second.run, second.sequence, second.index) == (2, 2, 0)
        assert control.status().subscribers == 1
        assert [o.sequence for o in control.snapshot(since=0).outcomes] == [1, 2]
    summary = service.shut()
    assert (summary.run, summary.state) == (2, "stopped")


def test_files_of_an_earlier_run_are_not_decoded_again(start, export, scanner, make_scanner):
    """A service on a finished session begins a run with new files only."""
    for index in range(2):
        export(f"{index}.dcm", scanner.mosaic(index))
    assert start(volumes=2).finish().state == "ended"
    service = start(volumes=1)
    with service.outcomes() as outcomes:
        export("next.dcm", make_scanner(series=9).mosaic(0))
        came = list(outcomes)
    assert [(o.run, o.sequence, o.index) for o in came] == [(2, 3, 0)]
    service.finish()


def test_images_of_another_series_do_not_disturb_the_run(start, export, scanner, make_scanner):
    """A localiser in between changes nothing."""
    service = start(volumes=3)
    with service.outcomes() as outcomes:
        for index in range(3):
            export(f"{index}.dcm", scanner.mosaic(index))
            export(f"scout{index}.dcm", make_scanner(series=1, seed=index).mosaic(0))
        assert [o.index for o in outcomes] == [0, 1, 2]
    service.finish()


def test_the_status_has_the_latency_of_each_stage(start, export, scanner):
    """The status has current percentiles, and a decision's stamps give its age."""
    service = start(volumes=3)
    for index in range(3):
        export(f"{index}.dcm", scanner.mosaic(index))
    with service.outcomes() as outcomes:
        ages_ms = [
            (o.outcome.stamps.recorded_ns - o.outcome.stamps.received_ns) / 1e6 for o in outcomes
        ]
    with service.control() as control:
        latency = control.status().latency
    assert {"journal", "parse", "total"} <= set(latency)
    assert latency["total"].p50_ms == pytest.approx(sorted(ages_ms)[1], abs=1e-3)
    assert latency["total"].p50_ms <= latency["total"].p95_ms <= latency["total"].p99_ms
    service.shut()


def test_events_are_recorded_as_the_stimulus_program_reported_them(
    start, export, scanner, settings
):
    """Events have an onset or a moment, and belong to the newest run, also before its volumes."""
    service = start(volumes=2)
    with service.outcomes() as outcomes, service.control() as control:
        assert control.event("rest") == "rest: recorded as presented now"
        export("0.dcm", scanner.mosaic(0))
        assert next(outcomes).sequence == 1
        answer = control.event("left hand", -0.5, 15)
        assert answer == "left hand: recorded as presented at -0.5 s"
        for wrong in (float("nan"), float("inf"), 1e9):
            with pytest.raises(WireError):
                control.event("tongue", wrong)
        for duration in (-1.0, float("nan")):
            with pytest.raises(WireError):
                control.event("tongue", 1.0, duration)
        for trial_type in ("", "two\tcolumns", "a\nline", "x" * 101):
            with pytest.raises(WireError, match=r"trial_type|printable"):
                control.event(trial_type)
        # The session is read while the service writes it.
        first, second = read_session(settings.session).stimulus_events
        export("1.dcm", scanner.mosaic(1))
    service.finish()
    assert (first.run, first.sequence, first.trial_type) == (1, 0, "rest")
    assert (first.onset_s, first.duration_s, first.serving) == (None, None, 1)
    assert (second.run, second.sequence, second.trial_type) == (1, 1, "left hand")
    assert (second.onset_s, second.duration_s) == (-0.5, 15.0)
    assert 0 < first.told_ns < second.told_ns


def test_a_session_of_an_earlier_version_has_no_events(start, export, scanner, settings):
    """The session can be read."""
    service = start(volumes=1)
    export("0.dcm", scanner.mosaic(0))
    service.finish()
    with closing(sqlite3.connect(settings.session / "session.sqlite")) as record:
        record.execute("DROP TABLE presented")
    assert read_session(settings.session).stimulus_events == []
