"""NumPy's slicing rules for the two axes of a core."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np

from crossohm.errors import KeyRangeError, KeyTypeError


@final
@dataclass(frozen=True)
class Region:
    """Rows and columns of a matrix, and which of the two axes an integer key removed.

    Attributes:
        rows: Matrix rows, in the region's order.
        columns: Matrix columns, in the region's order.
        kept: Axes the region still has: ``(0, 1)``, ``(0,)``, ``(1,)`` or ``()``.
    """

    rows: np.ndarray
    columns: np.ndarray
    kept: tuple[int, ...] = (0, 1)

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Shape of the matrix, vector or scalar the region is."""
        sizes = (len(self.rows), len(self.columns))
        return tuple(sizes[axis] for axis in self.kept)

    def covers(self, shape: tuple[int, ...]) -> bool:
        """True if the region is the whole matrix of ``shape`` in its own order."""
        return self.kept == (0, 1) and all(map(is_whole, (self.rows, self.columns), shape))

    def select(self, key: Any) -> Region:
        """The part of this region that ``key`` addresses, by NumPy's rules for integers and slices.

        Raises:
            KeyTypeError: a key is neither an integer nor a slice.
            KeyRangeError: an index is out of range, or there are more keys than axes.
        """
        keys = _complete(key, len(self.kept))
        axes = [self.rows, self.columns]
        kept = []
        for axis, part in zip(self.kept, keys, strict=True):
            axes[axis] = _take(axes[axis], part)
            if isinstance(part, slice):
                kept.append(axis)
        return Region(axes[0], axes[1], tuple(kept))

    def matrix(self, full: np.ndarray) -> np.ndarray:
        """The region of ``full``, with integer axes removed."""
        return np.asarray(full[np.ix_(self.rows, self.columns)].reshape(self.shape))


def whole(shape: tuple[int, int]) -> Region:
    """The region that is all of a matrix."""
    return Region(np.arange(shape[0]), np.arange(shape[1]))


def is_whole(indices: np.ndarray, size: int) -> bool:
    """True if ``indices``, which slices and integers have selected, are all of an axis of that size, in order."""
    return len(indices) == size and bool(size == 0 or indices[0] == 0)  # evenly spaced: forwards or backwards


def _complete(key: Any, axes: int) -> tuple[Any, ...]:
    """One key per axis; an ellipsis and missing keys stand for whole axes."""
    keys = key if isinstance(key, tuple) else (key,)
    explicit = [part for part in keys if part is not Ellipsis]
    if len(explicit) > axes or len(keys) - len(explicit) > 1:
        raise KeyRangeError(f"index {key!r}: {len(explicit)} keys for {axes} axes; give at most one per axis")
    missing = (slice(None),) * (axes - len(explicit))
    at = next((i for i, part in enumerate(keys) if part is Ellipsis), len(keys))
    return (*keys[:at], *missing, *keys[at + 1 :])


def _take(indices: np.ndarray, key: Any) -> np.ndarray:
    if isinstance(key, slice):
        return indices[key]
    if isinstance(key, bool | np.bool_):
        raise KeyTypeError(f"index {key!r} is a truth value; cores accept integers and slices")
    try:
        position = operator.index(key)
    except TypeError:
        raise KeyTypeError(f"index {key!r} is of type {type(key).__name__}; cores accept integers and slices") from None
    if not -len(indices) <= position < len(indices):
        raise KeyRangeError(f"index {position} is out of range for an axis of length {len(indices)}")
    return indices[[position]]
