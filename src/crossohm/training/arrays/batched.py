"""Several writes in order, computed at once where that is exact, or where it is asked for.

A device whose changes neither depend on its state nor are limited by it ends, after several writes, where one sum of
the requests takes it; its noise is normal, with a variance that grows with the sum of the sizes of the requests. Other
devices are written one after the other, or, if asked for, by the mean and the variance of their changes at the states
before the writes: requests up and down are summed apart, since their separate effects are what drifts.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crossohm.training.arrays.cells import Cells

#: Largest relative change of a mean step within one sum of writes by moments.
GUARD = 0.05
#: Standard deviations from a limit beyond which noise is taken not to reach it.
FAR = 8.0


class _Sums(NamedTuple):
    """Sums of the requests up and of the sizes of those down."""

    up: NDArray[np.float64]
    down: NDArray[np.float64]


def write_in_order(
    cells: Cells,
    rows: NDArray[np.floating],
    columns: NDArray[np.floating],
    factor: float | NDArray[np.floating],
    arithmetic: str,
) -> None:
    """Outer-product writes, see `Cells.write_outer`, computed as ``arithmetic`` says, see `ArraySettings`.

    Args:
        cells: What is written.
        rows: Row operands ``(replicas, B, rows)``.
        columns: Column operands ``(replicas, B, columns)``.
        factor: Scale of the requests, or one for each replica.
        arithmetic: How writes are computed.
    """
    model = cells.model
    at_once = arithmetic == "moments" or (arithmetic == "exact" and model.additive and not cells.counted)
    if rows.shape[1] == 1 or not at_once:
        cells.write_outer(rows, columns, factor)
        return
    for replica, scale in enumerate(np.broadcast_to(factor, len(cells.seeds))):
        p, x = rows[replica].astype(np.float64) * scale, columns[replica].astype(np.float64)
        _at_once(cells, replica, p, x)
    cells.show()


def describe_writes(cells: Cells, arithmetic: str) -> str:
    """How the writes of a batch are computed, in words."""
    loop = "compiled" if cells.compiled else "by NumPy"
    if arithmetic == "moments":
        return f"a batch at once by mean and variance (approximate), split so that steps change by less than {GUARD:g}"
    if arithmetic == "exact" and cells.model.additive and not cells.counted:
        drawn = "" if cells.model.draws == "nothing" else ", noise drawn from the distribution of their sum"
        return f"a batch at once by one product{drawn}; devices near a limit one after the other, {loop}"
    return f"one after the other, {loop}"


def _at_once(cells: Cells, replica: int, p: NDArray[np.float64], x: NDArray[np.float64]) -> None:
    """Writes of one replica; a batch that changes steps too much is halved."""
    if p.shape[0] == 1:
        cells.write_outer_of(replica, p, x)
        return
    model, devices = cells.model, cells.devices[replica]
    sums = _summed(p, x)
    if not model.additive and _rms(sums.up + sums.down) * cells.steepness(replica) > GUARD:
        half = p.shape[0] // 2
        _at_once(cells, replica, p[:half], x[:half])
        _at_once(cells, replica, p[half:], x[half:])
        return
    state = cells.state[replica]
    w = state.astype(np.float64)
    moments = model.moments(w, devices)
    change = sums.up * moments.mean_up + sums.down * moments.mean_down
    variance = sums.up * moments.variance_up + sums.down * moments.variance_down
    way = sums.up * np.abs(moments.mean_up) + sums.down * np.abs(moments.mean_down) + FAR * np.sqrt(variance)
    low, high = model.limits(devices)
    near = (w - way < low) | (w + way > high)
    if variance.any():
        change += np.sqrt(variance) * cells.normals(replica)
    state[...] = np.where(near, w, w + change)
    if near.any():
        _one_by_one(cells, replica, p, x, near)


def _one_by_one(
    cells: Cells, replica: int, p: NDArray[np.float64], x: NDArray[np.float64], chosen: NDArray[np.bool_]
) -> None:
    """Writes of the chosen devices, exactly."""
    rows = chosen.any(axis=1)
    for row, column in zip(p, x, strict=True):
        cells.write_of(replica, np.where(chosen, np.outer(row * rows, column), 0.0))


def _summed(p: NDArray[np.float64], x: NDArray[np.float64]) -> _Sums:
    """Never the net: a request up and one down do not cancel in a device."""
    net, size = p.T @ x, np.abs(p).T @ np.abs(x)
    return _Sums(np.maximum(size + net, 0) / 2, np.maximum(size - net, 0) / 2)


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(values * values)))
