"""Late decisions, and the backlog after a stall."""

import threading

import pytest

from rtdecode.journal import Journal
from rtdecode.journal.pack import Entry, Kind
from rtdecode.player.sinks import IngestSink
from rtdecode.service.runner import Runner
from rtdecode.service.settings import RunOptions
from rtdecode.types import Decision, Skipped, SkipReason
from rtdecode.wire import deterministic, to_message

BURST = 50


class ManualClock:
    """A clock that is set by the test."""

    now_ns = 10**9

    def monotonic_ns(self):
        """Return it."""
        return self.now_ns


@pytest.fixture
def run(tmp_path, stand_in, scanner):
    """Return a function that decides one volume after a delay and returns the outcome."""
    clock = ManualClock()

    class Slow(stand_in):
        took_ns = 0

        def step(self, item):
            clock.now_ns += self.took_ns
            return super().step(item)

    def decide(took_s, deadline_s=None, journalled_ns=1):
        folder = tmp_path / f"{took_s} {deadline_s} {journalled_ns}"
        published = []
        decoder = Slow()
        with Journal(folder) as journal:
            runner = Runner(journal, decoder, clock, RunOptions(deadline_s=deadline_s))
            published += runner.open()
            decoder.took_ns = round(took_s * 1e9)
            header = {"name": "a", "received_ns": clock.now_ns}
            (made,) = journal.append_objects([Entry(Kind.OBJECT, header, scanner.mosaic(0))])
            published += runner.apply(made, scanner.mosaic(0), journalled_ns)
            (recorded,) = journal.outcomes()
            late = runner.outcomes.late
        (outcome,) = published
        with Journal(folder) as journal:
            (read,) = journal.outcomes()
        # Compare messages, because the first temporal signal-to-noise ratio is NaN.
        assert to_message(recorded) == to_message(read) == to_message(outcome)
        assert late == outcome.outcome.late
        return outcome.outcome

    return decide


def test_a_decision_is_late_after_one_repetition_time(run):
    """The decoder's repetition time is 1.5 s; record and message agree, also later."""
    assert not run(1.5).late
    assert run(1.501).late
    assert deterministic(run(1.25)) == deterministic(run(1.75))


def test_the_deadline_can_be_set(run):
    """The setting of the operator is used."""
    assert run(0.3, deadline_s=0.2).late
    assert not run(3.0, deadline_s=4.0).late


def test_a_volume_decided_after_a_restart_is_late(run):
    """A volume decided from the log waited for a restart, whatever its clock says."""
    assert run(0.1, journalled_ns=0).late


@pytest.fixture
def burst(start, make_scanner, stand_in):
    """Return a function that decides 50 volumes; it returns outcomes and the summary."""

    def serve(deadline_s, late, session, hold):
        free = threading.Event()

        class Stalled(stand_in):
            def step(self, item):
                assert free.wait(60)
                return super().step(item)

        scanner = make_scanner()
        decoder = Stalled() if hold else stand_in()
        service = start(
            decoder,
            source="zmq:",
            session=session,
            volumes=BURST,
            deadline_s=deadline_s,
            late=late,
            patience_s=60.0,
        )
        with service.outcomes() as outcomes, IngestSink(service.endpoints.ingest) as sink:
            reported = []
            for index in range(BURST):
                sink.put(f"{index}.dcm", scanner.mosaic(index))
                if not hold:
                    reported.append(next(outcomes).outcome)
            sink.flush()
            free.set()
            reported += [numbered.outcome for numbered in outcomes]
            with service.control() as control:
                status = control.status()
        return reported, status, service.finish()

    return serve


def test_a_backlog_is_decided_in_order_with_the_same_outcomes(burst, tmp_path):
    """A burst of 50 volumes gives the same outcomes as a slow run, except the times."""
    unhurried, status, first = burst(3600.0, "publish", tmp_path / "unhurried", hold=False)
    assert status.late == 0
    assert not any(outcome.late for outcome in unhurried)
    hurried, status, second = burst(1e-9, "publish", tmp_path / "burst", hold=True)
    assert [outcome.index for outcome in hurried] == list(range(BURST))
    assert list(map(deterministic, hurried)) == list(map(deterministic, unhurried))
    assert all(outcome.late for outcome in hurried)
    assert (status.late, second.late, status.decisions) == (BURST, BURST, BURST)
    assert first.outcomes_sha256 == second.outcomes_sha256


def test_withheld_decisions_are_skips_for_clients_and_decisions_in_the_record(burst, tmp_path):
    """A stimulus program shows nothing; the session replays to the same bytes."""
    unhurried, _, first = burst(3600.0, "skip", tmp_path / "unhurried", hold=False)
    assert all(isinstance(outcome, Decision) for outcome in unhurried)
    reported, _, second = burst(1e-9, "skip", tmp_path / "burst", hold=True)
    assert all(isinstance(outcome, Skipped) for outcome in reported)
    assert {outcome.reason for outcome in reported} == {SkipReason.LATE}
    assert [outcome.motion for outcome in reported] == [outcome.motion for outcome in unhurried]
    with Journal(tmp_path / "burst") as journal:
        recorded = [numbered.outcome for numbered in journal.outcomes()]
    assert all(outcome.late for outcome in recorded)
    assert list(map(deterministic, recorded)) == list(map(deterministic, unhurried))
    assert first.outcomes_sha256 == second.outcomes_sha256
