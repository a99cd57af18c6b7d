"""Where pulse tables are found: a pair of text files, a folder with a pair, a folder of devices, a ``.npz``."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from crossohm.errors import DataError
from crossohm.training.tables.container import read_npz, write_npz
from crossohm.training.tables.table import PulseTable
from crossohm.training.tables.text import read_pair, write_pair

_UP, _DOWN = "dG_increasing", "dG_decreasing"


def read_tables(path: str | os.PathLike[str]) -> tuple[PulseTable, ...]:
    """All devices at a place.

    Args:
        path: A ``.npz``; ``dG_increasing….txt`` (its partner ``dG_decreasing….txt`` lies beside it); a folder with such
            pairs; or a folder whose folders have them, one device each, in natural order (2 before 10).

    Raises:
        DataError: there is none, or one is damaged; the message names file, line and column.
    """
    place = Path(path)
    if place.is_dir():
        found = _in_folder(place) or tuple(table for folder in _folders(place) for table in _in_folder(folder))
        if not found:
            raise DataError(
                f"{place}: no pulse tables; a folder has {_UP}*.txt with {_DOWN}*.txt, or folders that have them"
            )
        return found
    if place.suffix == ".txt":
        return (read_pair(*_partners(place)),)
    return read_npz(place)


def read_table(path: str | os.PathLike[str]) -> PulseTable:
    """The one device at a place, see `read_tables`.

    Raises:
        DataError: there is none, or several, or it is damaged.
    """
    found = read_tables(path)
    if len(found) > 1:
        raise DataError(f"{path}: {len(found)} devices where one is wanted; give the files of one of them")
    return found[0]


def write_tables(tables: Sequence[PulseTable], path: str | os.PathLike[str]) -> None:
    """Write devices where `read_tables` finds them; every number is read back as it is. Files of the name are replaced.

    Args:
        tables: The devices.
        path: A ``.npz`` for all of them; anything else is a folder for the pair of text files of one device, or for
            the folders ``1``, ``2``, ... of several.
    """
    place = Path(path)
    if place.suffix == ".npz":
        place.parent.mkdir(parents=True, exist_ok=True)
        write_npz(tables, place)
        return
    folders = [place] if len(tables) == 1 else [place / str(number) for number in range(1, len(tables) + 1)]
    for table, folder in zip(tables, folders, strict=True):
        folder.mkdir(parents=True, exist_ok=True)
        write_pair(table, folder / f"{_UP}.txt", folder / f"{_DOWN}.txt")


def _in_folder(folder: Path) -> tuple[PulseTable, ...]:
    return tuple(read_pair(*_partners(path)) for path in sorted(folder.glob(f"{_UP}*.txt"), key=_natural))


def _folders(place: Path) -> list[Path]:
    return sorted((path for path in place.iterdir() if path.is_dir()), key=_natural)


def _natural(path: Path) -> tuple[object, ...]:
    """Sorts device2 before device10."""
    parts = re.split(r"(\d+)", path.name)
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts)


def _partners(path: Path) -> tuple[Path, Path]:
    """Both files of a pair, from either."""
    for name, other in ((_UP, _DOWN), (_DOWN, _UP)):
        if path.name.startswith(name):
            pair = path, path.with_name(path.name.replace(name, other, 1))
            return pair if name == _UP else pair[::-1]
    raise DataError(f"{path}: not the name of a pulse table; it must begin with {_UP} or {_DOWN}")
