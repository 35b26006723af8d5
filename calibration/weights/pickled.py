"""Read a pickled dictionary of numpy arrays, and refuse to run anything else."""

import io
import pickle
import pickletools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from rtdecode.errors import ConfigError
from rtdecode.types import Float32


class ForbiddenError(pickle.UnpicklingError):
    """A pickle uses more than numpy arrays need."""


def _encode(text: str, encoding: str) -> bytes:
    # Protocol 2 writes bytes as text; the codecs registry itself would import modules by name.
    if encoding != "latin1":
        raise ForbiddenError(f"the codec {encoding!r}")
    return text.encode("latin1")


def _dtype(code: str, *_: bool) -> np.dtype[Any]:
    if code not in ("f4", "O8"):
        raise ForbiddenError(f"the data type {code!r}")
    # A copy, because the pickle goes on to set its byte order.
    return np.dtype(code, align=False, copy=True)


def _reconstruct(kind: str, *_: object) -> np.ndarray[Any, Any]:
    if kind != NDARRAY:
        raise ForbiddenError(f"an array of type {kind!r}")
    return np.empty(0, np.int8)


MAGIC = b"\x93NUMPY\x01\x00"
HEADER_START = 10
"""The magic, then two bytes with the length of the header that follows."""
UNREADABLE = (
    pickle.UnpicklingError,
    ValueError,
    TypeError,
    EOFError,
    LookupError,
    AttributeError,
    ArithmeticError,
    MemoryError,
)
"""Errors that damaged bytes may raise."""

NDARRAY = "numpy.ndarray"
"""Stands for the type, which numpy only names and never calls while it restores an array."""

ADMITTED: Mapping[tuple[str, str], Any] = MappingProxyType(
    {
        ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
        ("numpy", "ndarray"): NDARRAY,
        ("numpy", "dtype"): _dtype,
        ("_codecs", "encode"): _encode,
    }
)
"""The admitted names of the published file, and their replacements."""


class ArrayUnpickler(pickle.Unpickler):
    """An unpickler for which no name exists but the four that numpy arrays need."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """Return the replacement of an admitted name.

        Raises
        ------
        ForbiddenError
            Any other name.
        """
        try:
            return ADMITTED[module_name, global_name]
        except KeyError:
            raise ForbiddenError(f"the name {module_name}.{global_name}") from None


def _refuse_buffers(body: bytes) -> None:
    """Check a pickle's instructions without executing them.

    CPython's unpickler complains past every handler where a damaged file makes it read a bytearray
    that is cut short; numpy arrays need none.

    Raises
    ------
    ForbiddenError
        It asks for a bytearray.
    ValueError
        It is no pickle.
    """
    for opcode, _, _ in pickletools.genops(body):
        if opcode.name == "BYTEARRAY8":
            raise ForbiddenError("a bytearray")


def read_arrays(content: bytes, source: str) -> dict[str, Float32]:
    """Return the float32 arrays of an `.npy` file that holds a pickled dictionary.

    Parameters
    ----------
    content
        The file.
    source
        Its name, for messages.

    Returns
    -------
    dict
        Arrays by TensorFlow variable name, such as `conv2d_1/weights`.

    Raises
    ------
    ConfigError
        It is something else, or names anything beyond what numpy arrays need; nothing was run.
    """
    # numpy's own header is skipped unread: it tells the shape, which the pickle tells again.
    body = HEADER_START + int.from_bytes(content[HEADER_START - 2 : HEADER_START], "little")
    try:
        if not content.startswith(MAGIC):
            raise ValueError("it does not start as .npy version 1 does")
        _refuse_buffers(content[body:])
        holder = ArrayUnpickler(io.BytesIO(content[body:]), encoding="latin1").load()
    except ForbiddenError as error:
        raise ConfigError(
            f"{source} asks for more than numpy arrays ({error}) and was not loaded: it may be "
            "malicious; get the file from its authors"
        ) from error
    except UNREADABLE as error:
        raise ConfigError(
            f"{source} is not a readable .npy file of weights ({error}): get it again"
        ) from error
    arrays = holder.item() if isinstance(holder, np.ndarray) and holder.size == 1 else holder
    if not isinstance(arrays, dict):
        raise ConfigError(f"{source} holds no dictionary of arrays: it is another file")
    return {_variable(key, source): _array(value, source) for key, value in arrays.items()}


def _variable(key: object, source: str) -> str:
    # For example: <tf.Variable 'model/conv2d_1/weights:0' shape=(3, 3, 1, 8) dtype=float32_ref>
    parts = str(key).split("'")
    if len(parts) != 3 or not parts[1].endswith(":0"):
        raise ConfigError(f"{source} has a key that names no TensorFlow variable: another file")
    return parts[1].removeprefix("model/").removesuffix(":0")


def _array(value: object, source: str) -> Float32:
    if not isinstance(value, np.ndarray) or value.dtype != np.float32:
        raise ConfigError(f"{source} has an entry that is no float32 array: it is another file")
    return value
