"""Volume in, decision out, on a decoder small enough to know what it should say."""

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest

from rtdecode.engine import Engine, has_cuda_device
from rtdecode.errors import BundleError, ConfigError, VolumeError
from rtdecode.types import NONE, Decision, Stamps, State, Volume

SWITCHING = 0.4
"""As in the filter's graph."""
WITHOUT_GPU = pytest.mark.skipif(has_cuda_device(), reason="this machine has a GPU")


class TickingClock:
    """A clock that moves on whenever it is looked at."""

    def __init__(self) -> None:
        self.now_ns = 0

    def monotonic_ns(self) -> int:
        """Return an instant later than the last."""
        self.now_ns += 1
        return self.now_ns

    def sleep_until(self, monotonic_ns: int) -> None:
        """Be there."""
        self.now_ns = monotonic_ns


def _engine(bundle) -> Engine:
    return Engine(bundle, clock=TickingClock())


def _timeless(decision: Decision) -> str:
    """Return all of a decision but its stamps, nan and the last bit included."""
    return repr(replace(decision, stamps=Stamps()))


def _same(one: State, other: State) -> bool:
    return one.keys() == other.keys() and all(one[n].tobytes() == other[n].tobytes() for n in one)


def _saved(state: State) -> State:
    file = BytesIO()
    np.savez(file, **state)
    file.seek(0)
    with np.load(file) as archive:
        return dict(archive)


@pytest.fixture(scope="module")
def volumes(scan: Callable[..., Volume]) -> list[Volume]:
    """Return a run of sixteen volumes."""
    return [scan(index) for index in range(16)]


def test_a_run_becomes_decisions(either, volumes) -> None:
    """Each volume gets a decision under its index, whose label is the most probable class."""
    engine = _engine(either)
    decisions = [engine.step(volume) for volume in volumes]
    assert [d.index for d in decisions] == list(range(16))
    assert [d.acquired_s for d in decisions] == [2.0 * n for n in range(16)]
    assert {d.bundle for d in decisions} == {either.digest}
    for decision in decisions:
        assert sum(decision.probabilities) == pytest.approx(1)
        best = max(decision.probabilities)
        assert decision.label == either.manifest.classes[decision.probabilities.index(best)]
    assert len({d.label for d in decisions[4:]}) == 2
    assert [d.window_volumes for d in decisions] == [0] * 4 + [1, 2] + [3] * 10


def test_without_evidence_every_class_is_equally_probable(either, volumes) -> None:
    """Until the statistics mean something the answer is uniform, and says why."""
    decision = _engine(either).step(volumes[0])
    assert decision.probabilities == (0.5, 0.5)
    assert decision.quality.why == ("not_ready",)


def test_answer_is_that_of_the_volumes_in_the_window(bundle, volumes) -> None:
    """The probabilities are what the window's volumes, prepared one by one, multiply to."""
    engine = _engine(bundle)
    decisions = [engine.step(volume) for volume in volumes[:9]]
    evidence = engine.state()["decoder/evidence"].astype(float)
    assert np.exp(evidence).sum(axis=1) == pytest.approx([1, 1, 1], abs=1e-5)
    mean = np.exp(evidence.mean(axis=0))
    assert decisions[-1].probabilities == pytest.approx(mean / mean.sum(), abs=1e-5)


def test_the_filter_answers_as_the_forward_algorithm(filter_bundle, volumes, scan) -> None:
    """Through an unusable volume and a gap: matrix powers, likelihoods, and all of it restored."""
    engine = _engine(filter_bundle)
    for volume in volumes[:8]:
        engine.step(volume)
    belief = engine.state()["decoder/belief"].astype(float)
    stay = 0.5 + 0.5 * np.exp(-SWITCHING)
    matrix = np.array([[stay, 1 - stay], [1 - stay, stay]])
    posterior = np.exp(belief)
    assert posterior.sum() == pytest.approx(1)
    alone = _engine(filter_bundle)
    for volume in (scan(8, gain=0.7), replace(volumes[12], index=12), replace(volumes[13])):
        elapsed = volume.index - engine.state()["last_index"]
        # From uniform, a usable volume's posterior is its likelihood.
        state = engine.state()
        alone.restore(state | {"decoder/belief": np.zeros_like(state["decoder/belief"])})
        likelihood = np.array(alone.step(volume).probabilities)
        decision = engine.step(volume)
        posterior = posterior @ np.linalg.matrix_power(matrix, elapsed) * likelihood
        posterior /= posterior.sum()
        assert decision.probabilities == pytest.approx(posterior, abs=1e-5)
    assert max(posterior) > 0.6


def test_stamps_follow_the_steps(bundle, scan) -> None:
    """What the source stamped is kept, and each step stamps later than the one before."""
    stamps = Stamps(received_ns=3, journalled_ns=4, parsed_ns=5)
    found = _engine(bundle).step(replace(scan(0), stamps=stamps)).stamps
    assert (found.received_ns, found.journalled_ns, found.parsed_ns) == (3, 4, 5)
    steps = ("realigned_ns", "resampled_ns", "smoothed_ns", "normalised_ns", "decided_ns")
    times = [getattr(found, name) for name in steps]
    assert times == sorted(set(times))
    assert times[0] > 0


@pytest.mark.parametrize("cut", [0, 1, 5, 11])
def test_restored_run_gives_the_same_bits(either, volumes, cut) -> None:
    """A new engine that takes a saved state up decides exactly as the unbroken run does."""
    whole, before, after = (_engine(either) for _ in range(3))
    expected = [_timeless(whole.step(volume)) for volume in volumes]
    found = [_timeless(before.step(volume)) for volume in volumes[:cut]]
    after.restore(_saved(before.state()))
    found += [_timeless(after.step(volume)) for volume in volumes[cut:]]
    assert found == expected
    assert _same(whole.state(), after.state())


def test_state_is_a_snapshot(either, volumes) -> None:
    """A state once given does not change as the run goes on, so it can be gone back to."""
    engine = _engine(either)
    for volume in volumes[:7]:
        engine.step(volume)
    state = engine.state()
    copy = {name: array.copy() for name, array in state.items()}
    first = [_timeless(engine.step(volume)) for volume in volumes[7:]]
    assert _same(state, copy)
    engine.restore(state)
    assert [_timeless(engine.step(volume)) for volume in volumes[7:]] == first


@pytest.mark.parametrize("at", [0, 6])
def test_warm_up_leaves_no_trace(either, volumes, at) -> None:
    """Warming up, before a run or before it is continued, changes no decision."""
    cold, warm = _engine(either), _engine(either)
    for volume in volumes[:at]:
        cold.step(volume)
    warm.restore(cold.state())
    warm.warm_up()
    assert _same(cold.state(), warm.state())
    expected = [_timeless(cold.step(volume)) for volume in volumes[at:]]
    assert [_timeless(warm.step(volume)) for volume in volumes[at:]] == expected


@pytest.mark.parametrize(("elapsed", "left"), [(1, 3), (2, 2), (3, 1), (40, 1)])
def test_gap_takes_its_place_in_the_window(either, volumes, elapsed, left) -> None:
    """Volumes that never arrived push older ones out of the window all the same."""
    engine = _engine(either)
    for volume in volumes[:10]:
        engine.step(volume)
    decision = engine.step(replace(volumes[10], index=9 + elapsed))
    assert decision.window_volumes == left


def test_run_may_begin_late(either, volumes) -> None:
    """What happened before the first volume seen is no gap."""
    late = [_engine(either).step(replace(volumes[0], index=index)) for index in (0, 30)]
    assert _timeless(replace(late[1], index=0)) == _timeless(late[0])


@pytest.mark.parametrize("index", [9, 3])
def test_volume_out_of_order_is_refused(either, volumes, index) -> None:
    """The last volume again, or an earlier one, is an error that changes nothing."""
    engine = _engine(either)
    for volume in volumes[:10]:
        engine.step(volume)
    before = engine.state()
    with pytest.raises(VolumeError, match=f"volume {index} is not later than volume 9"):
        engine.step(volumes[index])
    assert _same(engine.state(), before)


def test_volume_of_another_matrix_is_refused(either, volumes) -> None:
    """Both matrices are in the message, and the run can go on as if nothing had come."""
    engine = _engine(either)
    engine.step(volumes[0])
    before = engine.state()
    with pytest.raises(VolumeError) as caught:
        engine.step(replace(volumes[1], data=volumes[1].data[:, :, :-1]))
    assert "24x24x13" in str(caught.value)
    assert "24x24x14" in str(caught.value)
    assert _same(engine.state(), before)


def test_volume_of_another_repetition_time_is_refused(bundle, volumes) -> None:
    """Both times are in the message."""
    with pytest.raises(VolumeError, match=r"1\.5 s, the bundle's 2 s"):
        _engine(bundle).step(replace(volumes[0], repetition_time_s=1.5))


@pytest.mark.parametrize("repetition_time_s", [float("nan"), 2.001, 1.99])
def test_repetition_time_unsaid_or_rounded_is_accepted(bundle, volumes, repetition_time_s) -> None:
    """A header without one, or one rounded otherwise, is no other protocol."""
    decision = _engine(bundle).step(replace(volumes[0], repetition_time_s=repetition_time_s))
    assert decision.index == 0


def test_intensities_that_are_no_numbers_are_refused(either, volumes) -> None:
    """A volume of not-a-number is an error of that volume, and the run goes on as before."""
    engine = _engine(either)
    for volume in volumes[:6]:
        engine.step(volume)
    before = engine.state()
    with pytest.raises(VolumeError, match="finite"):
        engine.step(replace(volumes[6], data=np.full_like(volumes[6].data, np.nan)))
    assert _same(engine.state(), before)
    assert engine.step(volumes[7]).window_volumes == 2


@pytest.mark.parametrize("missing", ["volume", "usable", "elapsed", "evidence", "weight"])
def test_graph_without_an_input_is_refused(bundle, graph, missing) -> None:
    """A decoder that does not take what the manifest promises is refused by the input's name."""
    decoder = graph(int(bundle.space.mask.sum()), without=missing)
    with pytest.raises(BundleError, match=rf"decoder\.onnx: input {missing} must be .* is missing"):
        Engine(replace(bundle, decoder=decoder))


def test_state_that_the_graph_does_not_have_is_refused(bundle) -> None:
    """Each state needs its input and its output."""
    tensor = replace(bundle.manifest.state[0], name="memory")
    manifest = replace(bundle.manifest, state=(*bundle.manifest.state, tensor))
    with pytest.raises(BundleError) as caught:
        Engine(replace(bundle, manifest=manifest))
    assert [p.partition("onnx: ")[2].partition(" must")[0] for p in caught.value.problems] == [
        "input memory",
        "output memory_next",
    ]


def test_manifest_without_the_usable_volumes_is_refused(bundle) -> None:
    """How many volumes carry evidence is read from the state `weight`."""
    manifest = replace(bundle.manifest, state=bundle.manifest.state[:1])
    with pytest.raises(BundleError, match="names no state weight"):
        Engine(replace(bundle, manifest=manifest))


def test_graph_of_another_shape_is_refused(bundle, graph) -> None:
    """A decoder for other voxels than the bundle's would read past them."""
    voxels = int(bundle.space.mask.sum())
    with pytest.raises(BundleError, match=rf"input volume must be \({voxels},\)"):
        Engine(replace(bundle, decoder=graph(voxels + 1)))


def test_what_is_no_graph_is_refused(bundle) -> None:
    """Bytes that ONNX Runtime cannot read are named by their file."""
    with pytest.raises(BundleError, match=r"decoder\.onnx"):
        Engine(replace(bundle, decoder=b"no model"))


def test_below_the_threshold_nothing_is_decided(bundle, graph, volumes) -> None:
    """Where the graph says undecided the label is none, and the probabilities stay."""
    voxels = int(bundle.space.mask.sum())
    outcomes = [
        [engine.step(volume) for volume in volumes]
        for engine in (
            Engine(bundle),
            Engine(replace(bundle, decoder=graph(voxels, decided=False))),
        )
    ]
    decided = [o for o in outcomes[0] if isinstance(o, Decision)]
    undecided = [o for o in outcomes[1] if isinstance(o, Decision)]
    assert {one.label for one in decided} <= {"face", "house"}
    assert {one.label for one in undecided} == {NONE}
    assert [o.probabilities for o in decided] == [o.probabilities for o in undecided]
    assert all(sum(one.fast) == pytest.approx(1) for one in decided)


@WITHOUT_GPU
def test_cuda_asked_for_and_not_there_is_refused(bundle) -> None:
    """Asking for CUDA never falls back quietly: it refuses to start, with two ways out."""
    with pytest.raises(ConfigError) as caught:
        Engine(bundle, provider="cuda")
    (problem,) = caught.value.problems
    assert "--provider cuda" in problem
    assert "install" in problem
    assert "--provider cpu" in problem


@WITHOUT_GPU
def test_auto_is_the_cpu_where_there_is_no_gpu(bundle) -> None:
    """Left to itself the engine takes what there is, and names it."""
    assert Engine(bundle, provider="auto").provider == "cpu"


def test_threads_do_not_change_the_run(either, volumes) -> None:
    """With two threads the network says the same, to rounding."""
    one, two = Engine(either, threads=1), Engine(either, threads=2)
    for volume in volumes:
        expected = one.step(volume).probabilities
        assert two.step(volume).probabilities == pytest.approx(expected, abs=1e-5)


@pytest.mark.cuda
@pytest.mark.skipif(not has_cuda_device(), reason="no NVIDIA GPU on this machine")
def test_cuda_decides_as_the_cpu_does(either, volumes) -> None:
    """On the GPU the same run gives the same decisions, and a CPU's state is taken up there."""
    cpu, cuda = _engine(either), Engine(either, provider="cuda", clock=TickingClock())
    assert cuda.provider == "cuda"
    cuda.warm_up()
    for volume in volumes[:8]:
        expected, found = cpu.step(volume), cuda.step(volume)
        assert found.probabilities == pytest.approx(expected.probabilities, abs=1e-4)
        assert found.window_volumes == expected.window_volumes
    cuda.restore(_saved(cpu.state()))
    for volume in volumes[8:]:
        expected, found = cpu.step(volume), cuda.step(volume)
        assert found.probabilities == pytest.approx(expected.probabilities, abs=1e-4)
    assert Engine(either, provider="auto").provider == "cuda"
