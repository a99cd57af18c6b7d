"""Look-ups in libraries whose arrays take arrays of integers as indices, and quantiles of rows of known length."""

from __future__ import annotations

from typing import Any

Array = Any


def between(ordered: Array, fraction: float) -> Array:
    """Interpolated entries of rows ``(rows, n)``; see `Backend.between`."""
    position = fraction * (ordered.shape[1] - 1)
    below = int(position)
    above = min(below + 1, ordered.shape[1] - 1)
    weight = position - below
    return ordered[:, below] * (1 - weight) + ordered[:, above] * weight


class Indexed:
    """A mixin of the adapters for such libraries."""

    def looked_up(self, table: Array, index: Array) -> Array:
        return table[index]

    def between(self, ordered: Array, fraction: float) -> Array:
        return between(ordered, fraction)
