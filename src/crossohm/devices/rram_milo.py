"""Resistive memory of Milo et al., programming error and current-voltage curve."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

from numpy.polynomial import Polynomial

from crossohm._random import Draw
from crossohm.backends import Array, backend_of
from crossohm.devices._published import check_g_max, check_v_read, polynomial, spread
from crossohm.devices.model import Cell, Device
from crossohm.devices.registry import device
from crossohm.errors import ParameterError

_SPREAD = (4.782321, -0.009107)  # uS, powers of the conductance in uS
_QUADRATIC = (0.007063, 0.005711, 0.001541, 0.0001388)  # A/V^2, powers of log10(G in S)
_CUBIC = (1.2968e-3, 6.7919e-4, 8.8710e-5)  # A/V^3, powers of log10(G in S)
_LINEAR_BELOW = 1e-9  # S
_LOWEST = 49.99  # uS


@final
@device("RRAMMilo")
class RRAMMilo(Device):
    """Programming spread and I-V curve of multilevel resistive memory.

    Spread: ``sigma = max(-0.009107 G + 4.782321, 0)``, in uS. Fitted for conductances from 50 to 225 uS, so an
    infinite on/off ratio is not possible; suggested on/off ratio 4.5.

    Current: ``I = G V + c2 V^2 + c3 V^3`` with c2 (A/V^2) cubic and c3 (A/V^3) quadratic in ``log10(G in S)``, zero
    for G below 1 nS. Valid for ``Vread <= 0.5 V``; measured from 62.5 to 110 uS, with an artificial linear point at
    225 uS. Drift and read noise are not modelled.

    Source: V. Milo et al., IEEE International Reliability Physics Symposium (2021).
    """

    source = "V. Milo et al., IEEE International Reliability Physics Symposium (2021)"

    def check(self, role: str, cell: Cell) -> None:
        """Conductances 50 to 225 uS for programming, Vread at most 0.5 V for the I-V curve."""
        if role == "nonlinear_IV":
            check_v_read("RRAMMilo", cell, 0.5001)
            return
        check_g_max("RRAMMilo", cell, 225.01)
        _check_g_min(cell)

    def programming_error(self, g: Array, cell: Cell, draw: Draw) -> Array:
        """Target plus Gaussian error."""
        return g + spread(_SPREAD, g, cell) * draw.normal(g)

    def current_coefficients(self, g: Array, cell: Cell) -> dict[int, Array]:
        """``g v + c2 Vread Rmin v^2 + c3 Vread^2 Rmin v^3``."""
        xp = backend_of(g).xp
        linear = g < _LINEAR_BELOW * cell.r_min
        logarithm = xp.log10(xp.where(linear, xp.ones_like(g), g))
        scale = cell.v_read * cell.r_min
        coefficients = {2: _about_g_max(_QUADRATIC, scale, cell), 3: _about_g_max(_CUBIC, scale * cell.v_read, cell)}
        higher = {power: polynomial(fit, logarithm) for power, fit in coefficients.items()}
        return {1: g} | {power: xp.where(linear, xp.zeros_like(g), value) for power, value in higher.items()}


def _about_g_max(coefficients: Sequence[float], scale: float, cell: Cell) -> list[float]:
    """The fit as a polynomial in ``log10(g)``, times ``scale``.

    Around ``log10(G in S) = -4`` the published terms cancel to three digits; around ``g = 1`` they do not.
    """
    shifted = Polynomial(coefficients)(Polynomial([-math.log10(cell.r_min), 1.0]))
    return [float(value) * scale for value in shifted.coef]


def _check_g_min(cell: Cell) -> None:
    if cell.rho * cell.g_max_microsiemens >= _LOWEST:
        return
    infinite = cell.rho == 0
    raise ParameterError(
        "xbar.device.infinite_on_off_ratio" if infinite else "xbar.device.Rmax",
        True if infinite else cell.r_min / cell.rho,
        f"the smallest conductance, {cell.rho * cell.g_max_microsiemens:.6g} uS, lies outside the range RRAMMilo "
        "was fitted for",
        allowed=f"1/Rmax >= {_LOWEST:g} uS, i.e. a finite on/off ratio with Rmax <= {1e6 / _LOWEST:.6g} ohm",
        remedy="Lower xbar.device.Rmax and keep infinite_on_off_ratio False",
    )
