"""Any schedule of faults gives one outcome per index, in order, equal to an undisturbed run.

A scanner's objects are delivered by a hypothesis state machine that drops, delays, duplicates,
reorders, truncates and contradicts them, mixes others in, lets deadlines pass and restarts the
ledger from its saved state. Objects go through the real reader.
"""

import json

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from rtdecode.dicom import OtherImageError, Parsed, assemble, parse
from rtdecode.errors import VolumeError
from rtdecode.ledger import Ledger, LedgerReceipt, ScanProtocol
from rtdecode.types import Skipped, Stamps, Volume

VOLUMES, SLICES = 4, 5
SECOND = 10**9
PATIENCE_S = 2.0
KINDS = {
    "mosaic": lambda b, run, t, _: b.mosaic(run[t], t + 1),
    "ge": lambda b, run, t, z: b.ge(run[t], t + 1, z),
    "philips": lambda b, run, t, z: b.philips(run[t], t + 1, z),
    "enhanced": lambda b, run, t, _: b.enhanced(run[t : t + 1], first=t + 1),
}


class Schedule(RuleBasedStateMachine):
    """A scanner and a network with faults."""

    def __init__(self, objects, conflicts, others, truth, slices):
        super().__init__()
        self.objects, self.conflicts, self.others = objects, conflicts, others
        self.truth, self.slices = truth, slices
        one = truth[0]
        self.expected = ScanProtocol(one.data.shape, (2.5, 3.0, 4.0), one.repetition_time_s)
        self.ledger = Ledger(PATIENCE_S, self.expected, follow=True)
        self.now_ns = 0
        self.out = []
        self.log, self.feed_from = [], 0
        self.delivered = set()
        self.emitted_before = {}

    def apply(self, step):
        """Apply a step of the log as the service does."""
        receipt, items = None, []
        if isinstance(step, int):
            items = self.ledger.give_up(step) if step >= self.ledger.next_index else []
        elif isinstance(step, Parsed):
            receipt, items = self.ledger.add(step, Stamps(), self.now_ns)
        else:
            receipt = self.ledger.leave_out(step)
        return receipt, items

    def step(self, step):
        """Log a step and apply it."""
        self.log.append(step)
        receipt, items = self.apply(step)
        self.out += items
        if not self.ledger.pending:
            self.feed_from = len(self.log)
        return receipt

    @rule(at=st.integers(0, VOLUMES * SLICES - 1))
    def deliver(self, at):
        """Deliver an object, in order or not, again or for the first time."""
        place = divmod(at % (VOLUMES * self.slices), self.slices)
        gone = place[0] < self.ledger.next_index
        skipped = any(o.index == place[0] and isinstance(o, Skipped) for o in self.out)
        receipt = self.step(parse(self.objects[place], "o"))
        if skipped:
            assert receipt is LedgerReceipt.LATE
        elif place in self.delivered:
            assert receipt is LedgerReceipt.DUPLICATE
        else:
            assert not gone
            assert receipt in (LedgerReceipt.PLACED, LedgerReceipt.COMPLETED)
        self.delivered.add(place)

    @rule(at=st.integers(0, VOLUMES * SLICES - 1), share=st.floats(0, 0.999))
    def truncate(self, at, share):
        """Deliver a truncated object: it is refused and changes nothing."""
        content = self.objects[divmod(at % (VOLUMES * self.slices), self.slices)]
        with pytest.raises(VolumeError):
            parse(content[: int(share * len(content))], "half")

    @rule(at=st.integers(0, VOLUMES * SLICES - 1))
    def contradict(self, at):
        """Deliver a second image for one location: the first is kept."""
        place = divmod(at % (VOLUMES * self.slices), self.slices)
        if place in self.delivered:
            receipt = self.step(parse(self.conflicts[place], "c"))
            assert receipt in (LedgerReceipt.CONFLICT, LedgerReceipt.LATE)

    @rule(data=st.data())
    def mix_in(self, data):
        """Deliver an object of another series, also before the run's first image."""
        content = data.draw(st.sampled_from(self.others))
        try:
            other = parse(content, "x")
        except OtherImageError as error:
            other = error
        assert self.step(other) is LedgerReceipt.WRONG_SERIES

    @rule(seconds=st.sampled_from([0.1, 1.0, 2.5]))
    def wait(self, seconds):
        """Time passes, and deadlines expire."""
        self.now_ns += round(seconds * SECOND)
        for index in self.ledger.overdue(self.now_ns):
            if index >= self.ledger.next_index:
                assert any(place[0] > index for place in self.delivered)
                self.step(index)

    @rule()
    def restart(self):
        """Resume from the saved state, as a service does after a crash."""
        state = json.loads(json.dumps(self.ledger.state(), allow_nan=False))
        self.ledger = Ledger.restore(state)
        for step in self.log[self.feed_from :]:
            assert self.apply(step)[1] == []

    @invariant()
    def once_and_in_order(self):
        """Each index up to the newest has one outcome, and volumes equal the scanner's."""
        assert [o.index for o in self.out] == list(range(len(self.out)))
        for outcome in self.out:
            if isinstance(outcome, Volume):
                same = self.truth[outcome.index]
                assert outcome.data.tobytes() == same.data.tobytes()
                assert outcome.affine.tobytes() == same.affine.tobytes()

    def teardown(self):
        """End the run: volumes that did not arrive whole and in time are skipped."""
        self.out += self.ledger.close()
        self.once_and_in_order()
        assert len(self.out) == 1 + max((v for v, _ in self.delivered), default=-1)
        for outcome in self.out:
            arrived = sum(place[0] == outcome.index for place in self.delivered)
            if isinstance(outcome, Volume):
                assert arrived == self.slices
            elif outcome.reason == "gap":
                assert "no image" in outcome.detail
            else:
                assert outcome.reason == "incomplete"


@pytest.mark.parametrize("kind", KINDS)
def test_any_schedule_gives_each_volume_one_outcome(builder, make_builder, run, kind, tmp_path):
    """After thousands of steps, the volumes equal those of an undisturbed run."""
    build, slices = KINDS[kind], 1 if kind in ("mosaic", "enhanced") else SLICES
    places = [(t, z) for t in range(VOLUMES) for z in range(slices)]
    objects = {place: build(builder, run, *place) for place in places}
    conflicts = {place: build(builder, run + 1, *place) for place in places}
    for number, content in enumerate(objects.values()):
        (tmp_path / f"{number:03d}").write_bytes(content)
    truth = {volume.index: volume for volume in assemble([tmp_path])}
    scout = make_builder(series_uid="1.2.3", series_number=1)
    phase = builder.slice_dataset(run[0][0], 0, 1, "SIEMENS")
    phase.ImageType = ["ORIGINAL", "PRIMARY", "P", "ND"]
    moco = make_builder(series_uid="1.2.4", series_number=6)
    copy = moco.slice_dataset(run[0][0], 0, 1, "SIEMENS")
    copy.ImageType = [*copy.ImageType, "MOCO"]
    copy.AcquisitionNumber = 1
    others = [
        scout.mosaic(np.ascontiguousarray(run[0][:3]), 1),
        make_builder(series_uid="1.2.5", repetition_time_ms=900.0).mosaic(run[0], 1),
        make_builder(series_uid="1.2.6", spacing_mm=(2.5, 2.5, 4.0)).mosaic(run[0], 1),
        builder.write(phase),
        builder.write(copy),
    ]
    run_state_machine_as_test(
        lambda: Schedule(objects, conflicts, others, truth, slices),
        settings=settings(stateful_step_count=60),
    )
