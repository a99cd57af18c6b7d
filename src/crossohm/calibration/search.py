"""The range with the least error: a wide grid, then finer and finer ones around the best range so far.

The loss of a converter with few levels has many local minima, so no descent is trusted. All ranges of a grid are
evaluated at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from crossohm.calibration.density import Floats
from crossohm.calibration.loss import ConversionLoss

Range = tuple[float, float]

#: The narrowest range tried, as a power of two of the signal's reach: about a bin of its histogram.
_OCTAVES = 12
_ROUNDS = 4


def best_range(loss: ConversionLoss) -> Range:
    """The range of ``loss.scale`` with the least loss, among those that do not go beyond the signal by much.

    A signal that is always zero gets a range of one.
    """
    if loss.scale.shape == "free":
        return _best_free(loss)
    covering = loss.scale.cover(-loss.signal.reach, loss.signal.reach)
    top = max(-covering[0], covering[1])
    if top <= 0:
        return _range(loss, -1.0, 1.0)
    tried = top * 2.0 ** np.linspace(-_OCTAVES, 0, 8 * _OCTAVES + 1)
    reach, spacing = _best(loss, -tried, tried)[1], 2 ** (1 / 8) - 1
    for _ in range(_ROUNDS):
        tried = np.minimum(reach * (1 + spacing * np.linspace(-1, 1, 17)), top)
        reach = _best(loss, -tried, tried)[1]
        spacing /= 6
    return _range(loss, -reach, reach)


def best_slice_ranges(losses: Sequence[ConversionLoss], weights: Sequence[float]) -> list[Range]:
    """Ranges of weight slices that differ by powers of two, with the least sum of losses.

    For each reach between one and two, every slice takes the power of two that suits it; the sum decides on the reach.

    Args:
        losses: One per slice; none of shape ``"free"``.
        weights: Significance of each slice in the sum.
    """
    powers = 2.0 ** _exponents(losses)
    factors = np.array(weights) ** losses[0].power

    def choices(reach: float) -> tuple[Floats, float]:
        found = np.array([loss(*loss.scale.fit(-reach * powers, reach * powers)) for loss in losses])
        return powers[np.argmin(found, axis=1)], float(factors @ found.min(axis=1))

    reach, spacing = 1.5, 0.5
    for _ in range(_ROUNDS):
        tried = [reach + spacing * place for place in np.linspace(-1, 1, 17)]
        reach = min(tried, key=lambda one: choices(one)[1])
        spacing /= 6
    chosen = choices(reach)[0]
    used = [loss.signal.reach > 0 for loss in losses]
    chosen[~np.array(used)] = max(chosen[used]) if any(used) else 1.0
    return [_range(loss, -reach * power, reach * power) for loss, power in zip(losses, chosen, strict=True)]


def _exponents(losses: Sequence[ConversionLoss]) -> Floats:
    tops = [loss.signal.reach for loss in losses if loss.signal.reach > 0] or [1.0]
    return np.arange(np.floor(np.log2(min(tops))) - _OCTAVES, np.ceil(np.log2(max(tops))) + 1)


def _best_free(loss: ConversionLoss) -> Range:
    bottom, top = _extremes(loss)
    if bottom == top == 0:
        return _range(loss, -1.0, 1.0)
    sizes = np.concatenate([[0.0], 2.0 ** np.linspace(-_OCTAVES, 0, 2 * _OCTAVES + 1)])
    low, high = _best(loss, *_pairs(bottom * sizes, top * sizes))
    spacing = np.sqrt(2) - 1
    for _ in range(_ROUNDS):
        places = spacing * np.linspace(-1, 1, 9)
        lows = np.clip(low + max(-low, -bottom * sizes[1]) * places, bottom, 0)
        highs = np.clip(high + max(high, top * sizes[1]) * places, 0, top)
        low, high = _best(loss, *_pairs(lows, highs))
        spacing /= 3
    return _range(loss, low, high)


def _extremes(loss: ConversionLoss) -> Range:
    """Limits beyond which a range has nothing to gain."""
    floor = 0.0 if loss.floors is None else loss.floors.low
    return min(loss.signal.low, floor, 0.0), max(loss.signal.high, 0.0)


def _pairs(lows: Floats, highs: Floats) -> tuple[Floats, Floats]:
    """Every low with every high, except where both are zero."""
    low, high = (side.ravel() for side in np.meshgrid(lows, highs, indexing="ij"))
    real = high > low
    return low[real], high[real]


def _best(loss: ConversionLoss, lows: Floats, highs: Floats) -> Range:
    """The given range whose fitted form has the least loss; the widest of equals."""
    found = loss(*loss.scale.fit(lows, highs))
    equal = np.flatnonzero(found <= found.min() * (1 + 1e-12))
    best = equal[np.argmax(highs[equal] - lows[equal])]
    return float(lows[best]), float(highs[best])


def _range(loss: ConversionLoss, low: float, high: float) -> Range:
    fitted = loss.scale.fit(np.array([low]), np.array([high]))
    return float(fitted[0][0]), float(fitted[1][0])
