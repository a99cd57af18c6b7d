"""The pickled batches of CIFAR's Python version, read without executing what a pickle may order.

A pickle is a program. This reader admits dictionaries, lists, tuples, texts and numbers, and of all functions and
classes only the three names NumPy arrays of bytes are made from, which it replaces by records of its own: neither NumPy
nor anything else is called by the file. Everything else is refused. It is built on `pickle`'s implementation in Python:
the one in C, and instructions left out here, allocate memory of a size that a damaged file can choose.
"""

from __future__ import annotations

import io
import math
import pickle
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from crossohm.datasets.raw import read_bytes
from crossohm.errors import DataError

#: Instructions that are carried out; the others make objects, sets, copies or buffers.
_ADMITTED = (
    pickle.PROTO, pickle.FRAME, pickle.STOP, pickle.MARK, pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE,
    pickle.INT, pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.LONG, pickle.LONG1, pickle.FLOAT, pickle.BINFLOAT,
    pickle.STRING, pickle.BINSTRING, pickle.SHORT_BINSTRING, pickle.BINBYTES, pickle.SHORT_BINBYTES, pickle.BINBYTES8,
    pickle.UNICODE, pickle.BINUNICODE, pickle.SHORT_BINUNICODE, pickle.BINUNICODE8,
    pickle.EMPTY_DICT, pickle.DICT, pickle.SETITEM, pickle.SETITEMS,
    pickle.EMPTY_LIST, pickle.LIST, pickle.APPEND, pickle.APPENDS,
    pickle.EMPTY_TUPLE, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3,
    pickle.PUT, pickle.BINPUT, pickle.LONG_BINPUT, pickle.MEMOIZE, pickle.GET, pickle.BINGET, pickle.LONG_BINGET,
    pickle.GLOBAL, pickle.STACK_GLOBAL, pickle.REDUCE, pickle.BUILD,
)  # fmt: skip
_BINARY = "Use the binary version of the data set (.bin) instead"


def read_batch(path: Path) -> dict[str, Any]:
    """The dictionary in a pickled file: plain values, and arrays of bytes as arrays.

    Raises:
        DataError: it cannot be read, is damaged, holds something else, or orders a function to be called.
    """
    try:
        found = _Reader(io.BytesIO(read_bytes(path)), encoding="bytes").load()
        if not isinstance(found, dict):
            raise DataError(f"{path}: holds a {type(found).__name__}, not a dictionary. {_BINARY}")
        return {_text(key): _plain(value) for key, value in found.items()}
    except _RefusedError as error:
        raise DataError(f"{path}: refused, because it asks for {error}, which no data needs. {_BINARY}") from error
    except DataError:
        raise
    except Exception as error:  # a damaged program can fail in any way
        problem = f"{type(error).__name__}: {error}"
        raise DataError(f"{path}: not an intact pickled batch ({problem}). Fetch it again, or: {_BINARY}") from error


class _RefusedError(Exception):
    """The pickle names something that is not admitted."""


@final
class _Bytes:
    """Records what a pickled array of bytes is told about itself."""

    def __init__(self, *_: Any) -> None:
        self.state: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state

    def array(self) -> NDArray[np.uint8]:
        """The array.

        Raises:
            ValueError: it is none of bytes in C order, or its size does not fit.
        """
        _, shape, dtype, fortran, data = self.state
        if not isinstance(dtype, _Kind) or dtype.name not in (b"u1", "u1") or fortran or not isinstance(data, bytes):
            raise ValueError("an array that is not made of unsigned bytes in C order")
        if not all(type(size) is int and size >= 0 for size in shape) or math.prod(shape) != len(data):
            raise ValueError(f"an array of shape {shape} with {len(data)} bytes")
        return np.frombuffer(data, np.uint8).reshape(shape)


@final
class _Kind:
    """Records which number type is asked for."""

    def __init__(self, name: Any, *_: Any) -> None:
        self.name = name

    def __setstate__(self, state: Any) -> None:
        """Byte order, which bytes do not have."""


@final
class _Reader(pickle._Unpickler):
    dispatch: ClassVar = {code[0]: pickle._Unpickler.dispatch[code[0]] for code in _ADMITTED}

    def find_class(self, module: str, name: str) -> Any:
        modules = ("numpy.core.multiarray", "numpy._core.multiarray")
        if (module in modules and name == "_reconstruct") or (module, name) == ("numpy", "ndarray"):
            return _Bytes
        if (module, name) == ("numpy", "dtype"):
            return _Kind
        raise _RefusedError(f"{module}.{name}")


def _text(key: Any) -> str:
    return key.decode("latin-1") if isinstance(key, bytes) else str(key)


def _plain(value: Any) -> Any:
    return value.array() if isinstance(value, _Bytes) else value
