"""Evaluating published fits, which come in microsiemens or nanoamperes, on normalised conductances."""

from __future__ import annotations

import math
from collections.abc import Sequence

from crossohm.backends import Array, backend_of
from crossohm.devices.model import Cell
from crossohm.errors import ParameterError


def rescaled(coefficients: Sequence[float], full_scale: float) -> list[float]:
    """Coefficients, lowest power first, of the same polynomial with both sides divided by ``full_scale``.

    In the normalised variable a degree-10 fit in nanoamperes neither overflows nor underflows in float32.
    """
    return [coefficient * full_scale ** (power - 1) for power, coefficient in enumerate(coefficients)]


def polynomial(coefficients: Sequence[float], x: Array) -> Array:
    """Horner's rule, in float64 where the array library allows it; returns the dtype of ``x``."""
    backend = backend_of(x)
    wide = backend.astype(x, "float64")
    total = backend.xp.zeros_like(wide) + coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        total = total * wide + coefficient
    return backend.astype(total, backend.dtype_name(x))


def at_least_zero(x: Array) -> Array:
    """A fitted standard deviation, which must not become negative where the fit does."""
    return backend_of(x).clip(x, 0.0, math.inf)


def spread(coefficients: Sequence[float], g: Array, cell: Cell) -> Array:
    """Normalised standard deviation at ``g`` from a polynomial fit in microsiemens, lowest power first."""
    return at_least_zero(polynomial(rescaled(coefficients, cell.g_max_microsiemens), g))


def check_g_max(model: str, cell: Cell, limit: float) -> None:
    """Raise `ParameterError` if the largest conductance exceeds ``limit`` microsiemens."""
    if cell.g_max_microsiemens <= limit:
        return
    raise ParameterError(
        "xbar.device.Rmin",
        cell.r_min,
        f"the largest conductance, 1/Rmin = {cell.g_max_microsiemens:.6g} uS, lies outside the range {model} "
        "was fitted for",
        allowed=f"1/Rmin <= {limit:g} uS, i.e. Rmin >= {1e6 / limit:.6g} ohm",
        remedy="Raise xbar.device.Rmin or choose a generic model",
    )


def check_v_read(model: str, cell: Cell, limit: float) -> None:
    """Raise `ParameterError` if the read voltage exceeds ``limit`` volt."""
    if cell.v_read <= limit:
        return
    raise ParameterError(
        "xbar.device.Vread",
        cell.v_read,
        f"the voltage lies outside the range of the I-V curve of {model}",
        allowed=f"Vread <= {limit:.4g} V",
        remedy="Lower xbar.device.Vread",
    )
