"""The tables contain the outcomes, to the last bit."""

import csv
import math
from io import StringIO

from hypothesis import given
from hypothesis import strategies as st

from rtdecode.journal import RecordedRun
from rtdecode.journal.pack import Kind, Record
from rtdecode.record import bids_tables
from rtdecode.types import Decision, Motion, Quality, Skipped, SkipReason, Stamps

numbers = st.floats(allow_nan=False, allow_infinity=False)
measures = numbers | st.just(math.nan)
reasons = st.sampled_from(("not_ready", "motion", "signal_drop"))
motions = st.builds(Motion, *[numbers] * 6)
qualities = st.builds(
    Quality, *[measures] * 4, usable=st.booleans(), why=st.lists(reasons, max_size=2).map(tuple)
)
stamps = st.builds(Stamps, *[st.integers(0, 10**15)] * 9)
names = st.text(min_size=1, max_size=12).filter(lambda name: name != "none")


@st.composite
def runs(draw):
    """Return runs with random outcomes."""
    classes = tuple(draw(st.lists(names, min_size=2, max_size=4, unique=True)))
    shares = st.lists(numbers, min_size=len(classes), max_size=len(classes)).map(tuple)
    outcomes = []
    for index in range(draw(st.integers(1, 5))):
        decision = st.builds(
            Decision,
            index=st.just(index),
            probabilities=shares,
            fast=shares,
            label=st.sampled_from((*classes, "none")),
            window_volumes=st.integers(0, 100),
            motion=motions,
            quality=qualities,
            bundle=st.just("b"),
            acquired_s=measures,
            stamps=stamps,
            late=st.booleans(),
        )
        skipped = st.builds(
            Skipped,
            index=st.just(index),
            reason=st.sampled_from(SkipReason),
            motion=st.none() | motions,
            quality=st.none() | qualities,
            stamps=stamps,
        )
        outcomes.append(draw(decision | skipped))
    start = Record(0, Kind.START, {}, 0, 0)
    return RecordedRun(1, start, "b", classes, 1.0, True, 1, outcomes, (), None)


def parse_rows(columns):
    """Return a table's rows as BIDS programs read them."""
    text = bids_tables.table(columns)
    return list(csv.DictReader(StringIO(text, newline=""), delimiter="\t", quoting=csv.QUOTE_NONE))


def number(cell):
    """Return a cell's number, `nan` for none."""
    return math.nan if cell == "n/a" else float(cell)


def same(cell, value):
    """Whether a cell equals a value, to the last bit."""
    return repr(number(cell)) == repr(math.nan if value is None else value)


@given(runs())
def test_tables_read_back_to_the_same_values(run):
    """Every column of every volume reads back, for any class names."""
    columns = bids_tables.decoding(run)
    rows, confounds = parse_rows(columns), parse_rows(bids_tables.confounds(run))
    assert len(rows) == len(confounds) == len(run.outcomes)
    of_class = [c.name for c in columns if c.name.startswith("probability_")]
    fast = [c.name for c in columns if c.name.startswith("fast_")]
    about = bids_tables.descriptions(columns)
    assert [about[name]["Class"] for name in of_class] == list(run.classes)
    assert len(about) == len(columns)
    for row, confound, outcome in zip(rows, confounds, run.outcomes, strict=True):
        assert row["volume"] == str(outcome.index)
        for name in ("trans_x", "rot_z"):
            assert same(confound[name], outcome.motion and getattr(outcome.motion, name))
        for name in ("framewise_displacement", "dvars", "temporal_snr", "signal_drop"):
            assert same(confound[name], outcome.quality and getattr(outcome.quality, name))
        if isinstance(outcome, Skipped):
            assert row["skipped_reason"] == outcome.reason
            assert {row[n] for n in (*of_class, *fast, "late", "label")} == {"n/a"}
            continue
        assert (row["outcome"], row["skipped_reason"]) == ("decision", "n/a")
        assert all(map(same, (row[n] for n in of_class), outcome.probabilities))
        assert all(map(same, (row[n] for n in fast), outcome.fast))
        assert same(row["acquired"], outcome.acquired_s)
        assert (row["late"] == "true", row["usable"] == "true") == (
            outcome.late,
            outcome.quality.usable,
        )
        assert row["label"] == "".join(c if c.isprintable() else " " for c in outcome.label)
        assert row["window_volumes"] == str(outcome.window_volumes)


@given(runs())
def test_every_column_has_a_description_and_a_unique_ascii_name(run):
    """BIDS programs can read the names."""
    for columns in (bids_tables.decoding(run), bids_tables.confounds(run)):
        assert len({c.name for c in columns}) == len(columns)
        for column in columns:
            assert column.about["Description"]
            assert column.name.isascii()
            assert column.name.replace("_", "").isalnum()


def test_volume_read_after_a_restart_has_no_latency(make_run, make_decision):
    """Its time since receipt includes the restart."""
    live = make_decision(0)
    again = make_decision(1, stamps=Stamps(received_ns=1, parsed_ns=5, decided_ns=9))
    unrecorded = make_decision(2, stamps=Stamps(received_ns=1, journalled_ns=2))
    rows = parse_rows(bids_tables.decoding(make_run([live, again, unrecorded])))
    assert [row["latency_total"] for row in rows] == ["0.008", "n/a", "n/a"]
    assert [row["latency_decode"] for row in rows] == ["0.001", "n/a", "n/a"]


def test_sidecar_explains_every_skip_reason():
    """A new reason must be added to the sidecar, too."""
    assert set(bids_tables.REASONS) == set(SkipReason)
