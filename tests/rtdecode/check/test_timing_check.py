"""The clocks."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from rtdecode.check.timing_check import judged_clock

NOW = datetime(2027, 5, 4, 12, 0, tzinfo=timezone(timedelta(hours=2), "CEST"))
EARLIER = datetime(2027, 5, 1, tzinfo=UTC)


def test_a_good_clock_tells_time_and_zone():
    """The operator compares it with the one on the wall."""
    found = judged_clock(NOW, 1e-9, 0.0002, 12.0, EARLIER)
    assert found.verdict == "green"
    assert "2027-05-04 12:00:00 CEST (UTC+0200)" in found.found
    assert "told to 1 ns" in found.found


@pytest.mark.parametrize(
    ("changes", "verdict", "told"),
    [
        ({"resolution_s": 0.0156}, "yellow", "16 ms, which is coarse"),
        ({"jump_s": -0.2}, "yellow", "jumped by -200 ms within 12 s"),
        ({"now": datetime(1970, 1, 1, tzinfo=UTC)}, "yellow", "earlier than this software"),
        ({"bundle_made": datetime(2027, 6, 1, tzinfo=UTC)}, "yellow", "earlier than the bundle"),
    ],
)
def test_what_cannot_be_is_told(changes, verdict, told):
    """None of it keeps a session from working."""
    usual = {
        "now": NOW,
        "resolution_s": 1e-9,
        "jump_s": 0.0,
        "watched_s": 12.0,
        "bundle_made": EARLIER,
    }
    found = judged_clock(**{**usual, **changes})
    assert found.verdict == verdict
    assert told in found.found
    assert found.remedy
