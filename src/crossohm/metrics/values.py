"""Metrics of values: errors of a regression, and noise of a signal."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from crossohm.errors import ShapeError

#: Outputs that have a table of their own; more are no outputs but the points of a signal.
_MOST_PARTS = 100


@final
class Moments:
    """Sums over values and their errors, by output: the second axis, or the only output of ``(samples,)``."""

    def __init__(self) -> None:
        self.count = 0
        self.squares = np.zeros(0)
        self.magnitudes = np.zeros(0)
        self.mean = np.zeros(0)
        self.variation = np.zeros(0)
        self.low, self.high = math.inf, -math.inf

    def add(self, answers: NDArray[Any], targets: NDArray[Any]) -> None:
        """Count a batch.

        Raises:
            ShapeError: there is not one target for each answer.
        """
        if answers.size != targets.size or len(answers) != len(targets) or not len(targets):
            raise ShapeError(f"outputs {answers.shape} and targets {targets.shape}: a regression needs one for each")
        wanted = _by_output(targets.astype(np.float64).reshape(answers.shape))
        off = _by_output(answers.astype(np.float64)) - wanted
        outputs, count = wanted.shape
        if not self.count:
            self.squares, self.magnitudes, self.mean, self.variation = (np.zeros(outputs) for _ in range(4))
        if outputs != len(self.mean):
            raise ShapeError(f"outputs {answers.shape}: earlier batches had {len(self.mean)} outputs, not {outputs}")
        self.squares += np.sum(off**2, axis=1)
        self.magnitudes += np.sum(np.abs(off), axis=1)
        self._add_targets(wanted, count)

    def _add_targets(self, wanted: NDArray[np.float64], count: int) -> None:
        """Mean and sum of squared deviations, merged without cancellation (Chan et al., 1979)."""
        mean = wanted.mean(axis=1)
        total = self.count + count
        step = mean - self.mean
        self.variation += np.sum((wanted - mean[:, None]) ** 2, axis=1) + step**2 * (self.count * count / total)
        self.mean += step * (count / total)
        self.count = total
        self.low, self.high = min(self.low, float(wanted.min())), max(self.high, float(wanted.max()))

    @property
    def error(self) -> float:
        """Mean square of all errors."""
        return math.fsum(self.squares) / (self.count * len(self.squares))

    @property
    def variance(self) -> float:
        """Of all targets."""
        grand = float(self.mean.mean())
        return float(np.sum(self.variation + self.count * (self.mean - grand) ** 2)) / (self.count * len(self.mean))

    @property
    def power(self) -> float:
        """Mean square of all targets."""
        return float(np.sum(self.variation / self.count + self.mean**2)) / len(self.mean)


def _by_output(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """``(outputs, everything else)``."""
    if values.ndim < 2:
        return values.reshape(1, -1)
    return np.moveaxis(values, 1, 0).reshape(values.shape[1], -1)


@final
class ValueTally:
    """A metric that follows from `Moments`.

    Args:
        whole: The metric over everything.
        each: The same by output.
    """

    def __init__(
        self, whole: Callable[[Moments], float], each: Callable[[Moments], NDArray[np.float64]] | None = None
    ) -> None:
        self._moments = Moments()
        self._whole = whole
        self._each = each

    def add(self, answers: NDArray[Any], targets: NDArray[Any]) -> None:
        """Count a batch; see `Moments.add`."""
        self._moments.add(answers, targets)

    def value(self) -> float:
        """The metric over everything counted; NaN where it means nothing."""
        return self._whole(self._moments)

    def parts(self) -> dict[int, float]:
        """By output, where there are several."""
        several = self._each is not None and 1 < len(self._moments.mean) <= _MOST_PARTS
        return dict(enumerate(map(float, self._each(self._moments)))) if several and self._each else {}


def mse() -> ValueTally:
    """Mean square error."""
    return ValueTally(lambda seen: seen.error, lambda seen: seen.squares / seen.count)


def rmse() -> ValueTally:
    """Root of the mean square error."""
    return ValueTally(lambda seen: math.sqrt(seen.error), lambda seen: np.sqrt(seen.squares / seen.count))


def mae() -> ValueTally:
    """Mean magnitude of the errors."""
    return ValueTally(
        lambda seen: math.fsum(seen.magnitudes) / (seen.count * len(seen.magnitudes)),
        lambda seen: seen.magnitudes / seen.count,
    )


def nrmse() -> ValueTally:
    """Root of the mean square error over the standard deviation of all targets; 1 is no better than their mean."""
    return ValueTally(
        lambda seen: math.sqrt(seen.error / seen.variance) if seen.variance > 0 else math.nan,
        lambda seen: np.sqrt(_over(seen.squares, seen.variation)),
    )


def r2() -> ValueTally:
    """Coefficient of determination: the mean over outputs of 1 - error / variance; 1 is perfect, 0 their mean."""
    return ValueTally(lambda seen: float(np.mean(_determined(seen))), _determined)


def snr() -> ValueTally:
    """Power of the targets over that of the errors, dB."""
    return ValueTally(lambda seen: _decibels(seen.power, seen.error))


def psnr(peak: float | None = None) -> ValueTally:
    """Square of the largest possible signal over the mean square error, dB; by default the span of the targets."""
    return ValueTally(lambda seen: _decibels((seen.high - seen.low if peak is None else peak) ** 2, seen.error))


def _determined(seen: Moments) -> NDArray[np.float64]:
    return 1 - _over(seen.squares, seen.variation)


def _over(errors: NDArray[np.float64], variation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Errors relative to the variation of the targets; NaN for targets that do not vary."""
    return np.divide(errors, variation, out=np.full_like(errors, np.nan), where=variation > 0)


def _decibels(signal: float, noise: float) -> float:
    if signal <= 0:
        return math.nan
    return math.inf if noise == 0 else 10 * math.log10(signal / noise)
