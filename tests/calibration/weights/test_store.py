import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from calibration.networks import DeepLight
from calibration.weights import (
    DEEPLIGHT_2D,
    Description,
    cached,
    describe,
    import_weights,
    load_deeplight,
    registered,
    save_deeplight,
)
from calibration.weights.store import load_published
from rtdecode.errors import ConfigError

MODEL = Path("deeplight2d/model-2D_DeepLight_desc-pretrained_model.npy")
MOTOR = ("motor_lf", "motor_lh", "motor_rf", "motor_rh", "motor_t")


@pytest.fixture(scope="module")
def published_network(request) -> torch.nn.Module:
    """Return the published network, or skip."""
    return load_deeplight(request.getfixturevalue("shared_data") / MODEL)


def _logits(network: torch.nn.Module, volume: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return network(torch.tensor(np.ascontiguousarray(volume))[None])[0].numpy()


def _motor_map(shared_data: Path, state: str) -> np.ndarray:
    import nibabel as nib

    name = f"tfMRI_MOTOR_{state.removeprefix('motor_').upper()}_zstat1.nii.gz"
    volume = nib.load(shared_data / "hcp_motor_group_maps" / name).get_fdata(dtype=np.float32)
    return volume / volume[volume != 0].std() * np.float32(0.3)


@pytest.fixture
def reference_logits(shared_data) -> dict[str, list[float]]:
    """Return what the authors' TensorFlow answers."""
    return json.loads((shared_data / "deeplight2d" / "reference_logits.json").read_text())


@pytest.mark.parametrize("state", MOTOR)
def test_motor_map_is_decoded(shared_data, published_network, reference_logits, state) -> None:
    """HCP's group map is decoded as its state with the authors' logits; mirrored, sides swap."""
    volume = _motor_map(shared_data, state)
    logits = _logits(published_network, volume)
    reference = reference_logits["motor_" + state.removeprefix("motor_").upper()]
    np.testing.assert_allclose(logits, reference, atol=1e-4)
    assert DEEPLIGHT_2D.states[logits.argmax()] == state
    mirrored = {"lf": "rf", "rf": "lf", "lh": "rh", "rh": "lh", "t": "t"}[state[6:]]
    assert DEEPLIGHT_2D.states[_logits(published_network, volume[::-1]).argmax()] == (
        f"motor_{mirrored}"
    )


def test_noise_volume_agrees_with_tensorflow(published_network, reference_logits) -> None:
    """Smooth noise in an ellipsoid gives the authors' logits."""
    from scipy.ndimage import gaussian_filter

    shape = (91, 109, 91)
    volume = np.random.default_rng(7).standard_normal(shape).astype(np.float32)
    volume = gaussian_filter(volume, 1.5)
    volume /= volume.std()
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    volume *= (x / 0.75) ** 2 + (y / 0.8) ** 2 + (z / 0.75) ** 2 < 1
    logits = _logits(published_network, volume)
    np.testing.assert_allclose(logits, reference_logits["seed_7"], atol=1e-4)


def test_conversion_changes_nothing(shared_data, published_network, tmp_path) -> None:
    """The published file and its safetensors give the same logits, to the bit."""
    converted = load_deeplight(import_weights(shared_data / MODEL, tmp_path))
    volume = _motor_map(shared_data, "motor_t")
    assert not converted.training
    np.testing.assert_array_equal(_logits(converted, volume), _logits(published_network, volume))


def test_import_keeps_what_the_file_holds(twin, tmp_path, slow_logits, deeplight_variables) -> None:
    """An imported file computes what its variables mean, and says where it came from."""
    source = tmp_path / "model.npy"
    source.write_bytes(twin.content)
    path = import_weights(source, tmp_path / "new" / "cache", twin.entry)
    assert [p.name for p in path.parent.iterdir()] == ["twin.safetensors"]
    about = describe(path)
    assert about.grid_shape == (10, 8, 5)
    assert about.states == twin.entry.states
    assert about.source == f"sha256:{twin.entry.sha256}"
    volume = np.random.default_rng(1).standard_normal(about.grid_shape).astype(np.float32)
    network = load_deeplight(path)
    assert not network.training
    expected = slow_logits(deeplight_variables, volume)
    np.testing.assert_allclose(_logits(network, volume), expected, atol=1e-4)


def test_wrong_file_names_both_digests_and_the_remedy(twin, tmp_path) -> None:
    """Another file is refused with its digest, the expected one and what to do."""
    source = tmp_path / "model.npy"
    source.write_bytes(twin.content)
    with pytest.raises(ConfigError) as caught:
        load_deeplight(source)
    message = str(caught.value)
    assert twin.entry.sha256 in message
    assert DEEPLIGHT_2D.sha256 in message
    assert DEEPLIGHT_2D.url in message
    assert "rtdecode weights import" in message


def test_missing_files_say_what_to_do(tmp_path) -> None:
    """A missing file and missing cached weights are refused with the remedy."""
    with pytest.raises(ConfigError, match="cannot read the weights file"):
        load_deeplight(tmp_path / "none.npy")
    with pytest.raises(ConfigError, match="cannot read the weights file"):
        load_deeplight(tmp_path / "none.safetensors")
    with pytest.raises(ConfigError, match="rtdecode weights fetch deeplight-2d"):
        cached("deeplight-2d", tmp_path)
    with pytest.raises(ConfigError, match="known: deeplight-2d"):
        registered("deeplight-3d")


def test_foreign_safetensors_are_refused(tmp_path) -> None:
    """Safetensors that rtdecode did not write, damaged ones and pickles are refused by name."""
    from safetensors.numpy import save_file

    path = tmp_path / "other.safetensors"
    save_file({"a": np.zeros(3, np.float32)}, path)
    with pytest.raises(ConfigError, match="not written by rtdecode"):
        load_deeplight(path)
    path.write_bytes(b"no safetensors")
    with pytest.raises(ConfigError, match=r"other\.safetensors"):
        load_deeplight(path)
    network = DeepLight((10, 8, 5), 2)
    about = Description((10, 8, 5), ("a_one", "a_two", "a_three"), "trained")
    save_deeplight(network, path, about)
    with pytest.raises(ConfigError, match="does not hold the network it describes"):
        load_deeplight(path)


def test_a_file_says_where_its_grid_lies_and_what_may_be_read(tmp_path) -> None:
    """Grid, affine, states, layers and origin come back; a file without is the published grid."""
    affine = ((-4.0, 0.0, 0.0, 90.0), (0.0, 4.0, 0.0, -126.0), (0.0, 0.0, 4.0, -72.0), (0, 0, 0, 1))
    about = Description((10, 8, 5), ("one", "two"), "trained here", affine, layers=(6, 4))
    save_deeplight(DeepLight((10, 8, 5), 2), tmp_path / "own.safetensors", about)
    assert describe(tmp_path / "own.safetensors") == about
    assert Description((1, 1, 1), (), "").grid_affine == DEEPLIGHT_2D.affine


def test_incomplete_variables_are_refused(twin, deeplight_variables, tmp_path, as_npy) -> None:
    """A right digest over another model's variables is still refused."""
    import hashlib
    from dataclasses import replace

    for change in ("missing", "shape"):
        variables = dict(deeplight_variables)
        if change == "missing":
            del variables["lstm_fw_26/weights_xh"]
        else:
            variables["conv2d_3/weights"] = np.zeros((3, 3, 1, 1), np.float32)
        content = as_npy({f"<tf.Variable 'model/{n}:0'>": v for n, v in variables.items()})
        source = tmp_path / "model.npy"
        source.write_bytes(content)
        entry = replace(twin.entry, sha256=hashlib.sha256(content).hexdigest())
        with pytest.raises(ConfigError, match="weights"):
            load_published(source, entry)


def test_register_describes_the_published_network() -> None:
    """Sixteen distinct states, and the voxel order of FSL's MNI152 2 mm grid."""
    assert len(set(DEEPLIGHT_2D.states)) == 16
    corner = np.array(DEEPLIGHT_2D.affine) @ [0, 0, 0, 1]
    np.testing.assert_array_equal(corner[:3], [90, -126, -72])
    assert DEEPLIGHT_2D.affine[0][0] == -2


def test_importing_weights_needs_no_torch() -> None:
    """The command line can be mounted without waiting for torch."""
    code = "import sys, calibration.weights.cli; sys.exit('torch' in sys.modules)"
    # The command is this test's own.
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
