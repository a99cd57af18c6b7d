"""Right answers counted, and their spread over chips."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from crossohm.errors import ShapeError
from crossohm.metrics.classes import top_k_right


@final
@dataclass(frozen=True)
class Spread:
    """A quantity measured on several chips.

    Attributes:
        values: One per chip, at least one.
        decibels: The values are signal-to-noise ratios in dB, of one signal.
    """

    values: tuple[float, ...]
    decibels: bool = False

    @property
    def mean(self) -> float:
        """Arithmetic mean; of ratios in dB the one with the mean noise power.

        Errors add as powers: the mean noise power gives the ratio of all chips together. The mean of the decibels would
        be higher, and infinite as soon as one chip has no noise.
        """
        return _mean_decibels(self.values) if self.decibels else math.fsum(self.values) / len(self.values)

    @property
    def std(self) -> float | None:
        """Standard deviation estimated from the sample (divisor n - 1); None for a single chip, which tells nothing.

        NaN if a value is not finite.
        """
        if len(self.values) < 2:
            return None
        if not all(map(math.isfinite, self.values)):
            return math.nan
        mean = math.fsum(self.values) / len(self.values)
        return math.sqrt(math.fsum((value - mean) ** 2 for value in self.values) / (len(self.values) - 1))

    def as_dict(self) -> dict[str, Any]:
        """Mean, standard deviation and values, for files."""
        return {"mean": self.mean, "std": self.std, "values": list(self.values)}


def spread(values: Iterable[float], *, decibels: bool = False) -> Spread:
    """The spread of some values; ``decibels`` says that they are signal-to-noise ratios in dB, see `Spread.mean`.

    Raises:
        ShapeError: there are none.
    """
    found = tuple(float(value) for value in values)
    if not found:
        raise ShapeError("no values: a mean needs at least one")
    return Spread(found, decibels)


def _mean_decibels(values: tuple[float, ...]) -> float:
    """The ratio of the mean noise power: infinite if none has noise, NaN if one is undefined."""
    if any(map(math.isnan, values)):
        return math.nan
    lowest = min(values)
    if math.isinf(lowest):
        return lowest
    return lowest - 10 * math.log10(math.fsum(10 ** ((lowest - value) / 10) for value in values) / len(values))


def top_k_accuracy(outputs: NDArray[np.floating], labels: NDArray[np.integer], k: int = 1) -> float:
    """Share of the images that `top_k_right` finds right, 0..1."""
    return float(np.mean(top_k_right(outputs, labels, k)))
