"""Fixtures that every test may use, and the check that no test leaves a thread behind."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import hypothesis
import numpy as np
import pytest

from rtdecode.metrics import Accuracy, Metrics

# What is compiled at its first call, or a busy machine, says nothing about an example.
hypothesis.settings.register_profile("rtdecode", deadline=None)
# Forty times as many schedules of arrivals, commands and deaths, for a night:
# pytest -k schedules --hypothesis-profile nightly --timeout 0
hypothesis.settings.register_profile("nightly", deadline=None, max_examples=4000)
hypothesis.settings.load_profile("rtdecode")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real scanner data, or skip where this machine has none."""
    path = ROOT.parent / "shared" / "data"
    if not path.is_dir():
        pytest.skip("real scanner data (../shared/data) is not on this machine")
    return path


@pytest.fixture
def rng() -> np.random.Generator:
    """Return a generator with a fixed seed."""
    return np.random.default_rng(20190703)


@pytest.fixture(scope="session")
def make_metrics() -> Callable[..., Metrics]:
    """Return a function that makes figures by hand; what is not named is made up."""
    made_up = Metrics(
        split="by hand",
        n_blocks=16,
        n_volumes=200,
        chance=0.5,
        accuracy=Accuracy(0.75, 0.79, 0.81, (0.6, 0.8), (0.6, 0.9), (0.6, 0.9)),
        p_value=0.013,
        permutations=99,
        confusion=((8, 0), (3, 5)),
        log_loss=0.4,
        brier=0.3,
        expected_calibration_error=0.1,
        false_alarm_rate=None,
        onset_latency_s=None,
        missed_blocks=1,
    )
    return lambda **changes: replace(made_up, **changes)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """Fail a test that leaves a thread running."""
    before = set(threading.enumerate())
    yield
    left = [t for t in threading.enumerate() if t not in before and t.is_alive() and not t.daemon]
    for thread in left:
        thread.join(timeout=5)
    left = [t.name for t in left if t.is_alive()]
    assert not left, f"threads left running: {left}"


@pytest.fixture(scope="session")
def write_transform():
    """Return a function that writes a simulated run's true transform from the EPI to MNI."""
    return _write_transform


def _write_transform(run, path: Path) -> Path:
    """Write the affine map from MNI to the scanner that fits this participant best, for ITK."""
    scanner = np.random.default_rng(1).uniform(-60, 60, (3, 400)) + run.centre_mm[:, None]
    mni = np.vstack([run.participant.to_mni(scanner), np.ones(400)])
    matrix = np.linalg.lstsq(mni.T, scanner.T, rcond=None)[0].T
    # ITK's millimetres are LPS.
    turn = np.diag([-1.0, -1.0, 1.0])
    parameters = [*(turn @ matrix[:, :3] @ turn).ravel(), *(turn @ matrix[:, 3])]
    path.write_text(
        "#Insight Transform File V1.0\n#Transform 0\n"
        "Transform: MatrixOffsetTransformBase_double_3_3\n"
        f"Parameters: {' '.join(f'{p:.9f}' for p in parameters)}\nFixedParameters: 0 0 0\n",
        encoding="utf-8",
    )
    return path
