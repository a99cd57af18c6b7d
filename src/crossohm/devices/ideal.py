"""The cell without imperfections."""

from __future__ import annotations

from typing import final

from crossohm._random import Draw
from crossohm.backends import Array, backend_of
from crossohm.devices.model import Cell, Device
from crossohm.devices.registry import device


@final
@device("IdealDevice")
class IdealDevice(Device):
    """Writes exactly, never drifts, reads without noise and obeys Ohm's law.

    Source: definition.
    """

    source = "definition"

    def programming_error(self, g: Array, cell: Cell, draw: Draw) -> Array:
        """The target itself."""
        return g

    def drift_error(self, g: Array, cell: Cell, draw: Draw) -> Array:
        """The target itself, at any time."""
        return g

    def read_noise_std(self, g: Array, cell: Cell) -> Array:
        """Zero everywhere."""
        return backend_of(g).xp.zeros_like(g)

    def current_coefficients(self, g: Array, cell: Cell) -> dict[int, Array]:
        """Ohm's law, ``g * v``."""
        return {1: g}
