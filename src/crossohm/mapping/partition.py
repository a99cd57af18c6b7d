"""Cutting a matrix into pieces that fit physical arrays."""

from __future__ import annotations

from collections.abc import Sequence


def partition_lengths(length: int, cap: int, priority: Sequence[int] = (), fill: bool = False) -> tuple[int, ...]:
    """Sizes of the pieces of a line of ``length`` when an array holds at most ``cap``.

    Args:
        length: Rows or columns to place.
        cap: Most that fit in one array; 0 = no limit.
        priority: Divisors d; if ``length`` is a multiple of ``cap / d`` for one of them, arrays are filled in turn.
        fill: Fill arrays in turn (the last takes the rest) rather than evenly.

    Returns:
        Sizes that add up to ``length``, none above ``cap``; when not filling in turn, they differ by at most one.
    """
    if not cap or length <= cap:
        return (length,)
    count = -(-length // cap)
    if length % count == 0:
        return (length // count,) * count
    if fill or any(length % (cap / d) == 0 for d in priority):
        return (cap,) * (count - 1) + (length - cap * (count - 1),)
    size = round(length / count)
    rest = length - size * (count - 1)
    if 0 < rest <= cap and abs(rest - size) <= 1:
        return (size,) * (count - 1) + (rest,)
    small, larger = divmod(length, count)
    return (small,) * (count - larger) + (small + 1,) * larger


def partition(length: int, cap: int, priority: Sequence[int] = (), fill: bool = False) -> tuple[slice, ...]:
    """The pieces of `partition_lengths` as slices."""
    stops = []
    stop = 0
    for size in partition_lengths(length, cap, priority, fill):
        stop += size
        stops.append(slice(stop - size, stop))
    return tuple(stops)
