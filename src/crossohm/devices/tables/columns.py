"""Columns of numbers with units, from CSV text.

One line names the columns, ``name_unit`` each, such as ``conductance_uS``; every further line has one number in each.
Empty lines and lines that begin with ``#`` are passed over; the first of these says where the measurements come from.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from crossohm.errors import DataError

CONDUCTANCE = {"S": 1.0, "mS": 1e-3, "uS": 1e-6, "nS": 1e-9, "pS": 1e-12}
VOLTAGE = {"V": 1.0, "mV": 1e-3, "uV": 1e-6}
CURRENT = {"A": 1.0, "mA": 1e-3, "uA": 1e-6, "nA": 1e-9, "pA": 1e-12}
#: Times are kept as they are given: `Cell.time` is in the unit of the table.
TIME = {"s": 1.0, "min": 1.0, "h": 1.0, "days": 1.0, "years": 1.0}

#: Numbers beyond these are none that were measured.
_LARGEST = 1e15
_SHOWN = 20


@final
@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        header: Its title.
        name: Title without unit.
        unit: As written.
        number: Place in the file, the first is 1.
    """

    header: str
    name: str
    unit: str
    number: int


@final
@dataclass(frozen=True)
class Columns:
    """A table as it was read.

    Attributes:
        source: What the first comment says.
        place: The file, for messages.
        header: Line of the file that names the columns.
        columns: What it names.
        lines: Line of the file of every row.
        values: ``(rows, columns)``, as written.
    """

    source: str
    place: str
    header: int
    columns: tuple[Column, ...]
    lines: tuple[int, ...]
    values: NDArray[np.float64]

    def names(self) -> list[str]:
        """Names of all columns, without units."""
        return [column.name for column in self.columns]

    def find(self, name: str, units: dict[str, float], wanted: str) -> tuple[Column, NDArray[np.float64]]:
        """A column and its values in the basic unit.

        Args:
            name: Of the column, without unit.
            units: Factors of the units it may have.
            wanted: The columns of such a table, for messages.

        Raises:
            DataError: there is no such column, or its unit is none of these.
        """
        for index, column in enumerate(self.columns):
            if column.name == name:
                if column.unit not in units:
                    raise self.wrong_header(
                        column, f"no unit of {name} is {column.unit!r}; allowed: {', '.join(units)}"
                    )
                return column, self.values[:, index] * units[column.unit]
        raise DataError(f"{self.place}, line {self.header}: there is no column {name!r}; {wanted}")

    def require(self, column: Column, holds: NDArray[np.bool_], problem: str) -> None:
        """Refuse the first row for which something does not hold.

        Raises:
            DataError: it names line and column.
        """
        wrong = np.flatnonzero(~holds)
        if wrong.size:
            row = int(wrong[0])
            value = self.values[row, column.number - 1]
            raise DataError(
                f"{self.place}, line {self.lines[row]}, column {column.number} ({column.header}): {value:g} {problem}"
            )

    def wrong_header(self, column: Column, problem: str) -> DataError:
        """The error for a column that cannot be used."""
        return DataError(f"{self.place}, line {self.header}, column {column.number} ({column.header}): {problem}")


def read_columns(text: str, place: str) -> Columns:
    """The columns in CSV text.

    Raises:
        DataError: a cell is no number, a line too short or too long, or there are no numbers; names line and column.
    """
    comments, rows = [], []
    for line, content in enumerate(text.splitlines(), start=1):
        if content.lstrip().startswith("#"):
            comments.append(content.lstrip("# \t").rstrip())
        elif content.strip(", \t"):
            rows.append((line, _cells(content, place, line)))
    if len(rows) < 2:
        raise DataError(
            f"{place}: no table; wanted: a line with names of columns, and a line of numbers for each state"
        )
    columns = _header(*rows[0], place)
    values = np.array([_numbers(columns, line, cells, place) for line, cells in rows[1:]])
    return Columns(next(iter(comments), ""), place, rows[0][0], columns, tuple(line for line, _ in rows[1:]), values)


def _cells(content: str, place: str, line: int) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([content]))]
    except (csv.Error, StopIteration) as error:
        raise DataError(f"{place}, line {line}: no line of a CSV file ({error})") from error


def _header(line: int, cells: Sequence[str], place: str) -> tuple[Column, ...]:
    found = []
    for number, header in enumerate(cells, start=1):
        name, underscore, unit = header.rpartition("_")
        if not (name and underscore and unit):
            raise DataError(
                f"{place}, line {line}, column {number}: {header[:_SHOWN]!r} is no name with a unit, such as "
                "conductance_uS; the first line names the columns"
            )
        found.append(Column(header, name, unit.replace("µ", "u").replace("μ", "u"), number))
    names = [column.name for column in found]
    for column in found:
        if names.count(column.name) > 1:
            raise DataError(f"{place}, line {line}, column {column.number}: there are several columns {column.name!r}")
    return tuple(found)


def _numbers(columns: tuple[Column, ...], line: int, cells: Sequence[str], place: str) -> list[float]:
    if len(cells) > len(columns):
        raise DataError(
            f"{place}, line {line}, column {len(columns) + 1}: {len(cells)} cells, but the header names {len(columns)}"
        )
    padded = [*cells, *[""] * (len(columns) - len(cells))]
    return [_number(column, line, cell, place) for column, cell in zip(columns, padded, strict=True)]


def _number(column: Column, line: int, cell: str, place: str) -> float:
    where = f"{place}, line {line}, column {column.number} ({column.header})"
    if not cell:
        raise DataError(f"{where}: the cell is empty; give a number, or leave out the line")
    try:
        value = math.nan if "_" in cell else float(cell)
    except ValueError:
        value = math.nan
    if not abs(value) <= _LARGEST:
        raise DataError(f"{where}: {cell[:_SHOWN]!r} is not a finite number")
    return value
