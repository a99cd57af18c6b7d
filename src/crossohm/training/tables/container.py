"""Pulse tables as compressed NumPy files (``.npz``), one or several devices each; never pickled."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from crossohm._npz import read_arrays
from crossohm.errors import DataError
from crossohm.training.tables.table import PulseTable

_ARRAYS = ("g", "cdf", "increasing", "decreasing")
#: What they may be made of.
_FORMS = (np.float64, np.float32)


def write_npz(tables: Sequence[PulseTable], path: Path) -> None:
    """Write one or several devices to a ``.npz``; every number is read back as it is."""
    entries = {f"{place}/{name}": getattr(table, name) for place, table in enumerate(tables) for name in _ARRAYS}
    titles = np.array([table.title for table in tables], dtype=np.str_)
    with path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, titles=titles, **entries)


def read_npz(path: Path) -> tuple[PulseTable, ...]:
    """The devices in a ``.npz``, in the order in which they were written.

    Raises:
        DataError: the file is missing or damaged, or no pulse tables.
    """
    found = read_arrays(path)
    titles = found.get("titles")
    if titles is None or titles.dtype.kind != "U" or titles.ndim != 1 or not titles.size:
        raise DataError(f"{path}: no pulse tables: 'titles', one text per device, is missing")
    try:
        texts: list[str] = titles.tolist()
    except ValueError as error:
        raise DataError(f"{path}: 'titles' are no texts ({error})") from error
    return tuple(_device(path, found, place, text) for place, text in enumerate(texts))


def _device(path: Path, found: dict[str, np.ndarray], place: int, title: str) -> PulseTable:
    """One device of a file."""
    parts = []
    for name in _ARRAYS:
        values = found.get(f"{place}/{name}")
        if values is None or values.dtype not in _FORMS:
            raise DataError(f"{path}: device {place} has no array '{place}/{name}' of float64 or float32")
        parts.append(values)
    try:
        return PulseTable(parts[0], parts[1], parts[2], parts[3], title)
    except DataError as error:
        raise DataError(f"{path}: device {place}: {error}") from error
