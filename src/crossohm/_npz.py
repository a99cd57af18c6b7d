"""NumPy archives (``.npz``), damaged ones included; nothing is unpickled."""

from __future__ import annotations

import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossohm.errors import DataError

#: What NumPy and the libraries below it raise at damaged archives; headers of arrays are Python text.
UNREADABLE = (
    OSError, EOFError, ValueError, TypeError, KeyError, AttributeError, MemoryError, RuntimeError, SyntaxError,
    zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError,
)  # fmt: skip


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of an archive, by name.

    Raises:
        DataError: the file is missing or damaged, or something else.
    """
    try:
        with path.open("rb") as file:
            if not zipfile.is_zipfile(file):
                raise DataError(f"{path}: no NumPy archive (.npz), or cut")
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                found = dict(archive)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    except DataError:
        raise
    except UNREADABLE as error:
        raise DataError(f"{path}: not an intact NumPy archive, .npz ({error})") from error
    for name, values in found.items():
        if not isinstance(values, np.ndarray):
            raise DataError(f"{path}: {name!r} is no NumPy array")
    return found
