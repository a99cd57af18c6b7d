"""A cell with a cubic current-voltage curve, to see what nonlinearity does."""

from __future__ import annotations

from typing import final

from crossohm.backends import Array
from crossohm.devices._published import check_v_read
from crossohm.devices.model import Cell, Device
from crossohm.devices.registry import device

_CUBIC_PER_SQUARE_VOLT = -0.25


@final
@device("CubicDevice")
class CubicDevice(Device):
    """Current ``I = G (V - 0.25 V^3)``, V in volt.

    Valid for ``Vread <= 2 V``, beyond which the current would change sign.

    Source: illustrative, not a measured device.
    """

    source = "illustrative, not a measured device"

    def check(self, role: str, cell: Cell) -> None:
        """Vread at most 2 V."""
        check_v_read("CubicDevice", cell, 2.00001)

    def current_coefficients(self, g: Array, cell: Cell) -> dict[int, Array]:
        """``g (v - 0.25 Vread^2 v^3)``."""
        return {1: g, 3: (_CUBIC_PER_SQUARE_VOLT * cell.v_read**2) * g}
