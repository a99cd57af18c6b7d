"""What a converter's range costs: the mean error of quantising and clipping, in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from crossohm.calibration.density import Density, Floats
from crossohm.calibration.scale import Scale

#: Beyond so many levels the error within a bin of the density is that of a uniform one: no sum over levels is needed.
_MANY_LEVELS = 2048
#: Most level positions evaluated at a time (8 MB).
_CHUNK = 1 << 20


@final
@dataclass(frozen=True, eq=False)
class ConversionLoss:
    """Mean of ``|x - Q(x)|**power`` for a signal ``x`` and the nearest level ``Q(x)`` of a converter.

    Attributes:
        signal: The signal.
        scale: The converter.
        power: 1 or 2.
        floors: For signals of which values below some floor have no effect: the density of the floors of the values
            left out of ``signal``. A lower limit above a floor lifts such values to it, which has an effect.
    """

    signal: Density
    scale: Scale
    power: int
    floors: Density | None = None

    def __call__(self, low: Floats, high: Floats) -> Floats:
        """The loss of ranges of shape ``(n,)``."""
        first, step = self.scale.steps(low, high)
        inner = self._uniform if self.scale.levels > _MANY_LEVELS else self._level_by_level
        size = max(1, _CHUNK // min(self.scale.levels, _MANY_LEVELS))
        parts = [inner(first[i : i + size], step[i : i + size]) for i in range(0, len(first), size)]
        found = np.concatenate(parts) + self._at_points(first, step)
        if self.floors is None:
            return found
        lifted = self.floors.outside(low, np.full_like(low, self.floors.high), self.power)
        share = self.signal.total / (self.signal.total + self.floors.total)
        return found * share + lifted * (1 - share)

    def relative(self, low: float, high: float) -> float:
        """Error over signal, both as the mean of their ``power``, to the power ``1 / power``; 0 for no signal."""
        signal = self.signal.mean(self.power)
        loss = float(self(np.array([low]), np.array([high]))[0])
        return float((loss / signal) ** (1 / self.power)) if signal else 0.0

    def _level_by_level(self, first: Floats, step: Floats) -> Floats:
        """Exact for the density: moments of the values that become each level."""
        levels = first[:, np.newaxis] + step[:, np.newaxis] * np.arange(self.scale.levels)
        edges = levels[:, :-1] + step[:, np.newaxis] / 2
        ends = np.full((len(first), 1), np.inf)
        edges = np.concatenate([-ends, edges, ends], axis=1)
        mass, mean = (self.signal.integral(k, edges) for k in range(2))
        if self.power == 2:
            total = self.signal.integral(2, np.full(1, np.inf))
            spread = np.sum(levels * (levels * np.diff(mass) - 2 * np.diff(mean)), axis=1) + total
        else:
            mass_at, mean_at = (2 * self.signal.integral(k, levels) for k in range(2))
            above_below = mean[:, 1:] + mean[:, :-1] - mean_at
            spread = np.sum(above_below - levels * (mass[:, 1:] + mass[:, :-1] - mass_at), axis=1)
        return np.maximum(spread, 0.0)  # rounding of a difference of sums

    def _uniform(self, first: Floats, step: Floats) -> Floats:
        """Clipping exactly, and within the range the error of a density that is even over a step."""
        last = first + step * (self.scale.levels - 1)
        inside = self.signal.integral(0, last) - self.signal.integral(0, first)
        clipped = self.signal.tails(first, last, self.power)
        return clipped + inside * step**self.power / (12 if self.power == 2 else 4)

    def _at_points(self, first: Floats, step: Floats) -> Floats:
        """The part of single values that carry mass."""
        points = self.signal.points
        code = np.rint((points - first[:, np.newaxis]) / step[:, np.newaxis])
        level = first[:, np.newaxis] + np.clip(code, 0, self.scale.levels - 1) * step[:, np.newaxis]
        return np.asarray(np.abs(points - level) ** self.power @ self.signal.masses)
