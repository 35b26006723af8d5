"""From evidence to two read-outs, step by step."""

import numpy as np
import pytest
import torch

from calibration.networks import ReadOutSettings, StreamingDecoder, VoxelEvidence
from rtdecode.errors import ConfigError

VOXELS, CLASSES = 6, 3
read_outs = pytest.mark.parametrize("dwell_volumes", [None, 5.0], ids=["window", "filter"])


@pytest.fixture
def evidence(rng) -> VoxelEvidence:
    """Return a linear decoder of six voxels."""
    weight = rng.standard_normal((CLASSES, VOXELS)).astype(np.float32)
    return VoxelEvidence(weight, np.zeros(CLASSES, np.float32))


def _play(decoder, volumes, usable, elapsed):
    """Yield the answers of a run."""
    state = {name: torch.tensor(value) for name, value in decoder.initial_state().items()}
    for volume, counts, passed in zip(volumes, usable, elapsed, strict=True):
        with torch.inference_mode():
            *answers, memory, weight, fast, fast_weight = decoder(
                torch.from_numpy(volume),
                torch.tensor(float(counts)),
                torch.tensor(passed),
                *state.values(),
            )
        state = dict(zip(state, (memory, weight, fast, fast_weight), strict=True))
        yield [answer.numpy() for answer in answers], state


@read_outs
def test_step_gives_tempered_evidence(evidence, rng, dwell_volumes) -> None:
    """One step answers softmax(logits / temperature) in both read-outs."""
    settings = ReadOutSettings(3, temperature=2.5, dwell_volumes=dwell_volumes)
    decoder = StreamingDecoder(evidence, settings)
    volume = rng.standard_normal(VOXELS).astype(np.float32)
    with torch.inference_mode():
        expected = torch.softmax(evidence(torch.from_numpy(volume)) / 2.5, 0).numpy()
    ((probabilities, fast, decided, newest), state), *_ = _play(decoder, [volume], [1], [1])
    for found in (probabilities, fast, np.exp(newest)):
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert decided == 1
    assert state["weight"].tolist() == [0, 0, 1]
    assert state["fast_weight"] == 1


@read_outs
def test_the_fast_read_out_forgets_leakily(evidence, rng, dwell_volumes) -> None:
    """Each volume counts by the retention to the power of the repetition times since."""
    settings = ReadOutSettings(2, fast_retention=0.5, dwell_volumes=dwell_volumes)
    decoder = StreamingDecoder(evidence, settings)
    volumes = rng.standard_normal((5, VOXELS)).astype(np.float32)
    usable, elapsed = [1, 1, 0, 1, 1], [1, 1, 1, 3, 1]
    answers = [answer for answer, _ in _play(decoder, volumes, usable, elapsed)]
    times = np.cumsum(elapsed)
    for now in range(5):
        weight = np.array([usable[k] * 0.5 ** (times[now] - times[k]) for k in range(now + 1)])
        mean = weight @ np.array([answers[k][3] for k in range(now + 1)]) / weight.sum()
        np.testing.assert_allclose(answers[now][1], np.exp(mean) / np.exp(mean).sum(), rtol=1e-4)


@read_outs
def test_weight_says_which_of_the_last_volumes_counted(evidence, rng, dwell_volumes) -> None:
    """Gaps take their places; with either read-out the same."""
    decoder = StreamingDecoder(evidence, ReadOutSettings(4, dwell_volumes=dwell_volumes))
    volumes = rng.standard_normal((5, VOXELS)).astype(np.float32)
    states = [s["weight"].tolist() for _, s in _play(decoder, volumes, [1, 0, 1, 1, 0],
                                                     [1, 1, 1, 2, 3])]  # fmt: skip
    assert states == [[0, 0, 0, 1], [0, 0, 1, 0], [0, 1, 0, 1], [0, 1, 0, 1], [1, 0, 0, 0]]


@read_outs
@pytest.mark.parametrize("threshold", [0.0, 0.5, 1.0])
def test_below_the_threshold_nothing_is_decided(evidence, rng, threshold, dwell_volumes) -> None:
    """It is the decision read-out's largest probability that must reach it."""
    settings = ReadOutSettings(2, none_threshold=threshold, dwell_volumes=dwell_volumes)
    decoder = StreamingDecoder(evidence, settings)
    volumes = rng.standard_normal((12, VOXELS)).astype(np.float32)
    for (probabilities, _, decided, _), _ in _play(decoder, volumes, [1] * 12, [1] * 12):
        assert decided == (probabilities.max() >= threshold)


def test_every_wrong_setting_is_named_at_once(evidence) -> None:
    """Window, temperature, retention, threshold and dwell time are all refused in one message."""
    with pytest.raises(ConfigError) as caught:
        StreamingDecoder(evidence, ReadOutSettings(0, 0.0, 1.0, 1.5, 0.0))
    assert len(caught.value.problems) == 5
