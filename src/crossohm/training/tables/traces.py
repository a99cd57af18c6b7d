"""Ramps cut out of one long row of readings, in which SET and RESET pulses take turns.

Each function returns the SET ramps and the RESET ramps, in the order in which they were measured: a ramp is SET if its
last reading exceeds its first. What has fewer than two readings is left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crossohm.errors import InputError
from crossohm.training.checks import require_count, require_flag, require_number
from crossohm.training.tables.ramps import Ramp

Directions = tuple[list[Ramp], list[Ramp]]
"""SET ramps and RESET ramps."""


def split_by_number(trace: ArrayLike, pulses: int, *, shared: bool = False) -> Directions:
    """Ramps of so many readings each, one after the other.

    Args:
        trace: Conductances, siemens, shape ``(readings,)``.
        pulses: Readings of a ramp that it shares with no other.
        shared: A ramp begins with the last reading of the one before.

    Raises:
        InputError: the trace is no row of finite numbers.
    """
    values = _row(trace)
    require_count("pulses", pulses, at_least=1 if shared else 2)
    require_flag("shared", shared)
    starts = range(0, len(values), pulses)
    return _directions([values[max(start - shared, 0) : start + pulses] for start in starts])


def split_at_gaps(trace: ArrayLike, times: ArrayLike, gap: float = 100.0) -> Directions:
    """Ramps between pauses.

    Args:
        trace: Conductances, siemens, shape ``(readings,)``.
        times: When they were read, ascending, shape ``(readings,)``.
        gap: Longest time between two readings of one ramp, in the unit of the times.

    Raises:
        InputError: trace or times are no row of finite numbers, have different lengths, or times do not ascend.
    """
    values, instants = _row(trace), _row(times)
    require_number("gap", gap, above=0)
    if values.shape != instants.shape:
        raise InputError(f"{values.size} readings have {instants.size} times; one each wanted")
    pauses = np.diff(instants)
    if (pauses < 0).any():
        raise InputError(f"times do not ascend: number {int(np.argmax(pauses < 0)) + 2} is earlier than the one before")
    return _directions(np.split(values, np.flatnonzero(pauses > gap) + 1))


def split_at_limits(trace: ArrayLike, low: float, high: float) -> Directions:
    """Ramps of a device that is driven up until it exceeds ``high`` and down until it falls below ``low``.

    The reading beyond a limit is the last of its ramp and the first of the next.

    Args:
        trace: Conductances, siemens, shape ``(readings,)``.
        low: Lower limit, siemens.
        high: Upper limit, siemens.

    Raises:
        InputError: the trace is no row of finite numbers.
    """
    values = _row(trace)
    require_number("low", low)
    require_number("high", high, above=low)
    turns = [0]
    beyond = 0
    for place, value in enumerate(values):
        side = int(value > high) - int(value < low)
        if side and side != beyond:
            beyond = side
            turns.append(place)
    ends = [*turns[1:], len(values) - 1]
    return _directions([values[start : end + 1] for start, end in zip(turns, ends, strict=True)])


def _row(values: ArrayLike) -> NDArray[np.float64]:
    try:
        found = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"readings are no numbers ({error})") from error
    if found.ndim != 1 or not np.isfinite(found).all():
        raise InputError(f"readings of shape {found.shape}: a row of finite numbers wanted")
    return found


def _directions(ramps: Sequence[Ramp]) -> Directions:
    whole = [ramp for ramp in ramps if len(ramp) > 1]
    return [ramp for ramp in whole if ramp[-1] > ramp[0]], [ramp for ramp in whole if ramp[-1] <= ramp[0]]
