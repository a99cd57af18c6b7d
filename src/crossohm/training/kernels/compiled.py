"""Writes compiled by numba: the same steps in the same order as `crossohm.training.kernels.vectorised`.

Arithmetic is in double precision and in the order of the models' `step`, states are kept as they are stored, so that
both give the same states. Functions take numbers only: arrays that are passed on are counted, which costs several times
what a step costs.
"""

# numba finds the types; mypy knows nothing of them. The one loop is long because calls with arrays are dear.
# mypy: ignore-errors
# ruff: noqa: C901, PLR0915

from __future__ import annotations

import math
from functools import cache

import numba
import numpy as np

from crossohm.training.updates import program as kinds
from crossohm.training.updates.stream import EDGES, FIRST, LAYERS, SECOND, STEP, TAIL

IDEAL, LOOKUP, LINEAR = kinds.IDEAL, kinds.LOOKUP, kinds.LINEAR_STEP
ASYMMETRIC, SYMMETRIC = kinds.ANALYTIC_ASYMMETRIC, kinds.ANALYTIC_SYMMETRIC
EXPONENTIAL, POWER, REFERENCE = kinds.EXPONENTIAL_STEP, kinds.POWER_STEP, kinds.REFERENCE_STEP
_ONE, _LAYER = np.uint64(1), np.uint64(LAYERS - 1)
_compiled = numba.njit(cache=True, nogil=True, error_model="numpy")


@_compiled
def _hash(z):
    """See `DrawStream`."""
    z = (z ^ (z >> np.uint64(30))) * FIRST
    z = (z ^ (z >> np.uint64(27))) * SECOND
    return z ^ (z >> np.uint64(31))


@_compiled
def _unit(z):
    return (z >> np.uint64(11)) * 2.0**-53


@_compiled
def _uniform(key, count):
    """Number ``count`` of the stream ``key``, see `DrawStream`."""
    return _unit(_hash(key + count * STEP))


@_compiled
def _normal(key, count):
    """The same, normal."""
    z = _hash(key + count * STEP)
    layer = np.int64(z & _LAYER)
    x = (2 * _unit(z) - 1) * EDGES[layer]
    if abs(x) < EDGES[layer + 1]:
        return x
    return _normal_beyond(z, layer, x)


@_compiled
def _normal_beyond(z, layer, x):
    """See the function of this name in `crossohm.training.updates.stream`."""
    while abs(x) >= EDGES[layer + 1]:
        z = _hash(z + STEP)
        if layer == 0:
            beyond = -math.log(1 - _unit(z)) / TAIL
            z = _hash(z + STEP)
            if -2 * math.log(1 - _unit(z)) >= beyond**2:
                return math.copysign(TAIL + beyond, x)
            continue
        low, high = math.exp(-(EDGES[layer] ** 2) / 2), math.exp(-(EDGES[layer + 1] ** 2) / 2)
        if low + _unit(z) * (high - low) < math.exp(-(x**2) / 2):
            break
        z = _hash(z + STEP)
        layer = np.int64(z & _LAYER)
        x = (2 * _unit(z) - 1) * EDGES[layer]
    return x


@_compiled
def _analytic(symmetric, w, d, z, low, width, alpha, noise, law):
    """See `AnalyticUpdate.step`."""
    if alpha == 0:
        change = d
    elif not symmetric:
        reach = width / (1 - math.exp(-alpha))
        if d > 0:
            change = (reach + low - w) * (1 - math.exp(-alpha * d / width))
        else:
            change = (low + width - reach - w) * (1 - math.exp(alpha * d / width))
    else:
        a = width * (math.exp(alpha) + 1) / (math.exp(alpha) - 1)
        b = low - width / (math.exp(alpha) - 1)
        change = a / (1 + math.exp(-2 * alpha * d / width) * (a / (w - b) - 1)) - w + b
    if noise > 0:
        deviation = noise * math.sqrt(abs(change) * width)
        if law == 1:
            deviation = deviation * w / width
        elif law == 2:
            deviation = deviation * width / w
        change = change + deviation * z
    return w + change


@_compiled
def _snapped(w, low, high, levels, drawn):
    """The level next to a state; see `crossohm.training.kernels.vectorised`."""
    x = (w - low) / (high - low) * (levels - 1)
    nearest = np.rint(x) if drawn < 0 else math.floor(x + drawn)
    return low + min(max(nearest, 0.0), levels - 1.0) * (high - low) / (levels - 1)


@cache
def writer(
    kind: int, law: int, *, nearest: bool, even: bool, nonlinear: bool, counted: bool, levelled: bool, stochastic: bool
):
    """The loop for one formula and its options, compiled when it is first called.

    Args:
        kind: The formula.
        law: What a step draws, as a place in `LAWS`.
        nearest: Take the nearest column of a table; False: interpolate.
        even: Probabilities are equally spaced.
        nonlinear: Steps depend on the state.
        counted: Requests are whole pulses.
        levelled: States are rounded to levels.
        stochastic: At random.
    """

    @_compiled
    def write(
        state, rows, columns, factor, full, scalars, fields, index, grids, means, errors, cdf, density, guide,
        floor, ceiling, pulse, levels, streams,
    ):  # fmt: skip
        """Writes in order: of each row, each write, each column; requests of zero address nothing.

        Request ``b`` is ``factor * rows[b, i] * columns[b, j]``; with ``full`` there is one, and it is
        ``columns[i, j]``.
        """
        addressed = np.empty(columns.shape, np.int32)
        counts = np.zeros(columns.shape[0], np.int32)
        for b in range(columns.shape[0]):
            for j in range(columns.shape[1]):
                if columns[b, j] != 0:
                    addressed[b, counts[b]] = j
                    counts[b] += 1
        shared, one_table = floor.size == 1, index.size == 1
        low, high, table = floor[0, 0], ceiling[0, 0], np.int64(index[0, 0])
        last, probabilities = means.shape[2] - 1, cdf.shape[0] - 1
        keys, drawn = streams[:, 0].copy(), streams[:, 1].copy()
        for i in range(state.shape[0]):
            for b in range(1 if full else columns.shape[0]):
                source = i if full else b
                driven = 1.0 if full else factor * rows[b, i]
                if driven == 0:
                    continue
                for k in range(counts[source]):
                    j = addressed[source, k]
                    request = driven * columns[source, j]
                    if request == 0:
                        continue
                    steps, d = 1, request
                    if counted:
                        drawn[1] += _ONE
                        steps = math.floor(abs(request) / pulse + _uniform(keys[1], drawn[1]))
                        d = pulse if request > 0 else -pulse
                    direction = 0 if d > 0 else 1
                    w = np.float64(state[i, j])
                    if not shared:
                        low, high = floor[i, j], ceiling[i, j]
                    if not one_table:
                        table = np.int64(index[i, j])
                    for _ in range(steps):
                        z = 0.0
                        if law > 0:
                            drawn[0] += _ONE
                            z = _uniform(keys[0], drawn[0]) if law == 1 else _normal(keys[0], drawn[0])
                        if kind == IDEAL:
                            w = w + d
                        elif kind == LOOKUP:  # see `LookupUpdate.step`
                            x = (w - grids[table, 0]) * grids[table, 1]
                            if nearest:
                                first = min(max(math.floor(x + 0.5), 0), last)
                                part = 0.0
                                mean = means[table, direction, first]
                            else:
                                x = min(max(x, 0.0), np.float64(last))
                                first = min(np.int64(x), last - 1)
                                part = x - first
                                mean = means[table, direction, first]
                                mean = mean + part * (means[table, direction, first + 1] - mean)
                            pulses = d * grids[table, 2 + direction]
                            if nonlinear:
                                change = pulses * mean
                            else:
                                change = d
                                if mean * d > 0:
                                    pulses = d / mean
                            if law > 0:
                                if even:
                                    share = z * probabilities
                                    c = np.int64(share)
                                    share = share - c
                                else:
                                    c = np.int64(guide[np.int64(z * guide.shape[0])])
                                    while c < probabilities - 1 and cdf[c + 1] <= z:
                                        c += 1
                                    share = (z - cdf[c]) * density[c]
                                near = np.float64(errors[table, direction, first, c])
                                error = near + share * (np.float64(errors[table, direction, first, c + 1]) - near)
                                if not nearest:
                                    near = np.float64(errors[table, direction, first + 1, c])
                                    far = near + share * (np.float64(errors[table, direction, first + 1, c + 1]) - near)
                                    error = error + part * (far - error)
                                change = change + math.sqrt(pulses) * error
                            w = w + change
                        elif kind in (ASYMMETRIC, SYMMETRIC):
                            w = _analytic(
                                kind == SYMMETRIC, w, d, z, scalars[0], scalars[1], scalars[2], scalars[3], scalars[4]
                            )
                        else:  # see `PulsedUpdate.step`
                            size, shape = np.float64(fields[direction, i, j]), np.float64(fields[4 + direction, i, j])
                            least, most = np.float64(fields[2, i, j]), np.float64(fields[3, i, j])
                            if kind == LINEAR:
                                amplitude = size + shape * w
                            elif kind == REFERENCE:
                                amplitude = size + shape * (w + np.float64(fields[6, i, j]))
                            elif kind == EXPONENTIAL:
                                x = 2 * scalars[3] * w / (most - least) + scalars[4]
                                if direction == 0:
                                    amplitude = size * max(0.0, 1 - scalars[5] * math.exp(shape * x))
                                else:
                                    amplitude = size * max(0.0, 1 - scalars[6] * math.exp(-shape * x))
                            elif kind == POWER:
                                room = min(max((most - w) / (most - least), 0.0), 1.0)
                                amplitude = size * (room if direction == 0 else 1 - room) ** shape
                            else:
                                x = min(max((w - least) / (most - least) * last, 0.0), np.float64(last))
                                first = min(np.int64(x), last - 1)
                                near = means[0, direction, first]
                                amplitude = size * (near + (x - first) * (means[0, direction, first + 1] - near))
                            pulses = abs(d) / scalars[0]
                            change = pulses * amplitude
                            if law > 0:
                                spread = size if scalars[2] > 0 else amplitude
                                if kind == EXPONENTIAL and scalars[7] + scalars[8] > 0:
                                    spread = abs(amplitude) + scalars[0] * (scalars[7] + scalars[8] * abs(w))
                                change = change + math.sqrt(pulses) * scalars[1] * spread * z
                            w = w + change if direction == 0 else w - change
                        w = min(max(w, low), high)
                        if levelled:
                            rounding = -1.0
                            if stochastic:
                                drawn[2] += _ONE
                                rounding = _uniform(keys[2], drawn[2])
                            w = _snapped(w, low, high, levels, rounding)
                        state[i, j] = w
                        w = np.float64(state[i, j])
        streams[:, 1] = drawn

    return write
