"""What a histogram says about a signal, as a density whose integrals have closed forms.

The density is constant within a bin, except that the outermost bins end at the smallest and largest value seen, and
that zeros, and signals with one value only, are points. Integrals of ``x**k`` up to any ``t`` then follow from sums
kept at the bin edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np
from numpy.typing import NDArray

from crossohm.chain.inspection.histogram import StreamingHistogram
from crossohm.errors import CrossOhmError

Floats = NDArray[np.float64]

#: Narrower parts of a bin are points.
_POINT = 1e-6


@final
class Density:
    """A signal's density, of total mass one.

    Args:
        seen: Records of the signal, of as many bins each; those without a value do not matter.
        weights: How much a value of each record counts; by default all the same.

    Attributes:
        low: Smallest value.
        high: Largest value.
        total: Sum of the weights of all values.
        resolution: Width of a bin.
        points: Values that carry mass of their own, ``(points,)``.
        masses: Their masses, ``(points,)``.

    Raises:
        CrossOhmError: nothing was recorded.
    """

    def __init__(self, seen: Sequence[StreamingHistogram], weights: Sequence[float] | None = None) -> None:
        given = zip(seen, [1.0] * len(seen) if weights is None else weights, strict=True)
        pairs = [(record, weight) for record, weight in given if record.total]
        if not pairs:
            raise CrossOhmError("nothing was recorded; run at least one operation while profiling")
        self.total = float(sum(record.total * weight for record, weight in pairs))
        self.low, self.high = min(r.low for r, _ in pairs), max(r.high for r, _ in pairs)
        reach, bins = max(record.reach for record, _ in pairs), len(pairs[0][0].counts)
        masses, zeros = np.zeros(bins), 0.0
        for record, weight in pairs:
            counts = record.widened(reach).counts
            counts[bins // 2] -= record.zeros
            masses += counts * (weight / self.total)
            zeros += record.zeros * (weight / self.total)
        self.resolution = 2 * reach / bins
        self.points, self.masses = np.zeros(1), np.array([zeros])
        self._spread(masses, reach)

    @property
    def reach(self) -> float:
        """Largest magnitude."""
        return max(abs(self.low), abs(self.high))

    def mean(self, power: int) -> float:
        """Mean of ``|x|**power`` for ``power`` 1 or 2."""
        return float(self.outside(np.zeros(1), np.zeros(1), power)[0])

    def integral(self, power: int, t: Floats) -> Floats:
        """Integral of ``x**power`` up to ``t`` over the mass that is spread over bins.

        Args:
            power: 0, 1 or 2.
            t: Any shape; infinity for the integral over everything.
        """
        inside = np.clip(t, self._edges[0], self._edges[-1])
        place = (np.clip(inside - self._start, 0, None) * self._per_bin).astype(np.intp)
        np.minimum(place, len(self._heights) - 1, out=place)
        grown = inside ** (power + 1) - self._powers[power][place]
        found: Floats = self._sums[power][place] + self._heights[place] * (grown / (power + 1))
        return found

    def outside(self, low: Floats, high: Floats, power: int) -> Floats:
        """Mean of the distance to ``[low, high]``, to the power 1 or 2; limits and result have shape ``(n,)``."""
        gaps = np.maximum(low[:, np.newaxis] - self.points, 0) + np.maximum(self.points - high[:, np.newaxis], 0)
        return self.tails(low, high, power) + gaps**power @ self.masses

    def tails(self, low: Floats, high: Floats, power: int) -> Floats:
        """The part of `outside` that is spread over bins."""
        below = [self.integral(k, low) for k in range(power + 1)]
        above = [self._sums[k, -1] - self.integral(k, high) for k in range(power + 1)]
        if power == 1:
            found = low * below[0] - below[1] + above[1] - high * above[0]
        else:
            found = _about(low, below) + _about(high, above)
        return np.maximum(found, 0)

    def _spread(self, masses: Floats, reach: float) -> None:
        """Lay masses over bins: edges, densities, and sums of mass, first and second moment at the edges."""
        used = np.flatnonzero(masses)
        first, last = (int(used[0]), int(used[-1])) if len(used) else (0, 0)
        edges = -reach + self.resolution * np.arange(first, last + 2)
        self._start = float(edges[0])
        self._per_bin = 1 / self.resolution if self.resolution else 0.0
        edges = np.clip(edges, self.low, self.high)
        widths = np.diff(edges)
        inside = masses[first : last + 1]
        narrow = widths <= _POINT * self.resolution  # all values of an outermost bin are the largest or smallest one
        self.points = np.concatenate([self.points, edges[:-1][narrow]])
        self.masses = np.concatenate([self.masses, inside[narrow]])
        self._edges, self._heights = edges, np.where(narrow, 0.0, inside / np.where(narrow, 1.0, widths))
        self._powers = [edges[:-1] ** (k + 1) for k in range(3)]
        steps = [self._heights * np.diff(edges ** (k + 1)) / (k + 1) for k in range(3)]
        self._sums = np.concatenate([np.zeros((3, 1)), np.cumsum(steps, axis=1)], axis=1)


def _about(limit: Floats, sums: Sequence[Floats]) -> Floats:
    """Second moment about ``limit`` from mass, first and second moment about zero."""
    return np.where(sums[0] > 0, sums[2] - 2 * limit * sums[1] + limit**2 * sums[0], 0.0)
