"""Phase-change memory of IBM, programming error."""

from __future__ import annotations

from typing import final

from crossohm._random import Draw
from crossohm.backends import Array
from crossohm.devices._published import check_g_max, spread
from crossohm.devices.model import Cell, Device
from crossohm.devices.registry import device

_SPREAD = (0.28638599, 0.07585724, -0.00178767)  # uS, powers of the conductance in uS


@final
@device("PCMJoshi")
class PCMJoshi(Device):
    """Gaussian spread after iterative programming of phase-change memory, a quadratic in the conductance.

    ``sigma = max(-0.00178767 G^2 + 0.07585724 G + 0.28638599, 0)``, in uS. Fitted for conductances up to 25 uS;
    suggested on/off ratio 100 (0.25 to 25 uS). Drift and read noise are not modelled.

    Source: V. Joshi et al., Nature Communications 11, 2473 (2020).
    """

    source = "V. Joshi et al., Nature Communications 11, 2473 (2020)"

    def check(self, role: str, cell: Cell) -> None:
        """1/Rmin at most 25 uS."""
        check_g_max("PCMJoshi", cell, 25.0)

    def programming_error(self, g: Array, cell: Cell, draw: Draw) -> Array:
        """Target plus Gaussian error."""
        return g + spread(_SPREAD, g, cell) * draw.normal(g)
