import builtins
import contextlib
import os
import pickle
import subprocess

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calibration.weights.pickled import ADMITTED, read_arrays
from rtdecode.errors import ConfigError


class Hostile:
    """Unpickles by calling a function."""

    def __init__(self, function, *arguments) -> None:
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def test_arrays_come_back_by_variable(as_npy) -> None:
    """The arrays are read as they were written, by the variable's plain name."""
    value = np.arange(6, dtype=np.float32).reshape(2, 3) - 2.5
    content = as_npy({"<tf.Variable 'model/linear_29/weights:0' shape=(2, 3)>": value})
    arrays = read_arrays(content, "twin.npy")
    assert list(arrays) == ["linear_29/weights"]
    np.testing.assert_array_equal(arrays["linear_29/weights"], value)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (os.system, ("touch ran",)),
        (os.mkdir, ("ran",)),
        (subprocess.Popen, (["touch", "ran"],)),
        (builtins.eval, ("open('ran', 'w')",)),
        (builtins.exec, ("open('ran', 'w')",)),
        (builtins.getattr, (1.0, "hex")),
        (np.load, ("ran", None, True)),
        (np.save, ("ran", 1)),
        (np.fromfile, ("ran",)),
        (pickle.loads, (b"N.",)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_hostile_pickle_runs_nothing(as_npy, tmp_path, monkeypatch, function, arguments) -> None:
    """A pickle that names a function is refused as such, and the function never runs."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="may be malicious"):
        read_arrays(as_npy({"key": Hostile(function, *arguments)}), "evil.npy")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "body",
    [
        b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x05\x00\x00\x00rot13tR.",
        b"cnumpy\ndtype\n(X\x01\x00\x00\x00Vtb.",
        b"cnumpy\nndarray\n(I1000000\ntR.",
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\ndtype\n(I0\ntX\x01\x00\x00\x00btR.",
        b"cnumpy._core.multiarray\n_reconstruct\n.",
        b"cbuiltins\ngetattr\n.",
    ],
)
def test_admitted_names_do_nothing_else(as_npy, body) -> None:
    """The four names cannot be turned to other codecs, data types or array types."""
    content = as_npy({})
    body_at = 10 + int.from_bytes(content[8:10], "little")
    with pytest.raises(ConfigError):
        read_arrays(content[:body_at] + body, "evil.npy")


def test_exactly_four_names_are_admitted() -> None:
    """The list of names does not grow unnoticed."""
    assert set(ADMITTED) == {
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("_codecs", "encode"),
    }


@pytest.mark.parametrize("value", [[1, 2], {"key": np.zeros(3, np.float32)}, {"'a:0'": 3}])
def test_other_contents_are_refused(as_npy, value) -> None:
    """A harmless pickle that is not a dictionary of TensorFlow arrays is another file."""
    with pytest.raises(ConfigError, match=r"another file"):
        read_arrays(as_npy(value), "other.npy")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_damage_is_one_kind_of_error(as_npy, data) -> None:
    """Cut or altered anywhere, a file is read or refused, and nothing else happens."""
    content = bytearray(as_npy({"<tf.Variable 'model/a:0'>": np.arange(3, dtype=np.float32)}))
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(position, len(content)))]
    with contextlib.suppress(ConfigError):
        read_arrays(bytes(content), "damaged.npy")
