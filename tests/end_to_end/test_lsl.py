"""Lab Streaming Layer, through the real library."""

import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from threading import Event

import pytest

from rtdecode.adapters.lsl import run
from rtdecode.errors import ConfigError
from rtdecode.types import Decision

ROOT = Path(__file__).resolve().parents[2]
THIS_MACHINE = "[log]\nlevel = -2\n[multicast]\nResolveScope = machine\nListenAddress = 127.0.0.1\n"


@pytest.fixture(scope="module")
def pylsl():
    """Return the library, or skip the test if it cannot be loaded."""
    try:
        import pylsl
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"pylsl cannot be used here: {error}")
    pylsl.set_config_content(THIS_MACHINE)
    return pylsl


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send to one process")
def test_decisions_and_gaps_reach_an_inlet(start, export, scanner, settings, stand_in, pylsl):
    """Another program finds both streams, their channel names, and a sample for each volume."""
    service = start(volumes=3)
    command = [sys.executable, "-m", "rtdecode", "adapt", "lsl", "--session", str(settings.session)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as adapter:
        inlets = []
        for name in ("rtdecode", "rtdecode-labels"):
            found = pylsl.resolve_byprop("name", name, 1, 30.0)
            assert found, f"no stream {name}"
            inlets.append(pylsl.StreamInlet(found[0]))
            inlets[-1].open_stream(timeout=20)
        numbers, labels = inlets
        described = numbers.info().get_channel_labels()
        for index in (0, 2):
            export(f"{index}.dcm", scanner.mosaic(index))
        samples = [numbers.pull_sample(timeout=20)[0] for _ in range(3)]
        labels_received = [labels.pull_sample(timeout=20)[0][0] for _ in range(3)]
        with service.outcomes() as outcomes:
            outcomes_received = [o.outcome for o in outcomes]
        adapter.send_signal(signal.SIGINT)
        assert adapter.stderr.read() == ""
    assert adapter.returncode == 0
    assert described[:3] == ["volume", "usable", f"probability {stand_in.classes[0]}"]
    assert len(described) == 2 + 2 * len(stand_in.classes)
    assert [s[0] for s in samples] == [0, 1, 2]
    assert labels_received[1] == "skipped: gap"
    assert all(map(math.isnan, samples[1][2:]))
    for at in (0, 2):
        assert isinstance(outcomes_received[at], Decision)
        assert labels_received[at] == outcomes_received[at].label
        assert samples[at][1:] == [
            1.0,
            *outcomes_received[at].probabilities,
            *outcomes_received[at].fast,
        ]
    service.shut()


def test_without_pylsl_the_error_says_what_to_install(tmp_path, monkeypatch):
    """The library is an optional dependency."""
    monkeypatch.setitem(sys.modules, "pylsl", None)
    with pytest.raises(ConfigError, match=r"rtdecode\[lsl\]"):
        run(tmp_path, Event())
