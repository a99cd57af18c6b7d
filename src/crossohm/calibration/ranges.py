"""Converter ranges from recorded signals, by the objective asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Literal, final, get_args

from crossohm.calibration.density import Density
from crossohm.calibration.loss import ConversionLoss
from crossohm.calibration.scale import Scale
from crossohm.calibration.search import Range, best_range, best_slice_ranges
from crossohm.chain.inspection.histogram import StreamingHistogram
from crossohm.errors import CrossOhmError, ParameterError

Measure = Literal["L1", "L2", "percentile"]


@final
@dataclass(frozen=True)
class Objective:
    """What a range is chosen by.

    Attributes:
        measure: ``"L2"``: least mean square of the error of quantising and clipping; ``"L1"``: least mean magnitude,
            which clips more; ``"percentile"``: the range holds all values but a fixed share.
        percentile: Upper percentile for ``"percentile"``, above 50 and at most 100; the lower one is 100 minus it.

    Raises:
        ParameterError: no such measure, or the percentile is out of range.
    """

    measure: Measure = "L2"
    percentile: float = 99.99

    def __post_init__(self) -> None:
        if self.measure not in get_args(Measure):
            raise ParameterError(
                "objective", self.measure, "no such objective", allowed=", ".join(get_args(Measure))
            )  # fmt: skip
        is_number = isinstance(self.percentile, Real) and not isinstance(self.percentile, bool)
        if not is_number or not 50 < self.percentile <= 100:
            raise ParameterError("percentile", self.percentile, "out of range", allowed="above 50, at most 100")

    @property
    def power(self) -> int:
        """Of the error that is reported: 1 for L1, otherwise 2."""
        return 1 if self.measure == "L1" else 2


@final
@dataclass(frozen=True)
class Signal:
    """Records of one signal.

    Attributes:
        seen: The records.
        weights: Significance of each record's errors, e.g. of the input slice it belongs to.
        floors: Records of floors below which values have no effect; see `ConversionLoss`.
    """

    seen: tuple[StreamingHistogram, ...]
    weights: tuple[float, ...]
    floors: tuple[StreamingHistogram, ...] = ()

    def loss(self, scale: Scale, power: int) -> ConversionLoss:
        """What a range for this signal costs."""
        floors = Density(self.floors) if any(record.total for record in self.floors) else None
        return ConversionLoss(Density(self.seen, [w**power for w in self.weights]), scale, power, floors)

    def limits(self, percent: float) -> Range:
        """The percentiles, widened to include zero.

        Values below a floor count as that floor: a lower limit above it would lift them to where they have an effect.
        """
        low, high = percentile_range(_merged((*self.seen, *self.floors)), percent, symmetric=False)
        return min(low, 0.0), max(high, 0.0)


@final
@dataclass(frozen=True)
class ChosenRange:
    """A range, and how well it does.

    Attributes:
        low: Lowest converted value.
        high: Highest converted value.
        error: Error of quantising and clipping, relative to the signal: both as means over what was recorded, of
            magnitudes for L1 and root mean square otherwise.
    """

    low: float
    high: float
    error: float

    @property
    def limits(self) -> list[float]:
        """Both limits."""
        return [self.low, self.high]


def choose_range(signal: Signal, scale: Scale, objective: Objective) -> ChosenRange:
    """The range of one converter."""
    loss = signal.loss(scale, objective.power)
    if objective.measure == "percentile":
        low, high = scale.cover(*signal.limits(objective.percentile))
    else:
        low, high = best_range(loss)
    return ChosenRange(low, high, loss.relative(low, high))


def choose_slice_ranges(
    slices: Sequence[Signal], weights: Sequence[float], scale: Scale, objective: Objective
) -> list[ChosenRange]:
    """Ranges of the converters of all weight slices; they differ by powers of two.

    Args:
        slices: What each slice's converter sees, least significant first.
        weights: Significance of each slice.
        scale: The converters. A range is symmetric, or starts at zero if nothing is negative and it may.
        objective: What to choose by.
    """
    if scale.shape == "free":
        positive = all(record.low >= 0 for one in slices for record in one.seen if record.total)
        scale = replace(scale, shape="positive" if positive else "symmetric")
    losses = [one.loss(scale, objective.power) for one in slices]
    if objective.measure == "percentile":
        reaches = [max(-low, high) for low, high in (one.limits(objective.percentile) for one in slices)]
        ranges = [scale.cover(-reach, reach) for reach in _powers_of_two_apart(reaches)]
    else:
        ranges = best_slice_ranges(losses, weights)
    return [ChosenRange(*limits, loss.relative(*limits)) for limits, loss in zip(ranges, losses, strict=True)]


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


def _merged(seen: Sequence[StreamingHistogram]) -> StreamingHistogram:
    merged = seen[0].copy()
    for record in seen[1:]:
        merged.merge(record)
    return merged


def _powers_of_two_apart(values: Sequence[float]) -> list[float]:
    """The largest value, and the others enlarged to it divided by a power of two."""
    top = max(values)
    return [top / 2 ** math.floor(math.log2(top / value)) if value else top for value in values]
