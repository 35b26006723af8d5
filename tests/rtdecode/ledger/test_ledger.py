"""Order, duplicates, gaps and foreign series."""

import json
import logging
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtdecode.dicom import Parsed, Series, Slab
from rtdecode.ledger import Ledger, LedgerReceipt
from rtdecode.types import Skipped, Stamps, Volume

SECOND = 10**9
SERIES = Series("0123456789ab", 7, (2, 2), 30.0, 1.5, ("ORIGINAL", "PRIMARY"), None)


def image(index, at=0, slices=1, series=SERIES):
    """Return one slice of a volume, as parsed."""
    affine = np.eye(4)
    affine[2, 3] = at
    slab = Slab(
        data=np.full((2, 2, 1), 100 * index + at, np.float32),
        affine=affine,
        location_mm=float(at),
        temporal=index + 1,
        instance=index * slices + at + 1,
        slices=slices,
        acquisition_clock_s=math.nan,
        trigger_clock_s=math.nan,
    )
    return Parsed(series, (slab,))


def feed(ledger, *images, now_ns=0):
    """Add images; return the last receipt and everything that went out."""
    out, receipt = [], None
    for one in images:
        receipt, more = ledger.add(one, Stamps(), now_ns)
        out += more
    return receipt, out


def kinds(outcomes):
    """Return (index, reason or 'volume') of each outcome."""
    return [(o.index, o.reason if isinstance(o, Skipped) else "volume") for o in outcomes]


def test_a_whole_volume_goes_out_at_once():
    """The object that makes it whole releases it and gives it its stamps."""
    ledger = Ledger()
    assert feed(ledger, image(0, 0, 2)) == (LedgerReceipt.PLACED, [])
    receipt, (volume,) = ledger.add(image(0, 1, 2), Stamps(received_ns=5), 0)
    assert receipt == LedgerReceipt.COMPLETED
    assert volume.stamps.received_ns == 5
    assert volume.identity.acquisition == 1
    assert volume.data[0, 0].tolist() == [0, 1]
    assert ledger.next_index == 1


def test_a_later_volume_waits_for_an_earlier_one():
    """Order is the header's, also at the start of a run."""
    ledger = Ledger()
    assert feed(ledger, image(2), image(1)) == (LedgerReceipt.COMPLETED, [])
    assert kinds(feed(ledger, image(0))[1]) == [(0, "volume"), (1, "volume"), (2, "volume")]


def test_duplicates_are_told_apart_from_late_objects():
    """A repeat of what went out is a duplicate; an object of a skipped volume is late."""
    ledger = Ledger()
    feed(ledger, image(0), image(2))
    assert feed(ledger, image(0)) == (LedgerReceipt.DUPLICATE, [])
    assert feed(ledger, image(2)) == (LedgerReceipt.DUPLICATE, [])
    assert kinds(ledger.give_up(1)) == [(1, "gap"), (2, "volume")]
    assert feed(ledger, image(1)) == (LedgerReceipt.LATE, [])
    assert feed(ledger, image(2)) == (LedgerReceipt.DUPLICATE, [])


def test_an_overtaken_volume_is_overdue_after_the_patience():
    """One repetition time after a later volume is whole, the missing ones are overdue."""
    ledger = Ledger()
    feed(ledger, image(0), now_ns=0)
    feed(ledger, image(3), now_ns=10 * SECOND)
    assert ledger.overdue(11 * SECOND) == []
    assert ledger.overdue(12 * SECOND) == [1, 2]
    assert Ledger(patience_s=60).overdue(10**18) == []


def test_overdue_keeps_whole_volumes():
    """Volumes that merely wait for an earlier one are not given up."""
    ledger = Ledger(patience_s=1)
    feed(ledger, image(1), image(3))
    assert ledger.overdue(2 * SECOND) == [0, 2]
    assert kinds(ledger.give_up(0)) == [(0, "gap"), (1, "volume")]
    assert ledger.overdue(2 * SECOND) == [2]
    assert kinds(ledger.give_up(2)) == [(2, "gap"), (3, "volume")]


def test_a_run_of_incomplete_volumes_does_not_stand_still():
    """Where no volume ever becomes whole, those two volumes back are overdue all the same."""
    ledger = Ledger(patience_s=1)
    feed(ledger, image(0, 0, 3), image(1, 0, 3), image(2, 0, 3))
    assert ledger.overdue(2 * SECOND) == [0]
    (skipped,) = ledger.give_up(0)
    assert (skipped.reason, skipped.detail) == ("incomplete", "1 of 3 slices arrived")


def test_giving_up_what_went_out_does_nothing():
    """A replayed decision to give up is harmless."""
    ledger = Ledger()
    feed(ledger, image(0))
    assert ledger.give_up(0) == []


def test_close_accounts_for_everything_seen():
    """At the end every index up to the last one seen goes out."""
    ledger = Ledger()
    feed(ledger, image(1, 0, 2), image(1, 1, 2), image(3, 0, 2))
    assert kinds(ledger.close()) == [(0, "gap"), (1, "volume"), (2, "gap"), (3, "incomplete")]
    assert ledger.close() == []
    assert Ledger().close() == []


@pytest.mark.parametrize(
    "change", [{"digest": "ba9876543210"}, {"matrix": (4, 4)}, {"echo_time_ms": 60.0}]
)
def test_the_first_series_wins(caplog, change):
    """Objects of another series, matrix or echo are foreign, warned of once, without names."""
    ledger = Ledger()
    feed(ledger, image(0))
    other = replace(SERIES, series_number=8, **change)
    with caplog.at_level(logging.WARNING):
        assert feed(ledger, image(1, series=other)) == (LedgerReceipt.WRONG_SERIES, [])
        assert feed(ledger, image(2, series=other)) == (LedgerReceipt.WRONG_SERIES, [])
    assert len(caplog.records) == 1
    assert "series 8" in caplog.text
    assert SERIES.digest not in caplog.text
    assert ledger.next_index == 1


def test_another_image_for_the_same_place_is_a_conflict(caplog):
    """Told once a volume, whether the first still waits or has gone out; the first is kept."""
    ledger = Ledger()
    feed(ledger, image(1, 0, 2))
    other = image(1, 0, 2)
    other = Parsed(SERIES, (replace(other.slabs[0], data=other.slabs[0].data + 1),))
    with caplog.at_level(logging.ERROR):
        assert feed(ledger, other) == (LedgerReceipt.CONFLICT, [])
        feed(ledger, image(0, 0, 2), image(0, 1, 2), image(1, 1, 2))
        assert feed(ledger, other, other) == (LedgerReceipt.CONFLICT, [])
    assert len(caplog.records) == 1
    assert "volume 1" in ledger.conflict
    assert SERIES.digest not in ledger.conflict
    assert ledger.next_index == 2
    assert feed(ledger, image(1, 0, 2)) == (LedgerReceipt.DUPLICATE, [])


def test_another_size_for_the_same_place_is_a_conflict():
    """A place that has an image; before one has, the size is another's."""
    ledger = Ledger()
    feed(ledger, image(0))
    wide = Parsed(replace(SERIES, matrix=(4, 2)), (replace(image(0).slabs[0]),))
    assert feed(ledger, wide) == (LedgerReceipt.CONFLICT, [])
    later = Parsed(replace(SERIES, matrix=(4, 2)), image(1).slabs)
    assert feed(ledger, later) == (LedgerReceipt.WRONG_SERIES, [])
    assert kinds(feed(ledger, image(1))[1]) == [(1, "volume")]


def test_a_series_that_does_not_number_its_volumes_is_warned_of(caplog):
    """Two different images for one place and time are never dropped quietly."""
    ledger = Ledger()
    first = image(1)
    clash = Parsed(SERIES, (replace(first.slabs[0], instance=99),))
    with caplog.at_level(logging.WARNING):
        feed(ledger, first)
        assert feed(ledger, clash) == (LedgerReceipt.DUPLICATE, [])
    assert "both claim one slice of volume 1" in caplog.text


def test_state_survives_a_restart():
    """After a restart, what went out is a duplicate or late, and held objects are fed again."""
    ledger = Ledger(patience_s=2)
    feed(ledger, image(0), image(2))
    ledger.give_up(1)
    feed(ledger, image(4))
    restored = Ledger.restore(json.loads(json.dumps(ledger.state(), allow_nan=False)))
    assert restored.next_index == 3
    assert restored.series_number == 7
    assert feed(restored, image(0)) == (LedgerReceipt.DUPLICATE, [])
    assert feed(restored, image(1)) == (LedgerReceipt.LATE, [])
    feed(restored, image(4))
    assert kinds(feed(restored, image(3))[1]) == [(3, "volume"), (4, "volume")]
    assert restored.close() == []


def test_a_fresh_ledger_can_be_saved():
    """Before the first object there is little to remember."""
    state = json.loads(json.dumps(Ledger().state(), allow_nan=False))
    assert kinds(feed(Ledger.restore(state), image(0))[1]) == [(0, "volume")]


@given(
    arrivals=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2)), max_size=60),
    give_ups=st.lists(st.integers(0, 60), max_size=4),
    restart=st.integers(0, 60),
)
def test_exactly_one_outcome_an_index_in_order(arrivals, give_ups, restart):
    """Whatever comes, in whatever order, with deadlines and a restart in between."""
    ledger, out, journal = Ledger(), [], []
    for now, (index, at) in enumerate(arrivals):
        if now == restart:
            ledger = Ledger.restore(ledger.state())
            for one in journal:
                assert ledger.add(one, Stamps(), now)[1] == []
        journal.append(image(index, at, 3))
        out += ledger.add(journal[-1], Stamps(), now)[1]
        if now in give_ups:
            out += ledger.give_up(ledger.next_index)
    out += ledger.close()
    assert [o.index for o in out] == list(range(len(out)))
    assert len(out) >= 1 + max((index for index, _ in arrivals), default=-1)
    if not give_ups:
        whole = {i for i in range(6) if {at for j, at in arrivals if j == i} == {0, 1, 2}}
        assert {o.index for o in out if isinstance(o, Volume)} == whole
    for volume in (o for o in out if isinstance(o, Volume)):
        assert volume.data[0, 0].tolist() == [100 * volume.index + at for at in range(3)]
        assert volume.acquired_s == pytest.approx(1.5 * volume.index)
