"""A cell described by tables of measurements instead of formulas."""

from __future__ import annotations

from typing import TypeVar, final

from crossohm._random import Draw
from crossohm.backends import Array, backend_of, is_array
from crossohm.devices.model import Cell, Device
from crossohm.devices.registry import device
from crossohm.devices.tables import CurrentTable, NoiseTable, ProgrammingTable, RetentionTable, RoleTable, table_of
from crossohm.devices.tables.interpolation import curve, surface
from crossohm.errors import DataError, ParameterError

Form = TypeVar("Form", bound=RoleTable)


@final
@device("table")
class TableDevice(Device):
    """Measurements of one's own cells: the CSV file ``xbar.device.<role>.path``, see `crossohm.devices.tables`.

    Between states, times and voltages that were measured, it interpolates; cells and times outside of them are refused.

    Source: the file.
    """

    source = "measurements in the file that xbar.device.<role>.path names"

    def check(self, role: str, cell: Cell) -> None:
        """The file is a table of this role, and has the states, the time and the voltage of the cell."""
        if cell.table is None:
            raise ParameterError(
                f"xbar.device.{role}.path", None, "the model 'table' needs a file of measurements",
                allowed="a CSV file", remedy=f"Set xbar.device.{role}.path",
            )  # fmt: skip
        try:
            table = table_of(cell.table, role)
        except DataError as error:
            raise ParameterError(f"xbar.device.{role}.path", cell.table.name, str(error)) from None
        table.check(cell)

    def programming_error(self, g: Array, cell: Cell, draw: Draw) -> Array:
        """Gaussian around the mean, or drawn from the quantiles, of the target."""
        table = _table(cell, ProgrammingTable)
        states = table.states * cell.r_min
        if table.levels is not None and table.quantiles is not None:
            return g + surface(draw.uniform(g), g, table.levels, states, table.quantiles * cell.r_min)
        sd, error = curve(g, states, table.sd * cell.r_min), curve(g, states, table.error * cell.r_min)
        return g + error + sd * draw.normal(g)

    def drift_error(self, g: Array, cell: Cell, draw: Draw) -> Array:
        """Gaussian around the mean of the target at the time."""
        table = _table(cell, RetentionTable)
        states = table.states * cell.r_min
        error, sd = (curve(g, states, values * cell.r_min) for values in table.at(cell.time))
        return g + error + sd * draw.normal(g)

    def read_noise_std(self, g: Array, cell: Cell) -> Array:
        """The standard deviation of the conductance."""
        table = _table(cell, NoiseTable)
        return curve(g, table.states * cell.r_min, table.sd * cell.r_min)

    def current(self, g: Array, v: Array, cell: Cell) -> Array:
        """That of an ohmic cell, times what the table has in parts of it."""
        table = _table(cell, CurrentTable)
        voltage = v if is_array(v) else 0 * g + v
        at = backend_of(g).xp.abs(voltage) if table.odd else voltage
        return g * voltage * surface(at, g, table.voltages / cell.v_read, table.states * cell.r_min, table.ratios)


def _table(cell: Cell, form: type[Form]) -> Form:
    assert cell.table is not None, "TableDevice.check has found it"
    table = table_of(cell.table, form.role)
    assert isinstance(table, form)
    return table
