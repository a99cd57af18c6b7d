"""Writes in NumPy: right for every model, and the twin that compiled writes are checked against."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from crossohm.training.updates.model import Devices, UpdateModel
from crossohm.training.updates.stream import DrawStream

#: Requests held at a time.
REQUESTS = 1 << 20

Streams = tuple[DrawStream, DrawStream, DrawStream]
"""What steps draw, what the rounding of pulse counts draws, what the rounding to levels draws."""


def write_outer(
    state: NDArray[np.floating],
    rows: NDArray[np.floating],
    columns: NDArray[np.floating],
    factor: float,
    model: UpdateModel,
    devices: Devices,
    streams: Streams,
    *,
    counted: bool = False,
) -> None:
    """Outer-product writes in order, in place; devices whose request is zero are not addressed.

    Args:
        state: States ``(m, n)``.
        rows: Row operands ``(B, m)``.
        columns: Column operands ``(B, n)``.
        factor: Request ``b`` is ``factor * rows[b, i] * columns[b, j]``.
        model: What a write does.
        devices: What differs from device to device.
        streams: Random numbers; row by row, write by write, column by column.
        counted: Apply whole pulses, as many as the request is worth, rounded stochastically.
    """
    driven, columns = factor * rows.astype(np.float64), columns.astype(np.float64)
    at_a_time = max(1, REQUESTS // max(columns.size, 1))
    for start in range(0, state.shape[0], at_a_time):
        part = slice(start, start + at_a_time)
        requests = driven[:, part].T[:, :, None] * columns
        write(state[part], requests, model, {name: of[part] for name, of in devices.items()}, streams, counted=counted)


def write(
    state: NDArray[np.floating],
    requests: NDArray[np.float64],
    model: UpdateModel,
    devices: Devices,
    streams: Streams,
    *,
    counted: bool = False,
) -> None:
    """Full writes in order, in place: ``requests`` is ``(m, B, n)``, see `write_outer`."""
    limits = (np.asarray(limit, dtype=np.float64) for limit in model.limits(devices))
    floor, ceiling = (np.broadcast_to(limit, state.shape) for limit in limits)
    steps = (requests != 0).astype(np.int64)
    if counted:
        worth = np.abs(requests[requests != 0]) / model.pulse
        steps[requests != 0] = np.floor(worth + streams[1].uniform(worth.size)).astype(np.int64)
        requests = np.copysign(model.pulse, requests)
    first = np.cumsum(steps).reshape(steps.shape) - steps
    total = int(steps.sum())
    drawn = streams[0].draw(model.draws, total)
    snaps = streams[2].uniform(total) if model.levels and model.stochastic_levels else None
    for chosen, request, numbers in _in_order(steps, first, requests):
        w = state[chosen].astype(np.float64)
        here = {name: of[chosen] for name, of in devices.items()}
        w = model.step(w, request, None if drawn is None else drawn[numbers], here)
        w = np.clip(w, floor[chosen], ceiling[chosen])
        if model.levels:
            w = _snapped(w, floor[chosen], ceiling[chosen], model.levels, None if snaps is None else snaps[numbers])
        state[chosen] = w


def _in_order(
    steps: NDArray[np.int64], first: NDArray[np.int64], requests: NDArray[np.float64]
) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.int64]]]:
    """Devices that take one step each, what is asked of them, and the places of their random numbers."""
    for b in range(steps.shape[1]):
        for k in range(int(steps[:, b].max(initial=0))):
            chosen = steps[:, b] > k
            yield chosen, requests[:, b][chosen], first[:, b][chosen] + k


def _snapped(
    w: NDArray[np.float64],
    low: NDArray[np.floating],
    high: NDArray[np.floating],
    levels: int,
    drawn: NDArray[np.float64] | None,
) -> NDArray[np.float64]:
    """The level next to each state; a stochastic one is up as often as the state is near it."""
    x = (w - low) / (high - low) * (levels - 1)
    nearest = np.rint(x) if drawn is None else np.floor(x + drawn)
    return low + np.clip(nearest, 0, levels - 1) * (high - low) / (levels - 1)
