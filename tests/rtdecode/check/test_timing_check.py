"""Check of the clocks."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from rtdecode.check.timing_check import judge_clock

NOW = datetime(2027, 5, 4, 12, 0, tzinfo=timezone(timedelta(hours=2), "CEST"))
EARLIER = datetime(2027, 5, 1, tzinfo=UTC)


def test_a_good_clock_is_green_with_time_and_zone():
    """The operator can compare the time with another clock."""
    found = judge_clock(NOW, 1e-9, 0.0002, 12.0, EARLIER)
    assert found.verdict == "green"
    assert "2027-05-04 12:00:00 CEST (UTC+0200)" in found.found
    assert "measured to 1 ns" in found.found


@pytest.mark.parametrize(
    ("changes", "verdict", "text"),
    [
        ({"resolution_s": 0.0156}, "yellow", "16 ms, which is a coarse resolution"),
        ({"jump_s": -0.2}, "yellow", "jumped by -200 ms within 12 s"),
        ({"now": datetime(1970, 1, 1, tzinfo=UTC)}, "yellow", "earlier than this software"),
        ({"bundle_made": datetime(2027, 6, 1, tzinfo=UTC)}, "yellow", "earlier than the bundle"),
    ],
)
def test_an_implausible_clock_is_yellow(changes, verdict, text):
    """A session still works with it."""
    usual = {
        "now": NOW,
        "resolution_s": 1e-9,
        "jump_s": 0.0,
        "watched_s": 12.0,
        "bundle_made": EARLIER,
    }
    found = judge_clock(**{**usual, **changes})
    assert found.verdict == verdict
    assert text in found.found
    assert found.remedy
