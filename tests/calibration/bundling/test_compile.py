import copy
import dataclasses
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from calibration.bundling.compile import ExportReport, export_decoder
from calibration.bundling.parity import parity
from calibration.networks import DeepLight, NetworkEvidence, ReadOutSettings, StreamingDecoder
from rtdecode.errors import ConfigError, RunError
from rtdecode.types import Motion, Prepared, Quality, Stamps

GRID = (10, 12, 6)
CLASSES = ("face", "house", "tool")


def _network(head: nn.Module | None = None) -> DeepLight:
    torch.manual_seed(11)
    network = DeepLight(GRID, len(CLASSES))
    for convolution in network.convolutions:  # Loud enough that an error would show.
        nn.init.kaiming_normal_(convolution.weight)
        nn.init.normal_(convolution.bias, std=0.1)
    nn.init.normal_(network.lstm.weight_ih_l0)
    nn.init.normal_(network.lstm.weight_ih_l0_reverse)
    nn.init.normal_(network.head.weight)
    if head is not None:
        network.head = head
    return network


def _decoder(
    network: DeepLight | None = None,
    window_volumes: int = 4,
    temperature: float = 1.5,
    dwell_volumes: float | None = None,
) -> StreamingDecoder:
    evidence = NetworkEvidence(network or _network(), _mask())
    settings = ReadOutSettings(window_volumes, temperature, dwell_volumes=dwell_volumes)
    return StreamingDecoder(evidence, settings)


def _mask() -> np.ndarray:
    mask = np.random.default_rng(1).random(GRID) < 0.6
    mask[:, :, 0] = False
    return mask


def _run(voxels: int, steps: list[tuple[int, bool]], rng: np.random.Generator) -> list[Prepared]:
    """Return prepared noise at the given indices, usable or not."""
    return [
        Prepared(
            index,
            3 * rng.standard_normal(voxels).astype(np.float32),
            Motion(),
            Quality(0.0, 0.0, 0.0, 0.0, usable),
            Stamps(),
        )
        for index, usable in steps
    ]


DWELLS = {"window": None, "filter": 4.5}


@pytest.fixture(scope="module", params=DWELLS)
def export(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> ExportReport:
    """Return a small exported decoder, once with each decision read-out."""
    path = tmp_path_factory.mktemp("export") / "decoder.onnx"
    return export_decoder(_decoder(dwell_volumes=DWELLS[request.param]), CLASSES, path)


def test_graph_is_fast_and_self_contained(export) -> None:
    """One LSTM node, no padding of its own, one file, named inputs and state."""
    assert export.operators["LSTM"] == 1
    assert export.operators["Conv"] == 12
    assert "Pad" not in export.operators
    assert [p.name for p in export.path.parent.iterdir()] == ["decoder.onnx"]
    model = onnx.load(export.path, load_external_data=False)
    assert not any(onnx.external_data_helper.uses_external_data(i) for i in model.graph.initializer)
    shapes = {
        i.name: tuple(d.dim_value for d in i.type.tensor_type.shape.dim) for i in model.graph.input
    }
    filters = export.decoder.settings.dwell_volumes is not None
    state = {
        **({"belief": (3,)} if filters else {"evidence": (4, 3)}),
        "weight": (4,),
        "fast_evidence": (3,),
        "fast_weight": (),
    }
    assert shapes == {"volume": (int(_mask().sum()),), "usable": (), "elapsed": (), **state}
    assert {t.name: t.shape for t in export.state} == state


def test_metadata_says_what_it_is_and_not_where_it_was_made(export) -> None:
    """The file carries classes and window, and no path of the machine that exported it."""
    metadata = onnxruntime.InferenceSession(
        export.path, providers=["CPUExecutionProvider"]
    ).get_modelmeta()
    assert metadata.producer_name == "rtdecode"
    assert json.loads(metadata.custom_metadata_map["rtdecode.classes"]) == list(CLASSES)
    assert metadata.custom_metadata_map["rtdecode.window_volumes"] == "4"
    content = export.path.read_bytes()
    for trace in (b"site-packages", b"streaming.py", b"stack_trace", str(Path.cwd()).encode()):
        assert trace not in content


def test_same_decoder_gives_the_same_bytes_in_silence(export, tmp_path, capfd) -> None:
    """Exporting again changes no byte, and says nothing on the terminal."""
    decoder = _decoder(dwell_volumes=export.decoder.settings.dwell_volumes)
    again = export_decoder(decoder, CLASSES, tmp_path / "again.onnx")
    assert again.sha256 == export.sha256
    assert again.path.read_bytes() == export.path.read_bytes()
    assert capfd.readouterr() == ("", "")


def test_onnx_agrees_with_torch_over_a_run(export, rng) -> None:
    """Through gaps, unusable volumes and a cleared window both carry the same state."""
    steps = [(3, True), (4, True), (5, False), (7, True), (8, True), (9, True), (30, False)]
    run = _run(export.decoder.voxels, [*steps, (31, True), (32, True)], rng)
    told = []
    result = parity(export, run, lambda *step: told.append(step[1:]))
    assert result.volumes == 9
    assert max(result.probability, result.state) < 1e-5
    assert told[-1] == (9, 9)


def test_not_a_number_in_an_unusable_volume_leaves_no_trace(export, rng) -> None:
    """Whatever such a volume holds, the graph goes on as if it had only taken its time."""
    (first, bad, last) = _run(export.decoder.voxels, [(0, True), (1, False), (2, True)], rng)
    session = onnxruntime.InferenceSession(export.path, providers=["CPUExecutionProvider"])

    def answer(data: np.ndarray) -> np.ndarray:
        state = export.decoder.initial_state()
        for volume, usable in ((first.data, 1), (data, 0), (last.data, 1)):
            now = {"volume": volume, "usable": np.array(usable, "f"), "elapsed": np.array(1)}
            names = ["probabilities", *(f"{name}_next" for name in state)]
            probabilities, *after = session.run(names, now | state)
            state = dict(zip(state, after, strict=True))
        return probabilities

    expected = answer(bad.data)
    np.testing.assert_array_equal(answer(np.full_like(bad.data, np.nan)), expected)
    assert np.isfinite(expected).all()


def test_a_restored_state_goes_on_with_the_same_bits(export, rng) -> None:
    """A session that is given another's state answers as that one would have."""
    run = _run(export.decoder.voxels, [(i, i != 2) for i in range(6)], rng)
    answers = []
    for cut in (None, 3):
        state, session = export.decoder.initial_state(), None
        for place, prepared in enumerate(run):
            if session is None or place == cut:
                session = onnxruntime.InferenceSession(
                    export.path, providers=["CPUExecutionProvider"]
                )
            now = {
                "volume": prepared.data,
                "usable": np.array(prepared.quality.usable, "f"),
                "elapsed": np.array(1),
            }
            names = ["probabilities", *(f"{name}_next" for name in state)]
            probabilities, *after = session.run(names, now | state)
            state = {n: np.array(a) for n, a in zip(state, after, strict=True)}
        answers.append(probabilities.tobytes())
    assert answers[0] == answers[1]


def test_run_is_not_trivially_decoded(export, rng) -> None:
    """The agreement above is about answers that differ from volume to volume."""
    run = _run(export.decoder.voxels, [(i, True) for i in range(4)], rng)
    with torch.inference_mode():
        logits = np.array([export.decoder.evidence(torch.tensor(p.data)).numpy() for p in run])
    assert logits.std(axis=0).min() > 1e-2


@pytest.mark.parametrize("value", [1.6, torch.nan])
def test_disagreement_is_refused(export, rng, value) -> None:
    """An export that answers differently, or not with numbers, is refused with the figures."""
    other = copy.deepcopy(export.decoder)
    other.temperature.fill_(value)
    run = _run(other.voxels, [(0, True), (1, True)], rng)
    with pytest.raises(RunError, match="refused: over 2 volumes"):
        parity(dataclasses.replace(export, decoder=other), run)


def test_empty_run_is_no_parity(export) -> None:
    """Nothing compared is not agreement."""
    with pytest.raises(ConfigError, match="at least one"):
        parity(export, [])


def test_replaced_head_is_exported(tmp_path, rng) -> None:
    """A head of other classes, deeper than one layer, exports and agrees."""
    network = _network(nn.Sequential(nn.Linear(128, 12), nn.ReLU(), nn.Linear(12, 5)))
    export = export_decoder(_decoder(network, 1, 1.0), "abcde", tmp_path / "decoder.onnx")
    run = _run(export.decoder.voxels, [(0, True), (1, True), (2, False)], rng)
    assert parity(export, run).probability < 1e-5


def test_class_names_must_match_the_outputs(tmp_path) -> None:
    """Too few names are refused before anything is exported."""
    with pytest.raises(ConfigError, match="2 classes for a decoder with 3 outputs"):
        export_decoder(_decoder(), ("a", "b"), tmp_path / "decoder.onnx")
    assert not list(tmp_path.iterdir())


def test_published_network_keeps_its_answers(shared_data, tmp_path) -> None:
    """Exported with the motor maps' own mask, the published network decodes all five of them."""
    import nibabel as nib

    from calibration.weights import DEEPLIGHT_2D, load_deeplight

    names = ("LF", "LH", "RF", "RH", "T")
    maps = []
    for name in names:
        path = shared_data / "hcp_motor_group_maps" / f"tfMRI_MOTOR_{name}_zstat1.nii.gz"
        volume = nib.load(path).get_fdata(dtype=np.float32)
        maps.append(volume / volume[volume != 0].std() * np.float32(0.3))
    mask = np.any(maps, axis=0)
    network = load_deeplight(
        shared_data / "deeplight2d/model-2D_DeepLight_desc-pretrained_model.npy"
    )
    decoder = StreamingDecoder(NetworkEvidence(network, mask), ReadOutSettings(1))
    export = export_decoder(decoder, DEEPLIGHT_2D.states, tmp_path / "decoder.onnx")
    quality = Quality(0.0, 0.0, 0.0, 0.0, usable=True)
    run = [Prepared(i, m[mask], Motion(), quality, Stamps()) for i, m in enumerate(maps)]
    result = parity(export, run)
    assert max(result.probability, result.state) < 1e-4
    session = onnxruntime.InferenceSession(export.path, providers=["CPUExecutionProvider"])
    state = export.decoder.initial_state()
    for name, prepared in zip(names, run, strict=True):
        inputs = {"volume": prepared.data, "usable": np.ones((), "f"), "elapsed": np.array(1)}
        (probabilities,) = session.run(["probabilities"], inputs | state)
        assert DEEPLIGHT_2D.states[probabilities.argmax()] == f"motor_{name.lower()}"
