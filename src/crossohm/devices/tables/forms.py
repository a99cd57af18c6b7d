"""The table of each role: which columns it has, what must hold for them, and what it says between its rows.

All are functions of the state that a write asks for, in siemens. States and times outside of what was measured are
refused where hardware is made; within an array, cells beyond (off, or disturbed by another error) are as the nearest
state that was measured.
"""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Self, final

import numpy as np
from numpy.typing import NDArray

from crossohm._names import unknown
from crossohm.devices.model import Cell
from crossohm.devices.tables.columns import CONDUCTANCE, CURRENT, TIME, VOLTAGE, Column, Columns, read_columns
from crossohm.errors import DataError, ParameterError
from crossohm.params.measurements import Measurements

Numbers = NDArray[np.float64]

#: Relative to the largest: states that are closer are one, and limits may be missed by so much.
_CLOSE = 1e-6


@dataclass(frozen=True, eq=False)
class RoleTable(ABC):
    """Measurements of one role.

    Attributes:
        source: What the file says about where they come from.
        states: Conductances that were measured, ascending, S.
    """

    role: ClassVar[str]
    columns: ClassVar[str]

    source: str
    states: Numbers

    @classmethod
    @abstractmethod
    def of(cls, columns: Columns) -> Self:
        """The table in a file that has been read.

        Raises:
            DataError: it is not one of this role; names line and column.
        """

    def check(self, cell: Cell) -> None:
        """Refuse cells with states that were not measured.

        Raises:
            ParameterError: it names the range.
        """
        low, high, slack = self.states[0], self.states[-1], _CLOSE * self.states[-1]
        allowed = f"conductances from {1e6 * low:.6g} to {1e6 * high:.6g} uS"
        what = f"lies outside of what the table of {self.role} has"
        if 1 / cell.r_min > high + slack:
            raise ParameterError(
                "xbar.device.Rmin", cell.r_min, f"the highest conductance, {1e6 / cell.r_min:.6g} uS, {what}",
                allowed=allowed, remedy=f"Raise xbar.device.Rmin to {1 / high:.6g} ohm or more",
            )  # fmt: skip
        if cell.rho / cell.r_min < low - slack:
            path, value = ("infinite_on_off_ratio", True) if cell.rho == 0 else ("Rmax", cell.r_min / cell.rho)
            raise ParameterError(
                f"xbar.device.{path}", value, f"the lowest conductance, {1e6 * cell.rho / cell.r_min:.6g} uS, {what}",
                allowed=allowed, remedy=f"Set xbar.device.Rmax to {1 / low:.6g} ohm or less, and no infinite ratio",
            )  # fmt: skip


@final
@dataclass(frozen=True, eq=False)
class ProgrammingTable(RoleTable):
    """Conductance after a write: mean and deviation, or quantiles, by target.

    Attributes:
        error: Mean of conductance minus target, S; of quantiles, their mean.
        sd: Standard deviation, S; of quantiles, theirs.
        levels: Probabilities of the quantiles, 0 to 1; None: errors are Gaussian.
        quantiles: ``(levels, states)``, conductance minus target, S.
    """

    role = "programming_error"
    columns = "columns: conductance, sd and, unless it is the target, mean (or error); or conductance, q0, ..., q100"

    error: Numbers
    sd: Numbers
    levels: Numbers | None = None
    quantiles: Numbers | None = None

    @classmethod
    def of(cls, columns: Columns) -> Self:
        states = _ascending(columns, cls.columns)
        if any(_percent(column) is not None for column in columns.columns):
            _require_known(columns, ("conductance",), cls.columns, quantiles=True)
            levels, quantiles = _quantiles(columns, states)
            width = np.diff(levels)[:, None]
            low, high = quantiles[:-1], quantiles[1:]
            mean = ((low + high) / 2 * width).sum(0)  # of straight pieces of the inverse distribution
            square = ((low**2 + low * high + high**2) / 3 * width).sum(0)
            sd = np.sqrt(np.maximum(square - mean**2, 0))
            return cls(columns.source, states, mean, sd, levels, quantiles)
        _require_known(columns, ("conductance", "mean", "error", "sd"), cls.columns)
        return cls(columns.source, states, _error(columns, states), _deviation(columns, cls.columns))


@final
@dataclass(frozen=True, eq=False)
class NoiseTable(RoleTable):
    """Standard deviation of Gaussian read noise by conductance.

    Attributes:
        sd: Standard deviation, S.
    """

    role = "read_noise"
    columns = "columns: conductance, sd"

    sd: Numbers

    @classmethod
    def of(cls, columns: Columns) -> Self:
        _require_known(columns, ("conductance", "sd"), cls.columns)
        return cls(columns.source, _ascending(columns, cls.columns), _deviation(columns, cls.columns))


@final
@dataclass(frozen=True, eq=False)
class RetentionTable(RoleTable):
    """Conductance a time after a write, by time and target; programming error included.

    Attributes:
        unit: Of the times.
        times: Ascending, ``(times,)``.
        errors: Mean of conductance minus target, S, ``(times, states)``.
        sds: Standard deviation, S, ``(times, states)``.
    """

    role = "drift_error"
    columns = "columns: time, conductance, sd and mean (or error), a row for every state at every time"

    unit: str
    times: Numbers
    errors: Numbers
    sds: Numbers

    @classmethod
    def of(cls, columns: Columns) -> Self:
        _require_known(columns, ("time", "conductance", "mean", "error", "sd"), cls.columns)
        column, times = columns.find("time", TIME, cls.columns)
        columns.require(column, times >= 0, "is a time before the write")
        states = _conductances(columns, cls.columns)
        errors, sds = _error(columns, states, needed=cls.columns), _deviation(columns, cls.columns)
        grid = _Grid.of(columns, times, states, ("time", "conductance"))
        return cls(columns.source, grid.columns, column.unit, grid.rows, grid.filled(errors), grid.filled(sds))

    def check(self, cell: Cell) -> None:
        super().check(cell)
        first, last = self.times[0], self.times[-1]
        if not first * (1 - _CLOSE) <= cell.time <= last * (1 + _CLOSE):
            raise ParameterError(
                "xbar.device.time", cell.time, "outside of what the table of drift_error has",
                allowed=f"{first:g} to {last:g} {self.unit}",
            )  # fmt: skip

    def at(self, time: float) -> tuple[Numbers, Numbers]:
        """Error and deviation of every state at a time: straight in its logarithm, from time 0 in time itself."""
        late = int(np.clip(np.searchsorted(self.times, time), 1, max(self.times.size - 1, 1)))
        if self.times.size == 1:
            return self.errors[0], self.sds[0]
        start, end = float(self.times[late - 1]), float(self.times[late])
        part = time / end if start == 0 else math.log(max(time, start) / start) / math.log(end / start)
        share = min(part, 1.0)
        errors, sds = ((1 - share) * values[late - 1] + share * values[late] for values in (self.errors, self.sds))
        return errors, sds


@final
@dataclass(frozen=True, eq=False)
class CurrentTable(RoleTable):
    """Current by voltage and state.

    The state is the conductance at low voltages. What is interpolated is the current in parts of that of an ohmic cell
    of the state, which is 1 at no voltage.

    Attributes:
        voltages: Ascending, V, ``(voltages,)``, with 0 among them; not below it if curves are odd.
        ratios: Current over state and voltage, ``(voltages, states)``.
        odd: Only voltages of one sign were measured; those of the other carry the opposite current.
    """

    role = "nonlinear_IV"
    columns = "columns: conductance, voltage, current, a row for every state at every voltage"

    voltages: Numbers
    ratios: Numbers
    odd: bool

    @classmethod
    def of(cls, columns: Columns) -> Self:
        _require_known(columns, ("conductance", "voltage", "current"), cls.columns)
        states = _conductances(columns, cls.columns)
        columns.require(_column(columns, "conductance"), states > 0, "is no state with a curve; allowed: above 0")
        _, voltages = columns.find("voltage", VOLTAGE, cls.columns)
        column, currents = columns.find("current", CURRENT, cls.columns)
        still = voltages == 0
        columns.require(column, ~still | (currents == 0), "flows without a voltage; subtract what the meter is off by")
        columns.require(column, still | (currents * voltages >= 0), "flows against the voltage")
        ratios = np.where(still, 1.0, currents / np.where(still, 1.0, voltages * states))
        if not np.any(voltages > 0):
            voltages = -voltages  # measured on the other side only; curves are odd
        grid = _Grid.of(columns, voltages, states, ("voltage", "conductance"))
        at, table = grid.rows, grid.filled(ratios)
        if 0 not in at:
            place = int(np.searchsorted(at, 0))
            at, table = np.insert(at, place, 0.0), np.insert(table, place, 1.0, axis=0)
        if at.size < 2:
            raise DataError(f"{columns.place}: there is no voltage other than 0; {cls.columns}")
        return cls(columns.source, grid.columns, at, table, bool(at[0] == 0))

    @property
    def reach(self) -> float:
        """Highest voltage that was measured for both signs, V."""
        return float(self.voltages[-1] if self.odd else min(-self.voltages[0], self.voltages[-1]))

    def check(self, cell: Cell) -> None:
        super().check(cell)
        if cell.v_read > self.reach * (1 + _CLOSE):
            raise ParameterError(
                "xbar.device.Vread", cell.v_read, "outside of what the table of nonlinear_IV has",
                allowed=f"at most {self.reach:g} V",
            )  # fmt: skip


FORMS: dict[str, type[RoleTable]] = {
    form.role: form for form in (ProgrammingTable, RetentionTable, NoiseTable, CurrentTable)
}
"""The table of each role."""


def read_device_table(path: str | os.PathLike[str], role: str) -> RoleTable:
    """The table in a CSV file.

    Args:
        path: The file.
        role: One of `crossohm.devices.ROLES`.

    Raises:
        DataError: the file cannot be read, or is no table of this role; names line and column.
        UnknownNameError: there is no such role.
    """
    if role not in FORMS:
        raise unknown("role", role, FORMS, "role of a device")
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DataError(f"{path}, line {line}: not UTF-8 text (byte {error.start})") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    return table_of(Measurements(text, str(path)), role)


@lru_cache(maxsize=64)
def table_of(text: Measurements, role: str) -> RoleTable:
    """The table of a role in CSV text.

    Raises:
        DataError: it is none; names line and column.
    """
    return FORMS[role].of(read_columns(text.content, text.name))


@final
@dataclass(frozen=True, eq=False)
class _Grid:
    """Rows of a file as a grid of two of its columns.

    Attributes:
        rows: Values of the first, ascending.
        columns: Values of the second, ascending.
        place: Of every row of the file, in the grid.
    """

    rows: Numbers
    columns: Numbers
    place: tuple[NDArray[np.intp], NDArray[np.intp]]

    @classmethod
    def of(cls, file: Columns, first: Numbers, second: Numbers, names: tuple[str, str]) -> Self:
        """Raises DataError for a pair that is missing, or given twice."""
        (rows, row), (columns, column) = (_distinct(values) for values in (first, second))
        seen: dict[tuple[int, int], int] = {}
        for line, pair in zip(file.lines, zip(row.tolist(), column.tolist(), strict=True), strict=True):
            if pair in seen:
                raise DataError(
                    f"{file.place}, line {line}: the same {names[0]} and {names[1]} as in line {seen[pair]}"
                )
            seen[pair] = line
        missing = next(((i, j) for i in range(rows.size) for j in range(columns.size) if (i, j) not in seen), None)
        if missing:
            like, other = (
                int(np.flatnonzero(where == at)[0]) for where, at in zip((row, column), missing, strict=True)
            )
            raise DataError(
                f"{file.place}: there is no row for the {names[0]} of line {file.lines[like]} with the {names[1]} of "
                f"line {file.lines[other]}; give every {names[1]} at every {names[0]}"
            )
        return cls(rows, columns, (row, column))

    def filled(self, values: Numbers) -> Numbers:
        """Values of the file's rows on the grid."""
        grid = np.empty((self.rows.size, self.columns.size))
        grid[self.place] = values
        return grid


def _distinct(values: Numbers) -> tuple[Numbers, NDArray[np.intp]]:
    """Different values, ascending, and which of them each is; what rounding tells apart is one."""
    found = np.unique(values)
    kept = found[np.concatenate([[True], np.diff(found) > _CLOSE * np.abs(found[[0, -1]]).max()])]
    return kept, np.searchsorted(kept, values, side="right") - 1


def _column(columns: Columns, name: str) -> Column:
    return next(column for column in columns.columns if column.name == name)


def _conductances(columns: Columns, wanted: str) -> Numbers:
    column, states = columns.find("conductance", CONDUCTANCE, wanted)
    columns.require(column, states >= 0, "is a negative conductance")
    if not states.max() > 0:
        raise DataError(f"{columns.place}: all conductances are 0; give those of more states")
    return states


def _ascending(columns: Columns, wanted: str) -> Numbers:
    states = _conductances(columns, wanted)
    above = np.concatenate([[True], np.diff(states) > _CLOSE * states.max()])
    columns.require(_column(columns, "conductance"), above, "is not above the row before; sort rows by conductance")
    return states


def _deviation(columns: Columns, wanted: str) -> Numbers:
    column, values = columns.find("sd", CONDUCTANCE, wanted)
    columns.require(column, values >= 0, "is a negative standard deviation")
    return values


def _error(columns: Columns, states: Numbers, needed: str = "") -> Numbers:
    """Mean conductance minus target; zero where neither is given, unless it is needed."""
    names = columns.names()
    if "mean" in names and "error" in names:
        raise columns.wrong_header(_column(columns, "error"), "either mean or error, which is mean minus conductance")
    if "error" in names:
        return columns.find("error", CONDUCTANCE, needed)[1]
    if "mean" in names or needed:
        column, mean = columns.find("mean", CONDUCTANCE, needed)
        columns.require(column, mean >= 0, "is a negative conductance")
        return mean - states
    return np.zeros_like(states)


def _percent(column: Column) -> float | None:
    """The per cent of a column of quantiles, q0 to q100; None for others."""
    try:
        return float(column.name[1:]) if column.name[:1] == "q" and "_" not in column.name else None
    except ValueError:
        return None


def _quantiles(columns: Columns, states: Numbers) -> tuple[Numbers, Numbers]:
    """Probabilities, and conductance minus target at each."""
    chosen = [column for column in columns.columns if _percent(column) is not None]
    levels = np.array([_percent(column) for column in chosen], dtype=np.float64)
    for column, below, level in zip(chosen, [-math.inf, *levels[:-1]], levels, strict=True):
        if not (level > below and 0 <= level <= 100):
            raise columns.wrong_header(column, "quantiles ascend from q0 to q100, in per cent")
    if levels[0] != 0 or levels[-1] != 100:
        raise columns.wrong_header(
            chosen[-1 if levels[0] == 0 else 0], "the ends of the distribution, q0 and q100, are needed"
        )
    values = [columns.find(column.name, CONDUCTANCE, "")[1] for column in chosen]
    for column, lower, higher in zip(chosen[1:], values, values[1:], strict=False):
        columns.require(column, higher >= lower, "is below the quantile before it")
    columns.require(chosen[0], values[0] >= 0, "is a negative conductance")
    return levels / 100, np.stack(values) - states


def _require_known(columns: Columns, names: Sequence[str], wanted: str, *, quantiles: bool = False) -> None:
    """Refuse columns that such a table does not have: they would be passed over without a word."""
    for column in columns.columns:
        if column.name not in names and not (quantiles and _percent(column) is not None):
            raise columns.wrong_header(column, f"no column of such a table; {wanted}")
