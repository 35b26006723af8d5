"""Faults that stop a run, and the run afterwards."""

import shutil
from dataclasses import replace

import pytest

from rtdecode.errors import ConfigError, RunError
from rtdecode.service import serve
from rtdecode.types import Decision


def test_a_fault_is_published_and_the_run_can_continue_later(start, export, scanner, stand_in):
    """The client gets the reason, nothing is lost, and a repaired service finishes the run."""

    class Failing(stand_in):
        def step(self, item):
            if item.index == 2:
                raise RunError("the graphics card fell off the bus")
            return super().step(item)

    service = start(Failing(), volumes=4)
    with service.outcomes() as outcomes:
        for index in range(4):
            export(f"{index}.dcm", scanner.mosaic(index))
        # A late client gets the outcomes before the fault first.
        assert [next(outcomes).index for _ in range(2)] == [0, 1]
        with pytest.raises(RunError, match="fell off the bus"):
            next(outcomes)
    summary = service.finish()
    assert (summary.exit_code, summary.state, summary.decisions) == (1, "faulted", 2)
    repaired = start(volumes=4).finish()
    assert (repaired.exit_code, repaired.decisions) == (0, 4)


def test_an_unexpected_error_is_a_fault(start, export, scanner, stand_in):
    """A bug in the decoder ends the run and is named; no thread stops silently."""

    class Buggy(stand_in):
        def step(self, item):
            return super().step(item) / 0

    service = start(Buggy())
    export("0.dcm", scanner.mosaic(0))
    summary = service.finish()
    assert summary.exit_code == 1
    assert "TypeError" in summary.fault


def test_an_error_in_the_source_is_a_fault(start, monkeypatch):
    """An exception in the source's thread reaches the main thread."""
    monkeypatch.setattr("watchfiles.watch", lambda *_, **__: 1 / 0)
    summary = start().finish()
    assert summary.exit_code == 1
    assert "ZeroDivisionError" in summary.fault


def test_another_decoder_or_other_results_do_not_continue_a_run(
    start, export, scanner, stand_in, settings
):
    """Going on with what gives different outcomes is refused, not mixed in."""

    class Shifted(stand_in):
        def step(self, item):
            outcome = super().step(item)
            return replace(outcome, window_volumes=99) if isinstance(outcome, Decision) else outcome

    class Other(stand_in):
        bundle_digest = "0123456789ab"

    service = start(checkpoint_volumes=100)
    with service.outcomes() as outcomes:
        export("0.dcm", scanner.mosaic(0))
        next(outcomes)
    service.shut()
    shutil.rmtree(settings.session / "checkpoints")  # everything is computed again
    with pytest.raises(ConfigError, match="0123456789ab"):
        start(Other())
    summary = serve(replace(settings, linger_s=0.0), Shifted())
    assert summary.exit_code == 1
    assert "not the recorded one" in summary.fault
    assert start().shut().decisions == 1
