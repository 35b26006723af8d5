"""A small published file, pickled as the authors' TensorFlow of Python 2 days pickled theirs."""

import hashlib
import io
import pickle
from dataclasses import dataclass, replace

import numpy as np
import pytest

from calibration.weights import DEEPLIGHT_2D, Published


@dataclass(frozen=True)
class Twin:
    """A published file that we may share, and its entry in the register."""

    content: bytes
    entry: Published


def npy_of(value: object) -> bytes:
    """Pickle a value inside an `.npy`, under the names that numpy 1 had."""
    holder = np.empty((), object)
    holder[()] = value
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": "|O", "fortran_order": False, "shape": ()}
    )
    body = pickle.dumps(holder, protocol=2)
    return stream.getvalue() + body.replace(b"numpy._core.", b"numpy.core.")


@pytest.fixture
def as_npy():
    """Return the function that pickles a value as the published file is pickled."""
    return npy_of


@pytest.fixture
def twin(deeplight_variables: dict[str, np.ndarray]) -> Twin:
    """Return a published file of a tiny random network."""
    content = npy_of(
        {
            f"<tf.Variable 'model/{name}:0' shape={value.shape} dtype=float32_ref>": value
            for name, value in deeplight_variables.items()
        }
    )
    entry = replace(
        DEEPLIGHT_2D,
        name="twin",
        grid_shape=(10, 8, 5),
        states=("a_one", "a_two", "b_one", "b_two"),
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
    )
    return Twin(content, entry)
