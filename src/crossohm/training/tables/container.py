"""Pulse tables as compressed NumPy files (``.npz``), one or several devices each; never pickled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossohm._npz import read_arrays
from crossohm.errors import DataError
from crossohm.training.tables.table import PulseTable

_ARRAYS = ("g", "cdf", "increasing", "decreasing")
#: What they may be made of.
_FORMS = (np.float64, np.float32)


def arrays_of(tables: Sequence[PulseTable]) -> dict[str, NDArray[Any]]:
    """One or several devices as named arrays, see `tables_of`; every number stays as it is."""
    entries = {f"{place}/{name}": getattr(table, name) for place, table in enumerate(tables) for name in _ARRAYS}
    return {"titles": np.array([table.title for table in tables], dtype=np.str_), **entries}


def tables_of(found: Mapping[str, NDArray[Any]], source: Path | str) -> tuple[PulseTable, ...]:
    """The devices that `arrays_of` turned into arrays, in the same order.

    Args:
        found: The arrays.
        source: Where they come from, for messages.

    Raises:
        DataError: they are no pulse tables.
    """
    titles = found.get("titles")
    if titles is None or titles.dtype.kind != "U" or titles.ndim != 1 or not titles.size:
        raise DataError(f"{source}: no pulse tables: 'titles', one text per device, is missing")
    try:
        texts: list[str] = titles.tolist()
    except ValueError as error:
        raise DataError(f"{source}: 'titles' are no texts ({error})") from error
    return tuple(_device(source, found, place, text) for place, text in enumerate(texts))


def write_npz(tables: Sequence[PulseTable], path: Path) -> None:
    """Write one or several devices to a ``.npz``; every number is read back as it is."""
    with path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays_of(tables))


def read_npz(path: Path) -> tuple[PulseTable, ...]:
    """The devices in a ``.npz``, in the order in which they were written.

    Raises:
        DataError: the file is missing or damaged, or no pulse tables.
    """
    return tables_of(read_arrays(path), path)


def _device(source: Path | str, found: Mapping[str, NDArray[Any]], place: int, title: str) -> PulseTable:
    """One of several devices."""
    parts = []
    for name in _ARRAYS:
        values = found.get(f"{place}/{name}")
        if values is None or values.dtype not in _FORMS:
            raise DataError(f"{source}: device {place} has no array '{place}/{name}' of float64 or float32")
        parts.append(values)
    try:
        return PulseTable(parts[0], parts[1], parts[2], parts[3], title)
    except DataError as error:
        raise DataError(f"{source}: device {place}: {error}") from error
