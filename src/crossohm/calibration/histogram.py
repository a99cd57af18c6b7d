"""A histogram that grows with its data: bounded memory, and merging loses nothing."""

from __future__ import annotations

import math
from typing import final

import numpy as np

from crossohm.errors import CrossOhmError, InputError

#: Smaller signals share the middle bins; keeps bin widths clear of subnormal numbers.
SMALLEST_EXPONENT = -1000


@final
class StreamingHistogram:
    """Counts in equal bins over ``[-reach, reach]``; the reach doubles when larger values arrive.

    Bin edges depend only on the power of two reached, so histograms of any batches merge exactly, in any order.

    Args:
        bins: Number of bins, a multiple of four; a quantile is known to within ``2 * reach / bins``.
    """

    def __init__(self, bins: int = 4096) -> None:
        if bins < 4 or bins % 4:
            raise CrossOhmError(f"bins = {bins}: a streaming histogram needs a positive multiple of 4")
        self.counts = np.zeros(bins, dtype=np.int64)
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
        half = len(self.counts) // 2
        flat = values.reshape(-1)
        index = np.floor(flat / self.reach * half).astype(np.int64) if self.reach else np.zeros(flat.shape, np.int64)
        index[(flat < 0) & (index == 0)] = -1  # negative numbers too small to survive the division
        np.clip(index + half, 0, len(self.counts) - 1, out=index)
        self.counts += np.bincount(index, minlength=len(self.counts))

    def merge(self, other: StreamingHistogram) -> None:
        """Add everything another histogram of as many bins has seen."""
        if len(other.counts) != len(self.counts):
            raise CrossOhmError(f"histograms of {len(self.counts)} and {len(other.counts)} bins do not merge")
        if not other.total:
            return
        self._cover(other.reach / 2)
        widened = other.copy()
        widened._cover(self.reach / 2)
        self.counts += widened.counts
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)

    def copy(self) -> StreamingHistogram:
        """An independent copy."""
        twin = StreamingHistogram(len(self.counts))
        twin.counts, twin.reach, twin.low, twin.high = self.counts.copy(), self.reach, self.low, self.high
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
