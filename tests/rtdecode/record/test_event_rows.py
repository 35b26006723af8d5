"""Onsets of events: reported, computed from the volumes, or read from files."""

from rtdecode.journal import ServiceStart, StimulusEvent
from rtdecode.record import EventRow, presented_events, read_events
from rtdecode.types import Stamps

SECOND_NS = 1_000_000_000
BOOT_NS = 500 * SECOND_NS


def event_at(run, at_s, trial_type, onset_s=None, duration_s=None, serving=0):
    """Return an event reported `at_s` seconds after the first run's first volume began."""
    told_ns = BOOT_NS + int(at_s * SECOND_NS)
    return StimulusEvent(run, 0, told_ns, trial_type, onset_s, duration_s, serving)


def test_reported_onset_is_unchanged(make_run, make_session):
    """Events are in order of onset, not of report."""
    session = make_session(
        make_run(),
        events=[event_at(1, 9, "b", 8.25, 4.0), event_at(1, 9, "a", -0.1)],
    )
    events, unknown = presented_events(session)
    assert events == {
        1: [EventRow(-0.1, None, "a", "program"), EventRow(8.25, 4.0, "b", "program")],
    }
    assert unknown == 0


def test_onset_is_computed_from_the_least_delayed_volume(make_run, make_session, make_decision):
    """The error is the shortest delay, also if the first volume had a long delay."""
    delays_s = (3.0, 0.9, 0.5, 0.7)
    run = make_run([make_decision(n, delay_s=d) for n, d in enumerate(delays_s)])
    events, _ = presented_events(make_session(run, events=[event_at(1, 5.0, "a")]))
    (event,) = events[1]
    assert event == EventRow(4.5, None, "a", "service")


def test_event_before_the_first_volume_has_an_onset(make_run, make_session, make_decision):
    """The volumes that arrive later give the onset."""
    run = make_run([make_decision(0), make_decision(1)])
    events, _ = presented_events(make_session(run, events=[event_at(0, 0.5, "a")]))
    assert events[1][0].onset_s == 0.0


def test_event_just_before_the_next_run_belongs_to_that_run(make_run, make_session, make_decision):
    """The run's first volume arrives two seconds after the trigger."""
    first = make_run([make_decision(n) for n in range(3)])
    later = [make_decision(n, delay_s=0.5 + 100) for n in range(3)]  # began 100 s later
    second = make_run(later, run=2, first=4)
    session = make_session(
        first,
        second,
        events=[
            event_at(1, 5, "a"),
            event_at(1, 97, "b"),
            event_at(1, 99.5, "c"),
            event_at(1, 100.5, "d", 0.0),
        ],
    )
    events, _ = presented_events(session)
    assert [e.trial_type for e in events[1]] == ["a", "b"]
    assert [(e.trial_type, e.onset_s) for e in events[2]] == [("c", -1.0), ("d", 0.0)]


def test_clocks_of_two_service_starts_are_not_mixed(make_run, make_session, make_decision):
    """The clock of a restarted computer begins at zero."""
    before = [make_decision(n) for n in range(2)]
    # It arrived before the crash and was decided after it, so neither clock applies.
    again = make_decision(2, stamps=Stamps(1))
    shifted = Stamps(*(7 * SECOND_NS + n for n in range(9)))  # volume 3 arrived 7 s after a restart
    run = make_run([*before, again, make_decision(3, stamps=shifted)])
    servings = [ServiceStart(0, "b", {}), ServiceStart(2, "b", {})]
    restarted = StimulusEvent(1, 3, 7 * SECOND_NS, "b", None, None, 2)
    session = make_session(
        run,
        servings=servings,
        events=[event_at(1, 1.5, "a", serving=1), restarted],
    )
    events, _ = presented_events(session)
    assert [(e.trial_type, e.onset_s) for e in events[1]] == [("a", 1.0), ("b", 8.0)]


def test_event_without_any_volume_has_no_onset(make_run, make_session):
    """The event is counted as one without an onset."""
    run = make_run()
    session = make_session(run, servings=[ServiceStart(0, "b", {})] * 2, events=[
        event_at(1, 3, "a", serving=1), event_at(1, 3, "b", 2.0, serving=1)])  # fmt: skip
    events, unknown = presented_events(session)
    assert [e.trial_type for e in events[1]] == ["b"]
    assert unknown == 1


def test_read_events_reads_a_bids_file(tmp_path):
    """Other columns are ignored; n/a means an unknown duration."""
    path = tmp_path / "events.tsv"
    path.write_text("trial_type\tonset\tresponse\tduration\nb\t4\tx\tn/a\n\na\t-1.5\ty\t2\n")
    assert read_events(path) == [EventRow(-1.5, 2.0, "a", "file"), EventRow(4.0, None, "b", "file")]
