"""Raw pulse ramps: the conductance of one device after each of a row of identical pulses.

The file of one direction is a CSV: one line of names, then one column per ramp and one line per pulse, the read
current (A) after it; columns of shorter ramps end in empty cells.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crossohm.errors import DataError, ParameterError

Ramp = NDArray[np.float64]
"""Conductances after successive pulses, siemens."""


def read_ramps(path: Path, *, read_voltage: float = 0.1, header_lines: int = 1, skip_footer: int = 0) -> list[Ramp]:
    """The ramps in a CSV file.

    Args:
        path: The file.
        read_voltage: Voltage at which the currents were read, V; 1 if the file has conductances.
        header_lines: Lines before the first pulse.
        skip_footer: Lines after the last pulse.

    Returns:
        One array per column that has at least two readings; empty, NaN and zero cells are left out.

    Raises:
        DataError: the file is missing, or a cell is no number; the message says which.
    """
    if not (math.isfinite(read_voltage) and read_voltage > 0):
        raise ParameterError("read_voltage", read_voltage, "no voltage to read currents at", allowed="above 0")
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a CSV text file ({error})") from error
    columns: dict[int, list[float]] = {}
    for line, row in enumerate(rows[header_lines : len(rows) - skip_footer], start=header_lines + 1):
        for column, cell in enumerate(row):
            value = _reading(path, line, column + 1, cell)
            if value is not None:
                columns.setdefault(column, []).append(value / read_voltage)
    ramps = [np.array(values) for _, values in sorted(columns.items()) if len(values) > 1]
    if not ramps:
        raise DataError(f"{path}: no ramp; a line of names, then a column of at least two currents per ramp wanted")
    return ramps


def _reading(path: Path, line: int, column: int, cell: str) -> float | None:
    """The current in a cell; None if nothing was measured."""
    text = cell.strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.inf
    if math.isinf(value) or "_" in text:
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
