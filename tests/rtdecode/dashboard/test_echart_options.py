"""The charts' data."""

import json

from rtdecode.dashboard import echart_options
from rtdecode.dashboard.model import RunPlan
from rtdecode.events import Block
from rtdecode.palette import class_colour


def points(data, name):
    """Return one series' points."""
    return next(series["data"] for series in data["series"] if series["id"] == name)


def test_a_skipped_volume_is_a_gap(make_decision, make_skipped):
    outcomes = [make_decision(0, 0.25), make_skipped(1), make_decision(2, 0.5)]
    data = echart_options.probability_data(outcomes, ("faces", "right_hand"), 2.0)
    assert points(data, "class 0") == [[2.0, 0.25], [4.0, None], [6.0, 0.5]]
    assert points(data, "class 1")[0] == [2.0, 0.75]


def test_motion_is_in_millimetres_and_degrees(make_decision, make_skipped):
    data = echart_options.motion_data([make_decision(0), make_skipped(1)], 2.0)
    assert points(data, "trans_x") == [[2.0, 0.25]]
    assert points(data, "rot_z") == [[2.0, 0.573]]
    assert points(data, "fd") == [[2.0, 0.3]]


def test_of_many_classes_the_likeliest_are_drawn(make_decision):
    shares = tuple((n + 1) / 136 for n in range(16))
    outcomes = [make_decision(0, probabilities=shares)]
    names = tuple(f"state_{n}" for n in range(16))
    assert echart_options.shown_classes(outcomes, names) == list(range(8, 16))
    data = echart_options.probability_data(outcomes, names, 1.0)
    assert points(data, "class 0") == []
    assert len(points(data, "class 15")) == 1
    assert data["legend"]["data"][0] == "state 8"


def test_blocks_lie_behind_the_probabilities_in_the_colour_of_their_class():
    plan = RunPlan((Block("right_hand", 4.0, 16.0), Block("instruction", 20.0, 24.0)))
    options = echart_options.probabilities(("faces", "right_hand"), plan, 60.0)
    first, second = options["series"][0]["markArea"]["data"]
    assert (first[0]["xAxis"], first[1]["xAxis"]) == (4.0, 16.0)
    assert first[0]["itemStyle"]["color"] == class_colour(1)
    assert second[0]["itemStyle"]["color"] == echart_options.INK
    assert options["xAxis"]["max"] == 60.0


def test_without_a_plan_the_presented_blocks_are_drawn():
    presented = (Block("faces", 0.0, 5.0),)
    known = echart_options.probabilities(
        ("faces",), RunPlan((Block("faces", 1.0, 2.0),), presented=presented), 60.0
    )
    alone = echart_options.probabilities(("faces",), RunPlan(presented=presented), 60.0)
    spans = [[a[0]["xAxis"] for a in o["series"][0]["markArea"]["data"]] for o in (known, alone)]
    assert spans == [[1.0], [0.0]]


def test_a_thousand_volumes_are_a_small_message(make_decision):
    outcomes = [make_decision(index, 1 / 3) for index in range(1000)]
    data = echart_options.probability_data(outcomes, ("faces", "right_hand"), 1.5)
    assert len(json.dumps(data, separators=(",", ":"))) < 40_000


def test_a_chart_is_filled_with_its_first_data(make_decision):
    outcomes = [make_decision(0)]
    for options, data in (
        (echart_options.motion(0.9, 60.0), echart_options.motion_data(outcomes, 2.0)),
        (echart_options.quality(60.0), echart_options.quality_data(outcomes, 2.0)),
    ):
        full = echart_options.with_data(options, data)
        assert [len(series["data"]) for series in full["series"]] == [1] * len(data["series"])
