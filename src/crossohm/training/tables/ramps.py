"""Raw pulse ramps: the conductance of one device after each of a row of identical pulses.

The file of one direction is a CSV: one line of names, then one column per ramp and one line per pulse, the read
current (A) after it; columns of shorter ramps end in empty cells.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crossohm.errors import DataError
from crossohm.training.checks import require_count, require_number
from crossohm.training.tables.source import text_of
from crossohm.training.tables.table import MOST

Ramp = NDArray[np.float64]
"""Conductances after successive pulses, siemens."""


def read_ramps(path: Path, *, read_voltage: float = 0.1, header_lines: int = 1, skip_footer: int = 0) -> list[Ramp]:
    """The ramps in a CSV file.

    Args:
        path: The file.
        read_voltage: Voltage at which the currents were read, V; 1 if the file has conductances.
        header_lines: Lines before the first pulse; 0 if there are no names.
        skip_footer: Lines after the last pulse.

    Returns:
        One array per column that has at least two readings; empty, NaN and zero cells are left out.

    Raises:
        DataError: the file is missing or no CSV, or a cell is no number; the message says which.
    """
    require_number("read_voltage", read_voltage, above=0)
    require_count("header_lines", header_lines)
    require_count("skip_footer", skip_footer)
    rows = _rows(path)
    if header_lines and rows and _numeric(rows[0][1]):
        raise DataError(f"{path}:1: numbers where the names of the ramps are wanted; say so if there are no names")
    columns: dict[int, list[float]] = {}
    for line, row in rows[header_lines : max(len(rows) - skip_footer, 0)]:
        for column, cell in enumerate(row):
            value = _reading(path, line, column + 1, cell)
            if value is not None:
                columns.setdefault(column, []).append(value / read_voltage)
    ramps = [np.array(values) for _, values in sorted(columns.items()) if len(values) > 1]
    if not ramps:
        raise DataError(f"{path}: no ramp; a line of names, then a column of at least two currents per ramp wanted")
    return ramps


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """Cells of a CSV file, with the number of the line on which a row ends."""
    reader = csv.reader(io.StringIO(text_of(path)))
    try:
        return [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num}: not a CSV file ({error})") from error


def _numeric(row: Sequence[str]) -> bool:
    """True if a row has nothing but readings."""
    try:
        return all([float(cell) >= 0 for cell in row if cell.strip()]) and any(cell.strip() for cell in row)
    except ValueError:
        return False


def _reading(path: Path, line: int, column: int, cell: str) -> float | None:
    """The current in a cell; None if nothing was measured."""
    text = cell.strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.inf
    if abs(value) > MOST or "_" in text:
        raise DataError(f"{path}:{line}: column {column} has {text[:20]!r}; a current in ampere, or nothing, wanted")
    if value < 0:
        raise DataError(f"{path}:{line}: column {column} has the negative current {text[:20]}; give absolute values")
    return None if math.isnan(value) or value == 0 else value


def write_ramps(ramps: Sequence[Ramp], path: Path, *, read_voltage: float = 0.1) -> None:
    """Write ramps as the CSV file that `read_ramps` reads."""
    longest = max(map(len, ramps))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([f"ramp{number}" for number in range(1, len(ramps) + 1)])
        for pulse in range(longest):
            writer.writerow([f"{ramp[pulse] * read_voltage:.9g}" if pulse < len(ramp) else "" for ramp in ramps])
