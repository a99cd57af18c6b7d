"""Resistances of the wires of an array."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, final


@final
@dataclass(frozen=True)
class Wires:
    """Wire resistances of one array for one operation, divided by Rmin.

    Attributes:
        input: Per cell along an input line.
        output: Per cell along an output line.
        input_end: Extra, between the source and an input line.
        output_end: Extra, between an output line and its ammeter.
    """

    input: float = 0.0
    output: float = 0.0
    input_end: float = 0.0
    output_end: float = 0.0

    @property
    def mirrored(self) -> Wires:
        """Wires of the reciprocal network, in which sources and ammeters have changed places."""
        return Wires(self.output, self.input, self.output_end, self.input_end)

    def lengthened(self, unused: int, unused_at: Literal["top", "bottom"]) -> Wires:
        """Wires of gate-selected lines with unselected positions before the ammeter ("top") or after the supply."""
        if unused_at == "top":
            return replace(self, output_end=self.output_end + unused * self.output)
        return replace(self, input_end=self.input_end + unused * self.input)
