"""Pulse tables as pairs of text files, the form in which measured devices are published.

Each file: a title; the conductances; the cumulative probabilities; one line per probability with the changes at every
conductance. Numbers are separated by commas, with blanks or tabs around them; blank lines are passed over.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crossohm.errors import DataError
from crossohm.training.tables.source import text_of
from crossohm.training.tables.table import MOST, SAME_GRID, PulseTable, require_conductances, require_probabilities

#: Columns of a part of a table: conductances, probabilities, changes.
_Part = tuple[str, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def read_pair(increasing: Path, decreasing: Path) -> PulseTable:
    """The table in a pair of text files.

    Raises:
        DataError: a file is missing or damaged, or the two do not belong together; the message names file, line and
            column.
    """
    title, g, cdf, up = _read(increasing)
    _, other_g, other_cdf, down = _read(decreasing)
    for name, mine, others in (("conductances", g, other_g), ("probabilities", cdf, other_cdf)):
        if mine.shape != others.shape or not np.allclose(mine, others, rtol=SAME_GRID, atol=0):
            raise DataError(
                f"{decreasing}: its {name} are not those of {increasing}; both files of a pair must have the same grids"
            )
    try:
        return PulseTable(g, cdf, up, down, title)
    except DataError as error:
        raise DataError(f"{increasing}, {decreasing}: {error}") from error


def write_pair(table: PulseTable, increasing: Path, decreasing: Path) -> None:
    """Write a table as a pair of text files; every number is read back as it is."""
    title = table.title or "Row 1: conductances, row 2: CDF points, then dG (rows = CDF, columns = conductance)"
    for path, changes in ((increasing, table.increasing), (decreasing, table.decreasing)):
        rows = (table.g, table.cdf, *changes)
        lines = [" ".join(title.split()), *(", ".join(map(repr, row.tolist())) for row in rows)]
        path.write_text("\n".join([*lines[:3], "", *lines[3:]]) + "\n", encoding="utf-8")


def _read(path: Path) -> _Part:
    """One file of a pair."""
    lines = text_of(path).split("\n")
    if _numeric(lines[0]):
        raise DataError(f"{path}:1: numbers where the title is wanted; conductances come second")
    rows = list(_rows(path, lines))
    if len(rows) < 3:
        raise DataError(
            f"{path}: {len(rows)} lines of numbers after the title; conductances, probabilities and one line of "
            "changes for each probability wanted"
        )
    (g_line, g), (cdf_line, cdf), *changes = rows
    _require(path, g_line, require_conductances, g)
    _require(path, cdf_line, require_probabilities, cdf)
    for line, row in changes:
        if len(row) != len(g):
            raise DataError(
                f"{path}:{line}: {len(row)} numbers; one for each of the {len(g)} conductances of the first line wanted"
            )
    if len(changes) != len(cdf):
        raise DataError(
            f"{path}:{changes[-1][0]}: the last of {len(changes)} lines of changes; one for each of the {len(cdf)} "
            "probabilities wanted"
        )
    return lines[0].strip(), np.array(g), np.array(cdf), np.array([row for _, row in changes])


def _numeric(text: str) -> bool:
    """True if a line is one of numbers."""
    try:
        return len([float(cell) for cell in text.split(",")]) > 1
    except ValueError:
        return False


def _require(path: Path, line: int, check: Callable[[NDArray[np.float64]], None], numbers: list[float]) -> None:
    """Check a grid; the message says where it is."""
    try:
        check(np.array(numbers))
    except DataError as error:
        raise DataError(f"{path}:{line}: {error}") from error


def _rows(path: Path, lines: list[str]) -> Iterator[tuple[int, list[float]]]:
    """Number and numbers of each line that is not blank, but for the title."""
    for line, text in enumerate(lines[1:], start=2):
        if text.strip():
            cells = text.split(",")
            yield line, [_number(path, line, column, cell) for column, cell in enumerate(cells, start=1)]


def _number(path: Path, line: int, column: int, cell: str) -> float:
    """One number of a table."""
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not abs(value) <= MOST or "_" in cell:
        found = repr(cell.strip()[:20]) if cell.strip() else "nothing"
        raise DataError(f"{path}:{line}: column {column} has {found}; a number, {MOST:g} at most, wanted")
    return value
