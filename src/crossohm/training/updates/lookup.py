"""Devices known by tables of their measured pulses: every write draws from the measured distribution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np
from numpy.typing import NDArray

from crossohm.errors import ParameterError, warn_user
from crossohm.training.checks import require_count, require_flag, require_levels, require_number, require_one_of
from crossohm.training.tables.table import REGULAR, PulseTable
from crossohm.training.updates.model import Devices, Moments, UpdateModel, Window
from crossohm.training.updates.program import LOOKUP, Program
from crossohm.training.updates.registry import update_model
from crossohm.training.updates.stream import Law

#: Columns and probabilities of the common grid of several devices, unless another is asked for.
COMMON_GRID = (256, 64)
#: Error of the mean step on another grid, over the device's mean step, above which the user is told.
_TOLERATED = 0.01
#: Equal parts of [0, 1) in which the search for a probability begins at a known place.
_GUIDES = 1024


def _left(changes: NDArray[np.float64], cdf: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum over the left ends of the probabilities."""
    return np.diff(cdf) @ changes[:-1]


def _trapezoid(changes: NDArray[np.float64], cdf: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.trapezoid(changes, cdf, axis=0))


_MEANS = {"trapezoid": _trapezoid, "left": _left}


@update_model("lookup")
@final
@dataclass(frozen=True, eq=False)
class LookupUpdate(UpdateModel):
    r"""Writes drawn from tables of measured pulses, one device per table.

    States are conductances over the highest used one. A request ``d`` is worth ``s = d / ave`` average pulses of its
    direction; it changes the state by ``s m(w) + sqrt(s) e(q, w)``: the mean step of that state, and the deviation of
    the ``q``-quantile, whose variance grows with the change as in a random walk.

    Attributes:
        tables: The devices; of several, each cell has one, drawn at random. A single table may stand for itself.
        low: Lowest used conductance, as a fraction of the range of the tables.
        high: Highest used conductance, as a fraction of the range of the tables.
        write_noise: Draw deviations; False: every write is the mean one.
        nonlinear: Steps depend on the state; False: the mean change is what was asked for (a calibrated write).
        grid: Columns and probabilities that all tables are resampled to; None: their own if there is one table, else
            `COMMON_GRID`.
        mean: How the mean of a distribution is worked out: ``"trapezoid"``, the mean of what is drawn, or ``"left"``,
            CrossSim's sum over the left ends of the probabilities.
        levels: See `UpdateModel`.
        stochastic_levels: See `UpdateModel`.

    Raises:
        ParameterError: a parameter is out of its range.

    Warns:
        UserWarning: resampling changes a mean step by more than a percent of the device's average.
    """

    tables: Sequence[PulseTable] = ()
    low: float = 0.1
    high: float = 0.9
    write_noise: bool = True
    nonlinear: bool = True
    grid: Sequence[int] | None = None
    mean: str = "trapezoid"
    levels: int = 0
    stochastic_levels: bool = False

    source = "CrossSim 0.3 manual (Sandia), lookup tables; R. B. Jacobs-Gedrim et al., ICRC 2017"

    def __post_init__(self) -> None:
        tables = (self.tables,) if isinstance(self.tables, PulseTable) else tuple(self.tables)
        object.__setattr__(self, "tables", tables)
        if not tables or not all(isinstance(table, PulseTable) for table in tables):
            raise ParameterError(
                "tables", tables, "no devices", remedy="Read some: crossohm.training.tables.read_tables(path)"
            )
        require_number("low", self.low, at_least=0, at_most=1)
        require_number("high", self.high, above=self.low, at_most=1)
        require_flag("write_noise", self.write_noise)
        require_flag("nonlinear", self.nonlinear)
        if self.grid is not None:
            object.__setattr__(self, "grid", tuple(self.grid))
            if len(self.grid) != 2:
                raise ParameterError("grid", self.grid, "not a grid", allowed="(columns, probabilities)")
            for size in self.grid:
                require_count("grid", size, at_least=2)
        require_one_of("mean", self.mean, _MEANS, "mean of a distribution")
        require_levels(self.levels, self.stochastic_levels)

    @property
    def draws(self) -> Law:  # type: ignore[override]
        return "uniform" if self.write_noise else "nothing"

    @cached_property
    def window(self) -> Window:
        (low, unit), (floor, ceiling) = self._ends, self._extremes
        return Window(low / unit, 1.0, floor / unit, ceiling / unit)

    @cached_property
    def _extremes(self) -> tuple[float, float]:
        """Lowest and highest conductance of all tables."""
        return min(float(table.g[0]) for table in self.tables), max(float(table.g[-1]) for table in self.tables)

    @cached_property
    def _ends(self) -> tuple[float, float]:
        """Ends of the used range, in the unit of the tables."""
        first, last = self._extremes
        return first + self.low * (last - first), first + self.high * (last - first)

    @property
    def pulse(self) -> float:
        """Mean size of a step over the used range, both directions and all devices."""
        return float(np.abs(1 / self._program.grids[:, 2:]).mean())

    def devices(self, shape: tuple[int, ...], rng: np.random.Generator) -> Devices:
        """The table of each cell, ``"table"``; nothing to tell if there is one."""
        if len(self.tables) == 1:
            return {}
        return {"table": rng.integers(len(self.tables), size=shape, dtype=np.uint16)}

    def limits(self, devices: Devices) -> tuple[NDArray[np.floating] | float, NDArray[np.floating] | float]:
        """The ends of the tables; with levels, of each cell's own."""
        if not (self.levels and "table" in devices):
            return self.window.floor, self.window.ceiling
        ends = np.array([(table.g[0], table.g[-1]) for table in self.tables]) / self._ends[1]
        return ends[devices["table"], 0], ends[devices["table"], 1]

    def compiled(self) -> Program:
        return self._program

    @cached_property
    def _program(self) -> Program:
        """All tables on one grid, normalised."""
        regular = len(self.tables) == 1 and self.grid is None and self.tables[0].regular
        size = self.grid or (None if len(self.tables) == 1 else COMMON_GRID)
        resampled = [_resampled(table, size) for table in self.tables]
        unit = self._ends[1]
        means = np.stack([self._means(table) for table in resampled]) / unit
        errors = np.stack([[table.increasing.T, table.decreasing.T] for table in resampled]) / unit - means[..., None]
        grids = [
            (table.g[0] / unit, (table.g.size - 1) * unit / np.ptp(table.g), *(unit / self._average(original)))
            for table, original in zip(resampled, self.tables, strict=True)
        ]
        cdf = resampled[0].cdf
        guide = np.searchsorted(cdf, np.arange(_GUIDES) / _GUIDES, side="right") - 1
        steps = np.diff(cdf)
        return Program(
            LOOKUP,
            index="table" if len(self.tables) > 1 else "",
            grids=np.array(grids),
            means=means,
            errors=np.ascontiguousarray(errors, dtype=np.float32),
            nearest=regular,
            nonlinear=self.nonlinear,
            even=bool(np.ptp(steps) < REGULAR * steps.max()),
            cdf=cdf,
            density=1 / steps,
            guide=guide.astype(np.int32),
        )

    def _means(self, table: PulseTable) -> NDArray[np.float64]:
        """Mean steps ``(direction, column)`` in the unit of the table."""
        return np.stack([_MEANS[self.mean](changes, table.cdf) for changes in (table.increasing, table.decreasing)])

    def _average(self, table: PulseTable) -> NDArray[np.float64]:
        """Mean step up and down over the columns from the one nearest to each end of the used range, inclusive."""
        first, last = (int(np.abs(table.g - end).argmin()) for end in self._ends)
        return np.asarray(self._means(table)[:, first : last + 1].mean(axis=1))

    def step(
        self,
        w: NDArray[np.float64],
        request: NDArray[np.float64],
        drawn: NDArray[np.float64] | None,
        devices: Devices,
    ) -> NDArray[np.float64]:
        program = self._program
        table = devices["table"].astype(np.intp) if "table" in devices else np.zeros(w.shape, np.intp)
        direction = np.where(request > 0, 0, 1)
        first, second, part = self._columns(w, table)
        low = program.means[table, direction, first]
        mean = low + part * (program.means[table, direction, second] - low)
        pulses = request * program.grids[table, 2 + direction]
        if self.nonlinear:
            change = pulses * mean
        else:
            change = request
            with np.errstate(divide="ignore"):
                pulses = np.where(mean * request > 0, request / mean, pulses)
        if drawn is not None:
            change = change + np.sqrt(pulses) * self._error(table, direction, first, second, part, drawn)
        return np.asarray(w + change)

    def _columns(
        self, w: NDArray[np.float64], table: NDArray[np.intp]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
        """Columns of the tables on either side of each state, and where between them it is."""
        program = self._program
        columns = program.means.shape[2]
        x = (w - program.grids[table, 0]) * program.grids[table, 1]
        if program.nearest:
            nearest = np.clip(np.floor(x + 0.5), 0, columns - 1).astype(np.intp)
            return nearest, nearest, np.zeros_like(w)
        x = np.clip(x, 0, columns - 1)
        first = np.minimum(x.astype(np.intp), columns - 2)
        return first, first + 1, x - first

    def _error(
        self,
        table: NDArray[np.intp],
        direction: NDArray[np.intp],
        first: NDArray[np.intp],
        second: NDArray[np.intp],
        part: NDArray[np.float64],
        drawn: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Deviation from the mean at the drawn probabilities, linear between quantiles and columns."""
        program = self._program
        if program.even:
            place = drawn * (program.cdf.size - 1)
            cell = place.astype(np.intp)
            share = place - cell
        else:
            cell = np.clip(np.searchsorted(program.cdf, drawn, side="right") - 1, 0, program.cdf.size - 2)
            share = (drawn - program.cdf[cell]) * program.density[cell]

        def at(column: NDArray[np.intp]) -> NDArray[np.float64]:
            low, high = (program.errors[table, direction, column, cell + k].astype(np.float64) for k in (0, 1))
            return np.asarray(low + share * (high - low))

        near = at(first)
        return near if program.nearest else near + part * (at(second) - near)

    def moments(self, w: NDArray[np.float64], devices: Devices) -> Moments:
        program = self._program
        table = devices["table"].astype(np.intp) if "table" in devices else np.zeros(w.shape, np.intp)
        first, second, part = self._columns(w, table)
        found = []
        for direction in (0, 1):
            low, high = (program.means[table, direction, column] for column in (first, second))
            per = np.abs(program.grids[table, 2 + direction])
            of = [moment[table, direction, first] for moment in self._seconds]
            variance = (1 - part) ** 2 * of[0] + 2 * part * (1 - part) * of[1] + part**2 * of[2]
            found += [(low + part * (high - low)) * per, variance * per if self.write_noise else np.zeros_like(w)]
        if not self.nonlinear:
            found[0], found[2] = np.ones_like(w), -np.ones_like(w)
        return Moments(*found)

    @cached_property
    def _seconds(self) -> list[NDArray[np.float64]]:
        """Variance of a pulse in each column, its covariance with that in the next, and the variance there.

        Each ``(table, direction, column)``. One probability is drawn for both columns; quantiles are linear between
        probabilities.
        """
        low, high = (self._program.errors[..., part].astype(np.float64) for part in (slice(-1), slice(1, None)))
        next_low, next_high = (np.concatenate([of[:, :, 1:], of[:, :, -1:]], axis=2) for of in (low, high))
        pairs = (low, high, low, high), (low, high, next_low, next_high), (next_low, next_high) * 2
        return [(2 * a * c + a * d + b * c + 2 * b * d) @ (np.diff(self._program.cdf) / 6) for a, b, c, d in pairs]


def _resampled(table: PulseTable, size: Sequence[int] | None) -> PulseTable:
    """A table on equally spaced conductances, and on ``size`` columns and probabilities if given."""
    even = np.ptp(np.diff(table.g)) < REGULAR * np.diff(table.g).max()
    if size is None and even:
        return table
    columns, probabilities = size or (4 * table.g.size, table.cdf.size)
    g = np.linspace(table.g[0], table.g[-1], columns)
    cdf = np.linspace(0, 1, probabilities) if size else table.cdf

    def moved(changes: NDArray[np.float64]) -> NDArray[np.float64]:
        along = np.stack([np.interp(cdf, table.cdf, column) for column in changes.T])
        return np.stack([np.interp(g, table.g, row) for row in along.T])

    found = PulseTable(g, cdf, moved(table.increasing), moved(table.decreasing), table.title)
    for mine, others in ((table.mean_up, found.mean_up), (table.mean_down, found.mean_down)):
        error = np.abs(np.interp(table.g, g, others) - mine).max() / np.abs(mine).mean()
        if error > _TOLERATED:
            warn_user(
                f"pulse table {table.title!r} on {columns} conductances and {probabilities} probabilities: mean steps "
                f"are off by up to {error:.1%} of the average one; give a finer grid=(columns, probabilities)"
            )
    return found
