"""Which weights and inputs span the hardware's range."""

from __future__ import annotations

import numpy as np

from crossohm.params.core import mirrored

#: Range given to an all-zero matrix, so that division by it stays defined.
SMALLEST_LIMIT = float(np.finfo(np.float64).eps)


def magnitude_limit(values: np.ndarray, fraction: float) -> float:
    """Symmetric limit X holding a fraction of the values.

    ``fraction >= 1``: ``fraction * max|values|``. Below 1: the larger magnitude of the two percentiles
    ``100*fraction`` and ``100*(1 - fraction)`` of the signed values (linear interpolation).
    """
    if values.size == 0:
        return SMALLEST_LIMIT
    if fraction >= 1:
        limit = fraction * float(np.max(np.abs(values)))
    else:
        limit = float(np.max(np.abs(np.percentile(values, [100 * fraction, 100 - 100 * fraction]))))
    return limit or SMALLEST_LIMIT


def weight_limits(
    matrix: np.ndarray, low: float | None, high: float | None, percentile: float | None
) -> tuple[float, float]:
    """Lowest and highest weight the arrays represent, in the matrix's units.

    Args:
        matrix: The weights, any shape.
        low: Lower limit, or None for the mirror image of ``high``.
        high: Upper limit, or None for the mirror image of ``low``.
        percentile: Fraction of the data that defines a symmetric range instead; see `magnitude_limit`.
    """
    if percentile is not None:
        limit = magnitude_limit(matrix, percentile)
        return -limit, limit
    return mirrored(low, high)
