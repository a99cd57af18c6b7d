"""IDX files: what is written is read back, and every kind of damage is a DataError that names the file."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from crossohm.datasets import read_idx
from crossohm.errors import DataError

CODES = {"uint8": 0x08, "int8": 0x09, "int16": 0x0B, "int32": 0x0C, "float32": 0x0D, "float64": 0x0E}
SAMPLE = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)

reuse_folder = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def idx_bytes(array: np.ndarray) -> bytes:
    header = struct.pack(f">HBB{array.ndim}I", 0, CODES[array.dtype.name], array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def write(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


arrays = st.sampled_from(sorted(CODES)).flatmap(
    lambda name: hnp.arrays(np.dtype(name), hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5))
)


@given(array=arrays, compressed=st.booleans())
@reuse_folder
def test_round_trip(tmp_path: Path, array: np.ndarray, compressed: bool) -> None:
    data = idx_bytes(array)
    path = write(tmp_path, "a.gz", gzip.compress(data)) if compressed else write(tmp_path, "a", data)
    read = read_idx(path)
    assert read.dtype == array.dtype and read.dtype.isnative and read.flags.writeable
    np.testing.assert_array_equal(read, array)


@given(length=st.integers(0, len(idx_bytes(SAMPLE)) - 1))
@reuse_folder
def test_every_shorter_file_is_truncated(tmp_path: Path, length: int) -> None:
    with pytest.raises(DataError, match="cut: truncated"):
        read_idx(write(tmp_path, "cut", idx_bytes(SAMPLE)[:length]))


@given(data=st.data())
@reuse_folder
def test_every_shorter_gzip_file_is_refused(tmp_path: Path, data: st.DataObject) -> None:
    whole = gzip.compress(idx_bytes(SAMPLE), mtime=0)
    length = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(DataError, match=r"cut\.gz"):
        read_idx(write(tmp_path, "cut.gz", whole[:length]))


@given(position=st.integers(0, 1000), flip=st.integers(1, 255), compressed=st.booleans())
@reuse_folder
def test_a_changed_byte_never_raises_anything_else(tmp_path: Path, position: int, flip: int, compressed: bool) -> None:
    whole = bytearray(gzip.compress(idx_bytes(SAMPLE), mtime=0) if compressed else idx_bytes(SAMPLE))
    whole[position % len(whole)] ^= flip
    path = write(tmp_path, "b.gz" if compressed else "b", bytes(whole))
    try:
        read = read_idx(path)
    except DataError as error:
        assert str(path) in str(error)
    else:
        assert read.nbytes == SAMPLE.nbytes  # the header still fits the length: only values, or a regrouped shape


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("long", idx_bytes(SAMPLE) + b"\0", "too long"),
        ("magic", b"\1" + idx_bytes(SAMPLE)[1:], "not an IDX file.*0x01000803"),
        ("type", b"\0\0\x0a\1" + bytes(8), "not an IDX file"),
        ("scalar", b"\0\0\x08\0" + bytes(1), "not an IDX file"),
        ("html", b"<!DOCTYPE html>", "not an IDX file"),
        ("huge", struct.pack(">HBB3I", 0, 8, 3, *[2**32 - 1] * 3), "truncated"),
        ("void", struct.pack(">HBB4I", 0, 8, 4, 0, *[2**32 - 1] * 3), "damaged"),
        ("deep", struct.pack(">HBB255I", 0, 8, 255, 0, *[1] * 254), "damaged"),
        ("bare", gzip.compress(idx_bytes(SAMPLE), mtime=0), "without .gz"),
        ("plain.gz", idx_bytes(SAMPLE), "not intact gzip"),
        ("crc.gz", gzip.compress(idx_bytes(SAMPLE), mtime=0)[:-8] + bytes(8), "not intact gzip"),
        ("deflate.gz", gzip.compress(b"", mtime=0)[:10] + b"\xff" * 20, "damaged gzip"),
    ],
)
def test_damage_is_named(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    with pytest.raises(DataError, match=rf"{name}: .*{message}"):
        read_idx(write(tmp_path, name, data))


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="absent: cannot be read"):
        read_idx(tmp_path / "absent")
    with pytest.raises(DataError, match="cannot be read"):
        read_idx(tmp_path)
