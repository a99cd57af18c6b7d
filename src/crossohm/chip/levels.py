"""Levels that programmed cells can have, and the weights that they stand for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, final

import numpy as np

from crossohm.backends import Array, backend_of
from crossohm.chip.spec import Sign, require_count
from crossohm.circuits.levels import Levels
from crossohm.errors import ParameterError


def uniform_levels(bits: int, w_max: float = 1.0, sign: Sign = "pair") -> Levels:
    """Weights of cells with ``2^bits`` equidistant conductances; call it with weights to round them.

    One cell of a pair is always at its lowest conductance, so pairs have ``2^(bits + 1) - 1`` levels from ``-w_max`` to
    ``w_max``; single cells have ``2^bits`` from 0 to ``w_max``. What lies beyond goes to the last level. The gradient
    passes straight through inside.

    Raises:
        ParameterError: no bits, or no range.
    """
    require_count("bits", bits)
    if not w_max > 0:
        raise ParameterError("w_max", w_max, "is no range", allowed="> 0")
    steps = 2**bits - 1
    return Levels.around_zero(w_max, steps) if sign == "pair" else Levels.between(0.0, w_max, steps + 1)


@final
@dataclass(frozen=True)
class SaturatingLaw:
    """Cells whose conductance saturates, ``G(x) = (g_inf - g_min) (1 - exp(-x / tau)) + g_min``.

    Args:
        g_inf: Conductance that is approached.
        g_min: Conductance at ``x = 0``.
        tau: How fast.
        bits: The cell has ``2^bits`` levels: the conductances at as many ``x`` from ``g_min`` to ``g_inf``.
        spacing: Of these ``x``: ``"linear"`` or ``"log"``.

    Raises:
        ParameterError: ``0 < g_min < g_inf``, a positive ``tau``, bits or a known spacing are wanted.
    """

    g_inf: float = 1.0
    g_min: float = 1e-3
    tau: float = 0.5
    bits: int = 8
    spacing: Literal["linear", "log"] = "linear"

    def __post_init__(self) -> None:
        require_count("bits", self.bits)
        if not 0 < self.g_min < self.g_inf:
            raise ParameterError("g_min", self.g_min, "is out of range", allowed=f"> 0, < {self.g_inf} (g_inf)")
        if not self.tau > 0:
            raise ParameterError("tau", self.tau, "is out of range", allowed="> 0")
        if self.spacing not in ("linear", "log"):
            raise ParameterError("spacing", self.spacing, "is not known", allowed="linear, log")

    @cached_property
    def levels(self) -> np.ndarray:
        """All levels, ascending, ``(2^bits,)``."""
        spaced = np.linspace if self.spacing == "linear" else np.geomspace
        levels: np.ndarray = self.conductance(spaced(self.g_min, self.g_inf, 2**self.bits))
        return levels

    def conductance(self, x: Array) -> Array:
        """``G(x)``, any shape."""
        return (self.g_inf - self.g_min) * (1 - backend_of(x).xp.exp(-x / self.tau)) + self.g_min

    def __call__(self, x: Array) -> Array:
        """The largest level not above ``G(x)``, the lowest one below all levels; the gradient is that of ``G``."""
        backend, exact = backend_of(x), self.conductance(x)
        levels = backend.asarray(self.levels, x)
        above = backend.xp.searchsorted(levels, exact, side="right") - 1
        index = backend.xp.clip(above, 0, len(self.levels) - 1)
        return backend.straight_through(backend.looked_up(levels, index), exact)
