"""Equidistant converter levels, counted in steps.

A converter whose levels are equidistant is a change of unit, a rounding and a change of unit back. Whoever knows the
level spacing can move both changes of unit into a neighbouring linear map and is left with the rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from crossohm.backends import Array, backend_of


@final
@dataclass(frozen=True)
class Levels:
    """Levels ``low + k / density``, k = first..last; values in the middle of two go to even k.

    Attributes:
        low: Level 0.
        density: Levels per unit.
        first: Number of the lowest level.
        last: Number of the highest level.
    """

    low: float
    density: float
    first: int
    last: int

    @classmethod
    def between(cls, low: float, high: float, count: int) -> Levels:
        """``count`` levels from ``low`` to ``high``, both included."""
        return cls(low, (count - 1) / (high - low), 0, count - 1)

    @classmethod
    def around_zero(cls, limit: float, half: int) -> Levels:
        """``2 half + 1`` levels from ``-limit`` to ``limit``; zero is exact."""
        return cls(0.0, half / limit, -half, half)

    @property
    def count(self) -> int:
        """Number of levels."""
        return self.last - self.first + 1

    @property
    def step(self) -> float:
        """Distance of neighbouring levels."""
        return 1 / self.density

    @property
    def values(self) -> np.ndarray:
        """All levels, ascending."""
        return np.asarray(self.low + np.arange(self.first, self.last + 1) / self.density)

    def __call__(self, x: Array) -> Array:
        """The level next to each value, any shape; straight-through gradient."""
        above = x - self.low if self.low else x
        level = backend_of(x).round_within(above * self.density, self.first, self.last)
        level /= self.density
        if self.low:
            level += self.low
        return level

    def number(self, steps: Array) -> Array:
        """Number k of the level next to each value given in steps, ``x * density``; straight-through gradient.

        ``steps`` is consumed: its memory may hold the result.
        """
        if self.low:
            steps -= self.low * self.density
        return backend_of(steps).round_within(steps, self.first, self.last)
