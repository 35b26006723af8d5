"""Where volumes lie, in words and in numbers."""

import json
import logging
from dataclasses import replace

import numpy as np
import pytest

from rtdecode.dicom import Parsed, Series, Slab
from rtdecode.ledger import Ledger, LedgerReceipt, ScanProtocol, orientation
from rtdecode.ledger.scan_protocol import largest_angle_deg, position, share_covered
from rtdecode.types import Stamps

SHAPE = (20, 24, 10)
OBLIQUE = np.array([[-3.0, 0, 0, 30], [0, 2.95, -0.6, -30], [0, 0.55, 3.2, -10], [0, 0, 0, 1]])


def turned(degrees: float, axis: int = 0) -> np.ndarray:
    """Return a rotation about an axis."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    a, b = [i for i in range(3) if i != axis]
    rotation = np.eye(4)
    rotation[a, a] = rotation[b, b] = c
    rotation[a, b], rotation[b, a] = -s, s
    return rotation


@pytest.mark.parametrize(
    ("affine", "words"),
    [
        (np.eye(4), "transverse"),
        (turned(0.2), "transverse"),
        (turned(12.4), "transverse, tilted 12° towards coronal"),
        (turned(-12.4), "transverse, tilted 12° towards coronal"),
        (turned(20, axis=1), "transverse, tilted 20° towards sagittal"),
        (turned(80), "coronal, tilted 10° towards transverse"),
        (np.diag([2.0, 2.0, -3.0, 1.0]), "transverse"),
    ],
)
def test_orientation_in_words(affine, words):
    """As the console names it, and by how much it is tilted."""
    assert orientation(affine) == words


def test_a_place_is_named_as_consoles_do():
    """Left is negative x, front positive y, up positive z."""
    assert position(np.array([-2.2, 14.0, 8.1])) == "L2 A14 H8 mm"
    assert position(np.array([3.0, -1.0, -20.0])) == "R3 P1 F20 mm"


def shifted(affine: np.ndarray, *by_mm: float) -> np.ndarray:
    """Return an affine moved in the scanner."""
    moved = affine.copy()
    moved[:3, 3] += by_mm
    return moved


def flipped(affine: np.ndarray, axis: int) -> np.ndarray:
    """Return the affine of the same volume stored the other way along an axis."""
    flip = np.eye(4)
    flip[axis, axis], flip[axis, 3] = -1, SHAPE[axis] - 1
    return affine @ flip


@pytest.mark.parametrize(
    ("affine", "reference", "deg"),
    [
        (np.eye(4), np.eye(4), 0),
        (turned(25), np.eye(4), 25),
        (turned(20, axis=2) @ turned(5), turned(5), 20),
        (turned(90, axis=2), np.eye(4), 90),
        (flipped(np.eye(4), 0), np.eye(4), 0),
        (np.diag([2.0, 2.0, 4.0, 1.0]), np.eye(4), 0),
    ],
)
def test_axes_are_apart_by_their_angle(affine, reference, deg):
    """Whatever the voxel size, and whichever way voxels are stored."""
    assert largest_angle_deg(affine, reference) == pytest.approx(deg, abs=0.01)


def test_of_a_slice_two_axes_are_known():
    """Its thickness has no direction of its own."""
    odd = np.eye(4)
    odd[:3, 2] = 1.0, 0.0, 0.0
    assert largest_angle_deg(odd, np.eye(4), axes=2) == 0.0


@pytest.mark.parametrize(
    ("affine", "share"),
    [
        (OBLIQUE, 1.0),
        (flipped(OBLIQUE, 0), 1.0),
        (flipped(flipped(OBLIQUE, 1), 2), 1.0),
        (shifted(OBLIQUE, 30.0, 0, 0), 0.5),
        (shifted(OBLIQUE, -45.0, 0, 0), 0.25),
        (shifted(OBLIQUE, 0, 0, 400.0), 0.0),
    ],
)
def test_a_shift_covers_less(affine, share):
    """Sixty millimetres wide, moved by a half and by three quarters of it."""
    assert share_covered(SHAPE, affine, SHAPE, OBLIQUE) == pytest.approx(share, abs=0.01)


EXPECTED = ScanProtocol(SHAPE, (3.0, 3.0, 3.2558), 1.5, tuple(map(tuple, OBLIQUE.tolist())))
SERIES = Series("0123456789ab", 7, SHAPE[:2], 30.0, 1.5, ("ORIGINAL", "PRIMARY"), None)


def parsed(affine: np.ndarray, slices: int = SHAPE[2]) -> Parsed:
    """Return an object as parsed."""
    data = np.zeros((*SHAPE[:2], slices), np.float32)
    slab = Slab(data, affine, 0.0, 1, 1, SHAPE[2], np.nan, np.nan)
    return Parsed(SERIES, (slab,))


@pytest.mark.parametrize(
    ("affine", "reported"),
    [
        (
            turned(40) @ OBLIQUE,
            "slices coronal, tilted 39° towards transverse, the bundle's transverse, tilted 11° "
            "towards coronal (their axes are 40° apart; at most 30°)",
        ),
        (OBLIQUE @ turned(90, axis=2), "(their axes are 90° apart; at most 30°)"),
        (
            shifted(OBLIQUE, 0, 0, 20.0),
            "field of view about R2 A1 H31 mm, the bundle's about R2 A1 H11 mm "
            "(38% of it is covered; at least 50%)",
        ),
    ],
)
def test_a_series_that_lies_elsewhere_is_left_out_with_both_values(caplog, affine, reported):
    """It never sets the run; what fits and comes after it does, also after a restart."""
    ledger = Ledger(protocol=EXPECTED)
    with caplog.at_level(logging.WARNING):
        other = parsed(affine)
        other = replace(other, series=replace(other.series, digest="aaaaaaaaaaaa"))
        assert ledger.add(other, Stamps(), 0)[0] is LedgerReceipt.WRONG_SERIES
    assert reported in ledger.notice
    ledger = Ledger.restore(json.loads(json.dumps(ledger.state(), allow_nan=False)))
    assert ledger.add(other, Stamps(), 0)[0] is LedgerReceipt.WRONG_SERIES
    assert ledger.add(parsed(OBLIQUE), Stamps(), 0)[0] is LedgerReceipt.COMPLETED


@pytest.mark.parametrize(
    "affine",
    [
        shifted(turned(15) @ OBLIQUE, 8.0, -10.0, 4.0),
        flipped(OBLIQUE, 0),
        flipped(flipped(OBLIQUE, 1), 2),
    ],
)
def test_slices_prescribed_anew_or_stored_otherwise_fit(affine):
    """Tilted and moved as between two runs; left for right as another sender stores them."""
    assert Ledger(protocol=EXPECTED).add(parsed(affine), Stamps(), 0)[0] is LedgerReceipt.COMPLETED


def test_a_slice_alone_is_judged_by_its_own_axes():
    """Where it lies says nothing of its volume."""
    far = shifted(OBLIQUE, 0, 0, 500.0)
    assert Ledger(protocol=EXPECTED).add(parsed(far, 1), Stamps(), 0)[0] is LedgerReceipt.PLACED
    across = OBLIQUE @ turned(90, axis=2)
    assert (
        Ledger(protocol=EXPECTED).add(parsed(across, 1), Stamps(), 0)[0]
        is LedgerReceipt.WRONG_SERIES
    )


def test_sessions_of_earlier_versions_say_nothing_of_the_place():
    """Their logs name no affine, and go on as they began."""
    facts = EXPECTED.facts()
    assert ScanProtocol.from_facts(json.loads(json.dumps(facts))) == EXPECTED
    del facts["affine"]
    earlier = ScanProtocol.from_facts(facts)
    assert earlier.differences(SHAPE, shifted(turned(80) @ OBLIQUE, 0, 0, 900.0), 1.5) == []
