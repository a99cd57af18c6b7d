"""Groups of matrix rows that are evaluated one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from crossohm._random import Draw
from crossohm.backends import Array, backend_of
from crossohm.chain.running.readout import Readout


@final
@dataclass(frozen=True)
class StackedReadout(Readout):
    """The lines of several groups of rows, one group after another.

    Attributes:
        parts: A readout per group.
    """

    parts: tuple[Readout, ...]

    def currents(self, v: Array, draw: Draw | None, energy: Array | None = None) -> Array:
        return backend_of(v).xp.concat([part.currents(v, draw) for part in self.parts], axis=2)

    @property
    def reason(self) -> str:
        return f"{self.parts[0].reason}, for each of {len(self.parts)} groups"
