"""Converter ranges from recorded signals."""

from __future__ import annotations

from crossohm.calibration.histogram import StreamingHistogram
from crossohm.errors import CrossOhmError


def percentile_range(seen: StreamingHistogram, percent: float = 99.99, symmetric: bool = True) -> tuple[float, float]:
    """Range that holds the middle of the recorded values.

    Args:
        seen: The record.
        percent: Upper percentile; the lower one is ``100 - percent``.
        symmetric: Widen to ``(-x, x)``, so that a sign-magnitude converter has a level on zero.

    Raises:
        CrossOhmError: nothing was recorded, or ``percent`` is not above 50 and at most 100.
    """
    if not 50 < percent <= 100:
        raise CrossOhmError(f"percent = {percent}: the upper percentile of a range lies above 50, at most 100")
    low, high = seen.percentile(100 - percent), seen.percentile(percent)
    if symmetric:
        high = max(abs(low), abs(high))
        low = -high
    if low == high:  # a constant signal: keep a usable range around it
        return (-1.0, 1.0) if high == 0 else (low - abs(low), high + abs(high))
    return low, high
