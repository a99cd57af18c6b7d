"""IDX files, the format MNIST is published in.

A file is: two zero bytes, one byte that codes the number type, one byte with the number of dimensions, each dimension
as a big-endian 32-bit integer, then the numbers, big-endian, last dimension fastest. Format: Y. LeCun, C. Cortes and
C. Burges, The MNIST database (1998), section "File formats".
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossohm.errors import DataError

_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP_MAGIC = b"\x1f\x8b"


def read_idx(path: Path) -> NDArray[Any]:
    """The array in an IDX file, in native byte order; gzip-compressed if the name ends in ``.gz``.

    Raises:
        DataError: the file cannot be read, is not what its name says, or its length does not fit its header.
    """
    data = _read(path)
    dtype, shape, start = _header(path, data)
    expected = math.prod(shape) * dtype.itemsize
    if len(data) - start != expected:
        kind = "truncated" if len(data) - start < expected else "too long"
        raise DataError(
            f"{path}: {kind}; the header announces {shape} of {dtype.name}, {expected} bytes of data, "
            f"but there are {len(data) - start}. Fetch the file again"
        )
    numbers = np.frombuffer(data, dtype, offset=start).astype(dtype.newbyteorder("="))  # a copy, hence writable
    try:
        return numbers.reshape(shape)
    except ValueError as error:  # too many dimensions, or empty with dimensions beyond the address range
        raise DataError(f"{path}: damaged; the header announces the shape {shape} ({error})") from error


def _read(path: Path) -> bytes:
    """The content of the file, decompressed."""
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if path.suffix == ".gz" else data
    except gzip.BadGzipFile as error:
        raise DataError(
            f"{path}: named .gz but not intact gzip ({error}). Fetch it again, or drop the suffix"
        ) from error
    except EOFError as error:
        raise DataError(f"{path}: truncated gzip file. Fetch it again") from error
    except zlib.error as error:
        raise DataError(f"{path}: damaged gzip file ({error}). Fetch it again") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error


def _header(path: Path, data: bytes) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    """Number type, shape, and where the numbers start."""
    if data[:2] == _GZIP_MAGIC:
        raise DataError(f"{path}: gzip data under a name without .gz. Rename it to {path.name}.gz")
    if len(data) < 4:
        raise DataError(f"{path}: truncated; {len(data)} bytes are too few for an IDX file")
    if data[:2] != b"\0\0" or data[2] not in _DTYPES or data[3] == 0:
        raise DataError(
            f"{path}: not an IDX file; it starts with 0x{data[:4].hex()}, "
            f"expected 0000, one of {', '.join(f'{code:02x}' for code in _DTYPES)}, and the number of dimensions"
        )
    start = 4 + 4 * data[3]
    if len(data) < start:
        raise DataError(f"{path}: truncated; the header needs {start} bytes, the file has {len(data)}")
    shape = np.frombuffer(data[4:start], ">u4").tolist()
    return np.dtype(_DTYPES[data[2]]), tuple(shape), start
