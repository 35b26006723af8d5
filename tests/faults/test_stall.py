"""A service that stops for a while, as on a machine that swaps or installs updates."""

import os
import signal
import sys

import pytest

from rtdecode.journal import Journal
from rtdecode.types import Decision


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot stop a process from outside")
@pytest.mark.parametrize("before", [0, 1, 7])
def test_a_stalled_service_catches_up_to_the_same_outcomes(
    tmp_path, serve, objects, unbroken, before
):
    """Volumes that arrived meanwhile are decided in order, and nothing is skipped or lost."""
    session = tmp_path / "session"
    serving = serve(session)
    serving.send(objects[:before])
    os.kill(serving.process.pid, signal.SIGSTOP)
    with serving.connected() as socket:
        for content in objects[before:]:
            serving.push(socket, content)
        os.kill(serving.process.pid, signal.SIGCONT)
        for content in objects[before:]:
            assert serving.answered(socket, content)
    code, reported, err = serving.finish()
    assert (code, reported.get("state"), reported.get("sha256")) == (0, "ended", unbroken), err
    with Journal(session) as journal:
        assert all(isinstance(numbered.outcome, Decision) for numbered in journal.outcomes())
