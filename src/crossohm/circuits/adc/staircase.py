"""Fast evaluation of staircase functions: which of many thresholds lie below x, and the value that stands for it.

The axis is cut into equal bins. A bin knows how many thresholds lie below it, so only the few inside it have to be
compared: one comparison for nearly equidistant thresholds, never more than a binary search. Every decision equals
comparing ``x`` with the thresholds in exact arithmetic, also in float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np

from crossohm.backends import Array, backend_of

_BINS_PER_THRESHOLD = 2


@final
@dataclass(frozen=True, eq=False)
class Staircase:
    """One or several staircases over a common axis.

    Attributes:
        thresholds: (rows, n), each row ascending.
        values: (rows, n + 1): row r of x is ``values[r, k]`` if exactly k of its thresholds are < x.
    """

    thresholds: np.ndarray
    values: np.ndarray

    @property
    def rows(self) -> int:
        """Number of staircases."""
        return len(self.thresholds)

    def __call__(self, x: Array, row: np.ndarray | None = None) -> Array:
        """Evaluate at ``x``, float32 or float64.

        Args:
            x: Any shape.
            row: Which staircase each element uses, integers that broadcast against ``x``; None for row 0.
        """
        found = self.on(x)
        return found(x, None if row is None else backend_of(x).indices(row * found.bins, x))

    def on(self, like: Array) -> Lookup:
        """The staircase as arrays of the library, dtype and device of ``like``, float32 or float64."""
        backend = backend_of(like)
        table = self._single if backend.dtype_name(like) == "float32" else self._double
        return Lookup(
            bins=table.bins,
            steps=table.steps,
            low=backend.asarray(table.low, like),
            scale=backend.asarray(table.scale, like),
            start=backend.indices(table.start, like),
            thresholds=backend.asarray(table.thresholds, like),
            values=backend.asarray(table.values, like),
        )

    @cached_property
    def _single(self) -> Lookup:
        return _tabulate(self.thresholds, self.values, np.float32)

    @cached_property
    def _double(self) -> Lookup:
        return _tabulate(self.thresholds, self.values, np.float64)


@final
@dataclass(frozen=True, eq=False)
class Lookup:
    """Staircases laid out for look-up.

    Attributes:
        bins: Number of bins per row.
        steps: Strides of the search that remains within a bin.
        low: Start of the first bin.
        scale: Bins per unit of x.
        start: (rows * bins,) where the search for x in that bin begins in the flat arrays below.
        thresholds: (rows * width,), each row padded with infinities.
        values: (rows * width,)
    """

    bins: int
    steps: tuple[int, ...]
    low: Any
    scale: Any
    start: Array
    thresholds: Array
    values: Array

    def __call__(self, x: Array, first: Array | None = None) -> Array:
        """Evaluate at ``x``, of the library and dtype of the table.

        Args:
            x: Any shape.
            first: First bin of the staircase each element uses, integers that broadcast against ``x``; None: row 0.
        """
        backend = backend_of(x)
        position = backend.clip((x - self.low) * self.scale, 0, self.bins - 1)
        # fmax as well as clip: it replaces NaN, which must not become an index.
        bins = backend.astype(backend.xp.fmax(position, backend.xp.zeros_like(self.low)), "int64")
        index = backend.looked_up(self.start, bins if first is None else bins + first)
        for step in self.steps:
            probe = index + (step - 1) if step > 1 else index
            index = backend.xp.where(x > backend.looked_up(self.thresholds, probe), index + step, index)
        return backend.looked_up(self.values, index)


def _tabulate(thresholds: np.ndarray, values: np.ndarray, dtype: type[np.floating]) -> Lookup:
    rows, n = thresholds.shape
    low, high = float(thresholds.min()), float(thresholds.max())
    bins, scale = _BINS_PER_THRESHOLD * n, 0.0
    if high > low:
        scale = bins / (high - low)
    if not 0 < scale < float(np.finfo(dtype).max) ** 0.5:  # thresholds next to each other: no bins tell them apart
        bins, scale = 1, 0.0
    # The array library may round a position near the edge of a bin to either side of it.
    doubt = 8 * float(np.finfo(dtype).eps) * (bins + scale * max(abs(low), abs(high)))
    start, end = _occupancy((thresholds - low) * scale, bins, doubt)
    steps = tuple(2**k for k in reversed(range(max(int((end - start).max()), 1).bit_length())))
    padding = ((0, 0), (0, sum(steps)))
    flat = np.pad(_round_down(thresholds, dtype), padding, constant_values=np.inf)
    start = start + np.arange(rows)[:, None] * flat.shape[1]
    return Lookup(
        bins=bins,
        steps=steps,
        low=low,
        scale=scale,
        start=start.ravel(),
        thresholds=flat.ravel(),
        values=np.pad(values, ((0, 0), (0, sum(steps) - 1))).astype(dtype).ravel(),
    )


def _occupancy(positions: np.ndarray, bins: int, doubt: float) -> tuple[np.ndarray, np.ndarray]:
    """For each row and bin: thresholds certainly below the bin, and those not certainly above it."""
    edges = np.arange(bins)
    start = np.stack([np.searchsorted(row, edges - doubt) for row in positions])
    end = np.stack([np.searchsorted(row, edges + 1 + doubt) for row in positions])
    start[:, 0] = 0
    end[:, -1] = positions.shape[1]
    return start, end


def _round_down(thresholds: np.ndarray, dtype: type[np.floating]) -> np.ndarray:
    """The largest ``dtype`` numbers not above the thresholds: ``x > threshold`` is then the same for every such x."""
    rounded = thresholds.astype(dtype)
    return np.where(rounded > thresholds, np.nextafter(rounded, dtype(-np.inf)), rounded)
