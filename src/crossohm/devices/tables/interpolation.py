"""Linear interpolation in tables, in any array library; beyond the table its ends are held."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crossohm.backends import Array, backend_of

Numbers = NDArray[np.float64]


def curve(x: Array, knots: Numbers, values: Numbers) -> Array:
    """A function of one variable at ``x``.

    Args:
        x: Any shape.
        knots: Ascending, ``(n,)``.
        values: At the knots, ``(n,)``.
    """
    if knots.size == 1:
        return 0 * x + float(values[0])
    index, weight = _place(x, knots)
    table = backend_of(x).asarray(values, x)
    return _mixed(table, index, 1, weight, x)


def surface(x: Array, y: Array, x_knots: Numbers, y_knots: Numbers, values: Numbers) -> Array:
    """A function of two variables at ``x`` and ``y``, which broadcast.

    Args:
        x: Any shape.
        y: Any shape, of the library and dtype of ``x``.
        x_knots: Ascending, ``(n,)``, at least two.
        y_knots: Ascending, ``(m,)``.
        values: ``(n, m)``.
    """
    if y_knots.size == 1:
        return curve(x, x_knots, values[:, 0]) + 0 * y
    count = y_knots.size
    row, x_weight = _place(x, x_knots)
    column, y_weight = _place(y, y_knots)
    table, index = backend_of(x).asarray(values.reshape(-1), x), row * count + column
    lower, upper = (_mixed(table, index + step, count, x_weight, x) for step in (0, 1))
    return lower + (upper - lower) * y_weight


def _mixed(table: Array, index: Array, stride: int, weight: Array, like: Array) -> Array:
    """Between the entries at ``index`` and ``stride`` further on."""
    backend = backend_of(like)
    low = backend.looked_up(table, index)
    return low + (backend.looked_up(table, index + stride) - low) * weight


def _place(x: Array, knots: Numbers) -> tuple[Array, Array]:
    """The interval of each ``x`` and how far it lies in it, 0 to 1."""
    backend = backend_of(x)
    index = _interval(x, knots)
    start = backend.looked_up(backend.asarray(knots[:-1], x), index)
    slope = backend.looked_up(backend.asarray(1 / np.diff(knots), x), index)
    return index, backend.clip((x - start) * slope, 0.0, 1.0)


def _interval(x: Array, knots: Numbers) -> Array:
    """Number of inner knots below each ``x``, by bisection in steps of powers of two."""
    backend = backend_of(x)
    inner = knots[1:-1]
    steps = [2**power for power in reversed(range(inner.size.bit_length()))]
    padded = backend.asarray(np.concatenate([inner, np.full(sum(steps) + 1 - inner.size, np.inf)]), x)
    index = backend.astype(backend.xp.zeros_like(x), "int64")
    for step in steps:
        above = x > backend.looked_up(padded, index + (step - 1))
        index = backend.xp.where(above, index + step, index)
    return index
