"""SONOS charge-trap memory: programming error, retention and read noise.

The fits work on the cell current in nanoamperes at the read voltage, ``I = g * Imax`` with
``Imax = 1e9 * Vread / Rmin``. Their parameters are tabulated after 0 to 5 days; between the rows they are
interpolated linearly, beyond the last they are extrapolated linearly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from crossohm._random import Draw
from crossohm.backends import Array, backend_of
from crossohm.devices._published import at_least_zero, polynomial, rescaled
from crossohm.devices.model import Cell, Device
from crossohm.devices.registry import device
from crossohm.errors import ParameterError

_HIGHEST_CURRENT = 3200.0  # nA
_HIGHEST_AGED_CURRENT = 1800.0  # nA, not included


@dataclass(frozen=True)
class Retention:
    """State of the fit a time after programming.

    Attributes:
        spread: Largest standard deviation A, nA.
        corner: Current B at which the standard deviation saturates, nA.
        drift: Coefficients p_0 to p_10 of the mean shift ``sum_k p_k I^k``, nA.
    """

    spread: float
    corner: float
    drift: tuple[float, ...]


@dataclass(frozen=True)
class _Saturating:
    """Standard deviation ``amplitude * (1 - exp(-I / corner))``, both in nA."""

    amplitude: float
    corner: float

    def __call__(self, g: Array, cell: Cell) -> Array:
        i_max = cell.i_max_nanoampere
        rise = -backend_of(g).xp.expm1(g * (-i_max / self.corner))
        return at_least_zero((self.amplitude / i_max) * rise)


# fmt: off
RETENTION = (  # one row per day after programming, starting with day 0
    Retention(19.88665, 176.3115, (0.0,) * 11),
    Retention(25.59102, 186.85544, (
        1.72684e-01, 5.72552e-02, -6.85715e-04, 3.50271e-06, -9.37682e-09, 1.40575e-11, -1.19803e-14, 5.41293e-18,
        -8.85448e-22, -1.66869e-25, 5.95180e-29)),
    Retention(28.72753, 193.56834, (
        2.50712e-01, 6.62195e-02, -6.83218e-04, 2.99442e-06, -6.78255e-09, 7.70482e-12, -3.04983e-15, -2.15919e-18,
        2.94617e-21, -1.23359e-24, 1.85329e-28)),
    Retention(31.04318, 198.90332, (
        -1.75300e-02, 9.76883e-02, -9.63791e-04, 4.55551e-06, -1.22391e-08, 1.93786e-11, -1.85899e-14, 1.07659e-17,
        -3.58211e-21, 5.96785e-25, -3.30410e-29)),
    Retention(33.76214, 204.77023, (
        4.03338e-02, 1.03111e-01, -1.04740e-03, 4.83961e-06, -1.28132e-08, 1.99484e-11, -1.85139e-14, 1.00008e-17,
        -2.84944e-21, 3.01008e-25, 1.18747e-29)),
    Retention(34.57909, 207.34309, (
        3.19927e-01, 1.06596e-01, -1.04054e-03, 4.50290e-06, -1.10352e-08, 1.56477e-11, -1.27592e-14, 5.45513e-18,
        -7.26841e-22, -2.43893e-25, 7.14608e-29)),
)
# fmt: on

_READ_NOISE = _Saturating(12.58037, 215.36557)


def retention(time: float) -> Retention:
    """Parameters of the fit ``time`` days after programming."""
    day = min(int(time), len(RETENTION) - 2)
    fraction = time - day
    early, late = RETENTION[day], RETENTION[day + 1]

    def between(a: float, b: float) -> float:
        return a * (1 - fraction) + b * fraction

    return Retention(
        between(early.spread, late.spread),
        between(early.corner, late.corner),
        tuple(between(a, b) for a, b in zip(early.drift, late.drift, strict=True)),
    )


@final
@device("SONOS")
class SONOS(Device):
    """Charge-trap (SONOS) memory, time in days.

    Drift: the mean current moves to ``I + sum_k p_k(t) I^k``, k = 0 to 10, and spreads around it with the standard
    deviation ``A(t) (1 - exp(-I / B(t)))``, where I is the moved current. The programming error is the same at t = 0,
    where nothing has moved yet. Read noise has the standard deviation ``12.58037 (1 - exp(-I / 215.36557))`` nA.

    Measured up to 5 days; later times are linear extrapolations. Fitted for ``Imax = Vread/Rmin`` up to 3200 nA, for
    drift (t > 0) below 1800 nA. Suggested on/off ratio 1e7.

    Source: V. Agrawal et al., IEEE International Electron Devices Meeting (2022).
    """

    source = "V. Agrawal et al., IEEE International Electron Devices Meeting (2022)"

    def check(self, role: str, cell: Cell) -> None:
        """Imax at most 3200 nA; for drift with t > 0 below 1800 nA; positive voltage, no negative time."""
        if cell.v_read <= 0:
            raise ParameterError("xbar.device.Vread", cell.v_read, "SONOS needs a read voltage", allowed="Vread > 0 V")
        aged = role == "drift_error" and cell.time != 0
        if aged and cell.time < 0:
            raise ParameterError(
                "xbar.device.time", cell.time, "SONOS cannot age before it is written", allowed="days >= 0"
            )
        if aged and cell.i_max_nanoampere >= _HIGHEST_AGED_CURRENT:
            raise _current_too_high(cell, f"Imax < {_HIGHEST_AGED_CURRENT:g} nA for time > 0", _HIGHEST_AGED_CURRENT)
        if cell.i_max_nanoampere > _HIGHEST_CURRENT:
            raise _current_too_high(cell, f"Imax <= {_HIGHEST_CURRENT:g} nA", _HIGHEST_CURRENT)

    def programming_error(self, g: Array, cell: Cell, draw: Draw) -> Array:
        """The spread at t = 0."""
        return _aged(g, cell, RETENTION[0], draw)

    def drift_error(self, g: Array, cell: Cell, draw: Draw) -> Array:
        """Moved mean and spread after ``cell.time`` days."""
        return _aged(g, cell, retention(cell.time), draw)

    def read_noise_std(self, g: Array, cell: Cell) -> Array:
        """Saturates at 12.6 nA for large currents."""
        return _READ_NOISE(g, cell)


def _aged(g: Array, cell: Cell, state: Retention, draw: Draw) -> Array:
    moved = g + polynomial(rescaled(state.drift, cell.i_max_nanoampere), g)
    return moved + _Saturating(state.spread, state.corner)(moved, cell) * draw.normal(g)


def _current_too_high(cell: Cell, allowed: str, limit: float) -> ParameterError:
    return ParameterError(
        "xbar.device.Rmin",
        cell.r_min,
        f"the largest cell current, Imax = Vread/Rmin = {cell.i_max_nanoampere:.6g} nA, lies outside the range SONOS "
        "was fitted for",
        allowed=allowed,
        remedy=f"With xbar.device.Vread = {cell.v_read:g} V, raise xbar.device.Rmin above "
        f"{1e9 * cell.v_read / limit:.6g} ohm, or lower xbar.device.Vread",
    )
