"""A histogram that grows with its data: bounded memory, and merging loses nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import final

import numpy as np

from crossohm.errors import CrossOhmError, InputError

#: Smaller signals share the middle bins; keeps bin widths clear of subnormal numbers.
SMALLEST_EXPONENT = -1000

#: Values counted at a time: temporaries stay in the processor's cache.
_CHUNK = 1 << 15


@final
class StreamingHistogram:
    """Counts in equal bins over ``[-reach, reach]``; the reach doubles when larger values arrive.

    Bin edges depend only on the power of two reached, so histograms of any batches merge exactly, in any order.

    Args:
        bins: Number of bins, a multiple of four; a quantile is known to within ``2 * reach / bins``.

    Attributes:
        counts: Values in each bin, ``(bins,)``; zero belongs to the bin above it.
        zeros: How many values are exactly zero. Rectified and sparse signals have many, and a converter with a level
            on zero makes no error there.
        reach: Half the range covered, a power of two, or 0 while all values are zero.
        low: Smallest value.
        high: Largest value.
    """

    def __init__(self, bins: int = 4096) -> None:
        if bins < 4 or bins % 4:
            raise CrossOhmError(f"bins = {bins}: a streaming histogram needs a positive multiple of 4")
        self.counts = np.zeros(bins, dtype=np.int64)
        self.zeros = 0
        self.reach = 0.0
        self.low = np.inf
        self.high = -np.inf

    @property
    def total(self) -> int:
        """Number of values seen."""
        return int(self.counts.sum())

    def add(self, values: np.ndarray) -> None:
        """Count all elements of ``values``.

        Raises:
            InputError: a value is not finite.
        """
        if values.size == 0:
            return
        low, high = float(values.min()), float(values.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            raise InputError("a recorded signal holds NaN or infinity; check the inputs of the operation")
        self.low, self.high = min(self.low, low), max(self.high, high)
        self._cover(max(abs(low), abs(high)))
        flat = values.reshape(-1)
        for start in range(0, len(flat), _CHUNK):
            self._count(flat[start : start + _CHUNK])

    def _count(self, values: np.ndarray) -> None:
        """Count values within the reach, ``(n,)``."""
        self.zeros += len(values) - int(np.count_nonzero(values))
        half = len(self.counts) // 2
        if not self.reach:
            self.counts[half] += len(values)
            return
        scale = half / self.reach
        # In float64 and by a factor, not a quotient: exact where the number of bins is a power of two.
        place = np.multiply(values, scale, dtype=np.float64)
        np.floor(place, out=place)
        if scale < 1:
            place[(values < 0) & (place == 0)] = -1  # too small to survive the product
        place += half
        self.counts += np.bincount(place.astype(np.intp), minlength=len(self.counts))

    def merge(self, other: StreamingHistogram) -> None:
        """Add everything another histogram of as many bins has seen."""
        if len(other.counts) != len(self.counts):
            raise CrossOhmError(f"histograms of {len(self.counts)} and {len(other.counts)} bins do not merge")
        if not other.total:
            return
        self._cover(other.reach / 2)
        widened = other.widened(self.reach)
        self.counts += widened.counts
        self.zeros += other.zeros
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)

    def copy(self) -> StreamingHistogram:
        """An independent copy."""
        twin = StreamingHistogram(len(self.counts))
        twin.counts, twin.zeros = self.counts.copy(), self.zeros
        twin.reach, twin.low, twin.high = self.reach, self.low, self.high
        return twin

    def widened(self, reach: float) -> StreamingHistogram:
        """A copy that covers at least ``[-reach, reach]``; ``reach`` is that of another histogram."""
        twin = self.copy()
        twin._cover(reach / 2)
        return twin

    def percentile(self, percent: float) -> float:
        """Value below which ``percent`` % of the data lie, linear within a bin; 0 and 100 are exact.

        Raises:
            CrossOhmError: nothing was recorded, or ``percent`` is not within 0 to 100.
        """
        if not 0 <= percent <= 100:
            raise CrossOhmError(f"percent = {percent}: a percentile lies between 0 and 100")
        if not self.total:
            raise CrossOhmError("nothing was recorded; run at least one operation while profiling")
        if percent in (0, 100) or not self.reach:
            return self.low if percent < 50 else self.high
        cumulative = np.concatenate([[0], np.cumsum(self.counts)])
        edges = np.linspace(-self.reach, self.reach, len(self.counts) + 1)
        rank = percent / 100 * self.total
        bin_ = min(int(np.searchsorted(cumulative, rank, side="left")), len(self.counts)) or 1
        before, count = cumulative[bin_ - 1], self.counts[bin_ - 1]
        value = edges[bin_ - 1] + (edges[bin_] - edges[bin_ - 1]) * (rank - before) / max(count, 1)
        return float(np.clip(value, self.low, self.high))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Everything it knows as arrays, for files without pickle."""
        return {"counts": self.counts, "zeros": np.array([self.zeros], dtype=np.int64), "limits": self._limits}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> StreamingHistogram:
        """The histogram of `to_arrays`.

        Raises:
            CrossOhmError: the arrays do not describe a histogram.
        """
        counts, zeros, limits = arrays["counts"], arrays["zeros"], arrays["limits"]
        if counts.dtype != np.int64 or counts.ndim != 1 or limits.shape != (3,) or zeros.shape != (1,):
            raise CrossOhmError("these arrays are no histogram: counts (bins,) int64, zeros (1,), limits (3,) expected")
        found = cls(len(counts))
        found.counts, found.zeros = counts.copy(), int(zeros[0])
        found.reach, found.low, found.high = map(float, limits)
        return found

    @property
    def _limits(self) -> np.ndarray:
        return np.array([self.reach, self.low, self.high])

    def _cover(self, magnitude: float) -> None:
        """Double the reach until it exceeds ``magnitude``, joining bins pairwise."""
        if magnitude < self.reach or magnitude == 0:
            return
        wanted = math.ldexp(1.0, max(math.frexp(magnitude)[1], SMALLEST_EXPONENT))
        while self.total and 0 < self.reach < wanted:
            quarter = len(self.counts) // 4
            joined = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts = np.zeros_like(self.counts)
            self.counts[quarter : 3 * quarter] = joined
            self.reach *= 2
        self.reach = wanted
