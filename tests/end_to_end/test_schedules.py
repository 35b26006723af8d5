"""Any schedule of objects, commands, deadlines and crashes: only the log decides.

A hypothesis state machine drives a session without sockets: three series and what does not belong
to them arrive in any order, runs are started, ended, paused and followed by others, and the service
dies between steps, in the middle of a volume, and between an outcome's record and its publication.
"""

import shutil
import tempfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from rtdecode.journal import Checkpoint, Journal, write_checkpoint
from rtdecode.journal.pack import Entry, Kind, of_run
from rtdecode.lifecycle import COMMANDS, LifecycleEvent, refusal
from rtdecode.service.runner import Runner
from rtdecode.service.settings import Rules, RunOptions
from rtdecode.wire import deterministic

SECOND = 10**9


class Killed(BaseException):
    """The process is gone."""


@dataclass
class Clock:
    """A clock that is set by the test."""

    now_ns: int = 0

    def monotonic_ns(self):
        """Return the present."""
        return self.now_ns


class Session(RuleBasedStateMachine):
    """A session's folder and the service on it."""

    def __init__(self, make_decoder, objects, rules):
        super().__init__()
        self.make_decoder, self.objects, self.rules_ = make_decoder, objects, rules
        self.folder = Path(tempfile.mkdtemp())
        self.clock = Clock()
        self.published = {}
        self.deadly = ""
        self.begin()

    def begin(self):
        """Serve the folder; repeat if the service crashes while it opens it."""
        self.queue = []
        self.journal = Journal(self.folder / "session")
        self.runner = self.serve(self.journal, self.rules_)
        self.survive(lambda: self.take(self.runner.open()))

    def serve(self, journal, rules):
        """Return a runner."""
        decoder = self.make_decoder()
        step = decoder.step

        def dying_step(item):
            self.die("volume")
            return step(item)

        append_start = journal.append_start

        def dying_append_start(header, first):
            self.die("start")
            return append_start(header, first)

        decoder.step, journal.append_start = dying_step, dying_append_start
        return Runner(journal, decoder, self.clock, RunOptions(rules, checkpoint_volumes=2))

    def take(self, outputs, journal=None):
        """Publish outcomes and write checkpoints; `False` if records wait to be applied."""
        journal = journal or self.journal
        if outputs is None:
            return False
        for output in outputs:
            if isinstance(output, Checkpoint):
                write_checkpoint(journal.checkpoints, output)
                continue
            self.die("publication")
            content = deterministic(output.outcome)
            assert self.published.setdefault((journal.folder, output.sequence), content) == content
        return True

    def die(self, where):
        """Crash, if it is planned for now."""
        if self.deadly == where:
            self.deadly = ""
            raise Killed

    def survive(self, work):
        """Run an action in which the service may crash; then serve again."""
        try:
            return work()
        except Killed:
            self.kill()
            return None

    @rule(at=st.integers(0, 30), batch=st.integers(1, 4))
    def arrive(self, at, batch):
        """Make objects durable, some time before they are processed."""
        chosen = [self.objects[(at + n) % len(self.objects)] for n in range(batch)]
        entries = [Entry(Kind.OBJECT, {"name": "o", "received_ns": 1}, body) for body in chosen]
        for entry, made in zip(entries, self.journal.append_objects(entries), strict=True):
            if made is not None:
                self.queue.append((made, entry.body))

    @rule(most=st.integers(1, 8))
    def work(self, most):
        """Process some of the records that have arrived."""
        for _ in range(min(most, len(self.queue))):
            if self.queue:
                record, content = self.queue.pop(0)
                self.survive(lambda r=record, c=content: self.take(self.runner.apply(r, c)))

    @rule(event=st.sampled_from(COMMANDS))
    def command(self, event):
        """Give a command, as the operator does; an impossible one is refused."""
        if not refusal(self.runner.run.number, self.runner.run.state, event):
            done = self.survive(lambda: self.take(self.runner.carry_out(event)))
            assert done is not False or self.queue

    @rule(seconds=st.sampled_from([0.5, 2.0]))
    def wait(self, seconds):
        """Let time pass; deadlines are judged if no record waits."""
        self.clock.now_ns += round(seconds * SECOND)
        if not self.queue:
            self.survive(lambda: self.take(self.runner.judge_deadlines()))

    @rule()
    def kill(self):
        """Kill the service, and start it again."""
        self.journal.close()
        self.begin()

    @rule(where=st.sampled_from(["volume", "publication", "start"]))
    def plan_crash(self, where):
        """Plan a crash in the next volume, or at the start of the next run."""
        self.deadly = where

    def teardown(self):
        """Every run has each volume once, and replays to the same bytes."""
        try:
            self.deadly = ""
            self.work(len(self.queue))
            if self.runner.run.is_open:
                assert self.take(self.runner.carry_out(LifecycleEvent.END))
            self.check()
        finally:
            self.journal.close()
            shutil.rmtree(self.folder)

    def check(self):
        """Compare each run with its replay."""
        records = self.journal.records
        outcomes = self.journal.outcomes()
        assert [o.sequence for o in outcomes] == list(range(1, len(outcomes) + 1))
        for start in (r for r in records if r.kind is Kind.START):
            run = start.header["run"]
            recorded = [o for o in outcomes if o.run == run]
            assert [o.index for o in recorded] == list(range(len(recorded)))
            with Journal(self.folder / f"replay-{run}") as journal:
                runner = self.serve(journal, Rules())
                self.take(runner.open(start.header), journal)
                for record in of_run(records, start):
                    body = self.journal.body(record)
                    (made,) = journal.append_objects([Entry(record.kind, record.header, body)])
                    if made is not None:
                        self.take(runner.apply(made, body), journal)
                assert self.take(runner.carry_out(LifecycleEvent.END), journal)
                replayed = journal.outcomes()
            assert [deterministic(o.outcome) for o in replayed] == [
                deterministic(o.outcome) for o in recorded
            ]


def another(content, image_type):
    """Return an object of another kind."""
    ds = pydicom.dcmread(BytesIO(content))
    ds.ImageType = image_type
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


@pytest.mark.parametrize("runs", ["command", "volume", "series"])
def test_the_log_alone_decides(make_scanner, stand_in, runs):
    """Every volume of every run has one outcome after any crash; a replay gives the same bytes."""
    objects = []
    for series in (5, 6, 7):
        scanner = make_scanner(series=series, seed=series)
        objects += [scanner.mosaic(index) for index in range(3)]
        objects += [scanner.slice(3, at) for at in range(4)]
        moco = ["ORIGINAL", "PRIMARY", "M", "ND", "MOCO", "MOSAIC"]
        objects.append(another(scanner.mosaic(1), moco))
        objects.append(another(scanner.mosaic(1), ["ORIGINAL", "PRIMARY", "P", "MOSAIC"]))
    run_state_machine_as_test(
        lambda: Session(stand_in, objects, Rules(runs, dummies=1)),
        settings=settings(max_examples=settings().max_examples // 4, stateful_step_count=40),
    )
