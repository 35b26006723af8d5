"""Which series is the run's, and which begins the next."""

import json
import logging
import math
from dataclasses import replace

import numpy as np
import pytest

from rtdecode.dicom import OtherImageError, Parsed, Series, Slab
from rtdecode.ledger import Ledger, LedgerReceipt, ScanProtocol
from rtdecode.types import Stamps

SERIES = Series("0123456789ab", 7, (4, 4), 30.0, 1.5, ("ORIGINAL", "PRIMARY"), None)
NEXT = replace(SERIES, digest="ba9876543210", series_number=9)
EXPECTED = ScanProtocol((4, 4, 3), (3.0, 3.0, 3.5), 1.5)


def volume(index=0, series=SERIES, clock_s=math.nan, shape=(4, 4, 3), voxel_mm=(3.0, 3.0, 3.5)):
    """Return a whole volume, as parsed from a mosaic."""
    slab = Slab(
        data=np.full(shape, float(index), np.float32),
        affine=np.diag([*voxel_mm, 1.0]),
        location_mm=0.0,
        temporal=index + 1,
        instance=index + 1,
        slices=shape[2],
        acquisition_clock_s=clock_s,
        trigger_clock_s=math.nan,
    )
    return Parsed(replace(series, matrix=shape[:2]), (slab,))


def receipts(ledger, *objects):
    """Return what became of each."""
    return [ledger.add(one, Stamps(), 0)[0] for one in objects]


def restarted(ledger):
    """Return the ledger as it is after a restart."""
    return Ledger.restore(json.loads(json.dumps(ledger.state(), allow_nan=False)))


@pytest.mark.parametrize(
    ("other", "reported"),
    [
        (volume(shape=(4, 4, 2)), "matrix 4x4x2, the bundle's 4x4x3"),
        (volume(shape=(8, 4, 3)), "matrix 8x4x3, the bundle's 4x4x3"),
        (volume(voxel_mm=(3.0, 3.0, 4.0)), "voxels of 3x3x4 mm, the bundle's 3x3x3.5 mm"),
        (
            volume(series=replace(SERIES, repetition_time_s=0.72)),
            "repetition time 0.72 s, the bundle's 1.5 s",
        ),
    ],
)
def test_what_does_not_fit_the_bundle_never_sets_the_run(caplog, other, reported):
    """It is reported once, with both values; what fits and comes after it is the run."""
    ledger = Ledger(protocol=EXPECTED)
    other = replace(other, series=replace(other.series, digest="aaaaaaaaaaaa", series_number=2))
    with caplog.at_level(logging.WARNING):
        assert receipts(ledger, other, other) == [LedgerReceipt.WRONG_SERIES] * 2
    assert ledger.series is None
    assert len(caplog.records) == 1
    assert "series 2" in caplog.text
    assert reported in ledger.notice
    assert receipts(ledger, volume()) == [LedgerReceipt.COMPLETED]
    assert ledger.series == SERIES.digest


def test_small_differences_of_rounding_fit():
    """Headers round; one per cent is nothing."""
    near = volume(series=replace(SERIES, repetition_time_s=1.5004), voxel_mm=(3.004, 3.0, 3.5))
    assert receipts(Ledger(protocol=EXPECTED), near) == [LedgerReceipt.COMPLETED]


def test_a_slice_alone_is_judged_by_what_it_tells():
    """Neither its thickness nor an unknown number of slices is held against it."""
    one = volume(shape=(4, 4, 1), voxel_mm=(3.0, 3.0, 1.0))
    unknown = Parsed(one.series, (replace(one.slabs[0], slices=None),))
    assert receipts(Ledger(protocol=EXPECTED), unknown) == [LedgerReceipt.PLACED]
    stated = Parsed(one.series, (replace(one.slabs[0], slices=9),))
    assert receipts(Ledger(protocol=EXPECTED), stated) == [LedgerReceipt.WRONG_SERIES]


def test_copies_and_phase_images_are_left_out_in_any_order(caplog):
    """A motion-corrected copy beside the run, before and after it, and phases in its own series."""
    ledger = Ledger(protocol=EXPECTED, follow=True)
    copy = volume(series=replace(NEXT, kind="motion-corrected copies"))
    phase = OtherImageError("is phase", "phase images", SERIES.digest, 7)
    with caplog.at_level(logging.WARNING):
        assert receipts(ledger, copy) == [LedgerReceipt.WRONG_SERIES]
        assert ledger.leave_out(phase) is LedgerReceipt.WRONG_SERIES
        assert receipts(ledger, volume(0), copy, volume(1)) == [
            LedgerReceipt.COMPLETED,
            LedgerReceipt.WRONG_SERIES,
            LedgerReceipt.COMPLETED,
        ]
        ledger.leave_out(phase)
    assert [r.message.partition(": ")[2] for r in caplog.records] == [
        "they are motion-corrected copies",
        "they are phase images",
    ]


def test_a_later_series_that_fits_begins_the_next_run():
    """Where series are followed; where they are not, it is left out."""
    run, later = volume(3, clock_s=109.0), volume(0, NEXT, clock_s=160.0)
    assert receipts(Ledger(protocol=EXPECTED, follow=True), run, later) == [
        LedgerReceipt.COMPLETED,
        LedgerReceipt.NEXT_RUN,
    ]
    assert receipts(Ledger(protocol=EXPECTED), run, later)[1] is LedgerReceipt.WRONG_SERIES


def test_a_second_reconstruction_of_the_run_is_not_the_next():
    """It has the run's own times, and stays out when it overtakes the run later."""
    ledger = Ledger(protocol=EXPECTED, follow=True)
    assert receipts(ledger, volume(0, clock_s=100.0), volume(0, NEXT, clock_s=100.0)) == [
        LedgerReceipt.COMPLETED,
        LedgerReceipt.WRONG_SERIES,
    ]
    ledger = restarted(ledger)
    assert receipts(ledger, volume(9, NEXT, clock_s=113.5)) == [LedgerReceipt.WRONG_SERIES]
    assert ledger.rivals == (NEXT.digest,)


def test_an_older_run_that_is_exported_again_is_not_the_next():
    """It was acquired before."""
    earlier = volume(0, NEXT, clock_s=40.0)
    ledger = Ledger(protocol=EXPECTED, follow=True)
    assert receipts(ledger, volume(0, clock_s=100.0), earlier)[1] is LedgerReceipt.WRONG_SERIES


def test_a_session_may_pass_midnight():
    """Ten past twelve is later than ten to."""
    ledger = Ledger(protocol=EXPECTED, follow=True)
    before, after = volume(0, clock_s=86390.0), volume(0, NEXT, clock_s=10.0)
    assert receipts(ledger, before, after)[1] is LedgerReceipt.NEXT_RUN


@pytest.mark.parametrize(("number", "receipt"), [(8, "next_run"), (6, "wrong_series")])
def test_without_a_clock_the_scanners_numbers_decide(number, receipt):
    """A higher SeriesNumber is a later series."""
    ledger = Ledger(protocol=EXPECTED, follow=True)
    other = volume(0, replace(NEXT, series_number=number))
    assert receipts(ledger, volume(0), other)[1] == receipt


def test_a_settled_run_is_not_followed():
    """A run that has all its volumes only waits for its end, also after a restart."""
    ledger = Ledger(protocol=EXPECTED, follow=True)
    receipts(ledger, volume(0, clock_s=1.0))
    ledger.settle()
    assert receipts(restarted(ledger), volume(0, NEXT, clock_s=50.0)) == [
        LedgerReceipt.WRONG_SERIES
    ]


def test_what_is_left_of_an_ended_run_is_no_run():
    """Nor after a restart."""
    ledger = Ledger(protocol=EXPECTED, former=[SERIES.digest])
    assert receipts(ledger, volume(7)) == [LedgerReceipt.WRONG_SERIES]
    assert "has ended" in ledger.notice
    ledger = restarted(ledger)
    assert receipts(ledger, volume(8), volume(0, NEXT)) == [
        LedgerReceipt.WRONG_SERIES,
        LedgerReceipt.COMPLETED,
    ]


def test_a_restart_tells_nothing_twice(caplog):
    """What was left out before the restart is known after it."""
    ledger = Ledger(protocol=EXPECTED)
    receipts(ledger, volume(0), volume(0, NEXT))
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert receipts(restarted(ledger), volume(1, NEXT)) == [LedgerReceipt.WRONG_SERIES]
    assert not caplog.records
