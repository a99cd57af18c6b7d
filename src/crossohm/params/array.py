"""Array circuit: wires and current limits. Group ``xbar.array``."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, final

from pydantic import Field

from crossohm.params.base import Count, Flag, Group, NonNegative

SliceNumbers = Annotated[list[Count], Field(strict=False)]


@final
class ParasiticsParameters(Group):
    """Wire resistances of the array. They take effect if enabled and at least one of them is not zero."""

    obsolete: ClassVar[dict[str, str]] = {"gate_input": "set current_from_input = not gate_input"}

    enable: Flag = False
    """Solve the circuit with wire resistances; False: ideal wires."""
    Rp_row: NonNegative = 0.0
    """Resistance of a row (input) wire between neighbouring cells, ohm. 0: ideal."""
    Rp_col: NonNegative = 0.0
    """Resistance of a column (output) wire between neighbouring cells, ohm. 0: ideal."""
    Rp_row_terminal: NonNegative = 0.0
    """Additional series resistance at the driven end of a row, ohm. 0: none."""
    Rp_col_terminal: NonNegative = 0.0
    """Additional series resistance at the sensed end of a column, ohm. 0: none."""
    current_from_input: Flag = True
    """True: the input line feeds the cells' currents. False: a separate supply does, the input only switches cells."""
    selected_rows: Literal["top", "bottom"] = "top"
    """Where the used cells are if the array has more rows than inputs; only with a separate supply."""
    disable_slices: SliceNumbers = Field(default_factory=list)
    """Slices of a BITSLICED weight whose wires are ideal, by number (0 = least significant)."""

    @property
    def effective(self) -> bool:
        """True if the circuit has to be solved."""
        return self.enable and any((self.Rp_row, self.Rp_col, self.Rp_row_terminal, self.Rp_col_terminal))


@final
class ArrayParameters(Group):
    """Array circuit."""

    Icol_max: NonNegative = 0.0
    """Limit of an output line's current, in currents of one cell at highest conductance and full input. 0: none."""
    parasitics: ParasiticsParameters = Field(default_factory=ParasiticsParameters)
    """Wire resistances."""
