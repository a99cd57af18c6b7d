"""Resistive memory of the NeuRRAM chip, programming error."""

from __future__ import annotations

from typing import final

from crossohm._random import Draw
from crossohm.backends import Array
from crossohm.devices._published import check_g_max, spread
from crossohm.devices.model import Cell, Device
from crossohm.devices.registry import device

_SPREAD = (1.053, 0.2374, -1.167e-2, 1.536e-4)  # uS, powers of the conductance in uS


@final
@device("RRAMWan")
class RRAMWan(Device):
    """Gaussian spread one second after programming of the resistive memory on the NeuRRAM chip.

    ``sigma = max(1.536e-4 G^3 - 1.167e-2 G^2 + 0.2374 G + 1.053, 0)``, in uS. Fitted for conductances up to
    39.26 uS. Later relaxation and read noise are not modelled.

    Source: W. Wan et al., Nature 608, 504 (2022), at t = 1 s.
    """

    source = "W. Wan et al., Nature 608, 504 (2022), at t = 1 s"

    def check(self, role: str, cell: Cell) -> None:
        """1/Rmin at most 39.26 uS."""
        check_g_max("RRAMWan", cell, 39.26)

    def programming_error(self, g: Array, cell: Cell, draw: Draw) -> Array:
        """Target plus Gaussian error."""
        return g + spread(_SPREAD, g, cell) * draw.normal(g)
