"""Where the levels of a converter lie, and which ranges it can have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

import numpy as np

from crossohm.calibration.density import Floats
from crossohm.params import ADCParameters, DACParameters

#: Which ranges a converter can have: from zero up, ``(-r, r)``, or any that includes zero.
Shape = Literal["positive", "symmetric", "free"]


@final
@dataclass(frozen=True)
class Scale:
    """Equidistant levels over a range that calibration chooses.

    Attributes:
        levels: Number of levels.
        shape: Which ranges are possible.
        to_limits: The outermost levels are the limits; False: they lie half a step inside, and none is on zero.
        zero_level: Only ranges with a level exactly on zero are chosen, where the converter can have one. Without it an
            idle line does not read as zero.
    """

    levels: int
    shape: Shape
    to_limits: bool = True
    zero_level: bool = True

    def steps(self, low: Floats, high: Floats) -> tuple[Floats, Floats]:
        """Lowest level and distance of levels for ranges of shape ``(n,)``."""
        if self.to_limits:
            return low, (high - low) / (self.levels - 1)
        step = (high - low) / self.levels
        return low + step / 2, step

    def fit(self, low: Floats, high: Floats) -> tuple[Floats, Floats]:
        """The possible ranges next to some that include zero; shapes ``(n,)``."""
        if self.shape == "positive":
            return np.zeros_like(high), high
        if self.shape == "free":
            return self._on_zero(low, high) if self._can_shift else (low, high)
        reach = np.maximum(-low, high)
        return -reach, (reach * (1 - 2 / self.levels) if self._can_shift and self.levels % 2 == 0 else reach)

    def cover(self, low: float, high: float) -> tuple[float, float]:
        """The smallest possible range that holds one that includes zero."""
        fitted = [float(side[0]) for side in self.fit(np.array([low]), np.array([high]))]
        grow = max(
            (wanted / limit for wanted, limit in zip((low, high), fitted, strict=True) if wanted and limit), default=1.0
        )
        return fitted[0] * max(1.0, grow), fitted[1] * max(1.0, grow)

    @property
    def _can_shift(self) -> bool:
        return self.zero_level and self.to_limits and self.levels > 2

    def _on_zero(self, low: Floats, high: Floats) -> tuple[Floats, Floats]:
        """The same width with a whole number of steps on either side of zero."""
        step = (high - low) / (self.levels - 1)
        below = np.rint(-low / np.where(step > 0, step, 1.0))
        return -below * step, (self.levels - 1 - below) * step


def adc_scale(adc: ADCParameters, zero_level: bool = True) -> Scale | None:
    """The levels of an ADC; None if it converts nothing.

    A `QuantizerADC` takes any range. The codes of all other models are symmetric around zero whatever the range; those
    of circuit models, and presumably of a user's, have no level on zero.
    """
    if not adc.converts:
        return None
    if adc.model == "QuantizerADC":
        return Scale(2**adc.bits, "free", zero_level=zero_level)
    if adc.model == "SignMagnitudeADC":
        return Scale(2**adc.bits - 1, "symmetric")
    return Scale(2**adc.bits, "symmetric", to_limits=False)


def dac_scale(dac: DACParameters, zero_level: bool = True) -> Scale | None:
    """The levels of a DAC; None if inputs are not converted. A user's signed model is taken to be symmetric."""
    if not dac.converts:
        return None
    if not dac.signed:
        return Scale(2**dac.bits, "positive")
    if dac.model == "QuantizerDAC":
        return Scale(2**dac.bits, "free", zero_level=zero_level)
    return Scale(2**dac.bits - 1, "symmetric")
