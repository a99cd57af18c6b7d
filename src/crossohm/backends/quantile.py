"""Quantiles of sorted rows whose length is known."""

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
