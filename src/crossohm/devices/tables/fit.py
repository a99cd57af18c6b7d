"""Which known model comes closest to a table of measurements."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from crossohm.devices.model import Cell, Device
from crossohm.devices.registry import DEVICES
from crossohm.devices.tables.forms import CurrentTable, NoiseTable, ProgrammingTable, RetentionTable, RoleTable
from crossohm.errors import CrossOhmError

Numbers = NDArray[np.float64]

#: Draws at equal distances of probability from which mean and deviation of a model follow.
_DRAWS = 2001
_DAYS = {"s": 86400.0, "min": 1440.0, "h": 24.0, "days": 1.0, "years": 1 / 365.25}


@final
@dataclass(frozen=True, eq=False)
class Fit:
    """A model beside a table.

    Attributes:
        model: Name of the model.
        magnitude: Strength that fits best; None where the model has none.
        residual: Root of the mean square of all differences, in parts of the highest conductance (or current).
        curves: What the model says where the table has numbers, shaped like `measured`; None if it does not hold there.
        problem: Why it does not hold there; empty if it does.
    """

    model: str
    magnitude: float | None = None
    residual: float = np.inf
    curves: Numbers | None = None
    problem: str = ""


def measured(table: RoleTable) -> Numbers:
    """What a table says, in parts of the highest conductance (or current).

    Returns:
        ``(2, rows, states)``: errors and deviations, rows being times; ``(1, voltages, states)`` of currents.
    """
    if isinstance(table, CurrentTable):
        return (table.ratios * table.voltages[:, None] * table.states)[None] / _full_scale(table)
    if isinstance(table, RetentionTable):
        return np.stack([table.errors, table.sds]) / _full_scale(table)
    if isinstance(table, ProgrammingTable):
        return np.stack([table.error, table.sd])[:, None] / _full_scale(table)
    assert isinstance(table, NoiseTable)
    return np.stack([np.zeros_like(table.sd), table.sd])[:, None] / _full_scale(table)


def fits(table: RoleTable, read_voltage: float = 0.1) -> list[Fit]:
    """Every registered model that has the role of a table, the best first, those that do not hold for its cells last.

    Models are asked for cells of the table's lowest to highest conductance, and for times in days.

    Args:
        table: The measurements.
        read_voltage: Of the cells, V; that of a table of currents is its highest.
    """
    cell = Cell(1 / float(table.states[-1]), float(table.states[0] / table.states[-1]), read_voltage)
    if isinstance(table, CurrentTable):
        cell = replace(cell, v_read=float(np.abs(table.voltages).max()))
    return sorted(_all(table, cell), key=lambda fit: fit.residual)


def _full_scale(table: RoleTable) -> float:
    highest = float(table.states[-1])
    return highest * float(np.abs(table.voltages).max()) if isinstance(table, CurrentTable) else highest


def _all(table: RoleTable, cell: Cell) -> Iterator[Fit]:
    target = measured(table)
    for name in DEVICES:
        model = DEVICES.create(name, "model")
        if name != "table" and model.models(table.role):
            try:
                yield _fit(name, model, table, cell, target)
            except CrossOhmError as error:
                yield Fit(name, problem=str(error))


def _fit(name: str, model: Device, table: RoleTable, cell: Cell, target: Numbers) -> Fit:
    unit = _curves(model, table, replace(cell, magnitude=1.0))
    if np.array_equal(unit, _curves(model, table, replace(cell, magnitude=2.0))):
        return Fit(name, None, _rms(unit - target), unit)
    magnitude = float(np.sum(unit[1] * target[1]) / np.sum(unit[1] ** 2))  # deviations are proportional to it
    found = _curves(model, table, replace(cell, magnitude=magnitude))
    return Fit(name, magnitude, _rms(found - target), found)


def _rms(difference: Numbers) -> float:
    return float(np.sqrt(np.mean(np.sum(difference**2, axis=0))))


def _curves(model: Device, table: RoleTable, cell: Cell) -> Numbers:
    """What a model says for the cells of a table."""
    states = table.states * cell.r_min
    if isinstance(table, CurrentTable):
        model.check(table.role, cell)
        g, v = np.broadcast_arrays(states, table.voltages[:, None] / cell.v_read)
        return np.asarray(model.current(g, v, cell))[None]
    times = table.times / _DAYS[table.unit] if isinstance(table, RetentionTable) else [0.0]
    rows = [_moments(model, table.role, states, replace(cell, time=float(time))) for time in times]
    return np.stack(rows, axis=1)


def _moments(model: Device, role: str, states: Numbers, cell: Cell) -> Numbers:
    """Mean error and deviation at every state, ``(2, states)``."""
    model.check(role, cell)
    g = np.broadcast_to(states[:, None], (states.size, _DRAWS))
    found = np.asarray(getattr(model, role)(g.copy(), cell, _Even()))
    return np.stack([found.mean(axis=1) - states, found.std(axis=1)])


@final
class _Even:
    """Draws that go through a distribution in equal steps, along the last axis."""

    def uniform(self, like: Any) -> Any:
        return np.broadcast_to((np.arange(like.shape[-1]) + 0.5) / like.shape[-1], like.shape)

    def normal(self, like: Any) -> Any:
        even = ndtri(self.uniform(like))
        return even / even.std()
