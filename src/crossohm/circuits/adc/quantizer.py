"""Converters without circuit errors: equidistant levels, nearest or stochastic rounding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np

from crossohm._random import Draw
from crossohm.backends import Array, backend_of
from crossohm.circuits.adc.base import ADC, Converter, Mismatch, Unconverted, adc
from crossohm.errors import InputError, ParameterError

if TYPE_CHECKING:
    from crossohm.params import ADCParameters


@final
@dataclass(frozen=True)
class UniformConverter:
    """Levels ``(low + k / density) / scale``, k = 0..levels-1.

    Attributes:
        low: Lowest level, times ``scale``.
        density: Levels per unit of ``scale`` times current.
        levels: Number of levels.
        stochastic: Round up with a probability equal to the fraction, instead of to the nearest level.
        scale: 1, or the levels per unit current where ``low`` is a whole number of steps: zero is then an exact level.
    """

    low: float
    density: float
    levels: int
    stochastic: bool
    scale: float = 1.0
    per_line: bool = False

    @property
    def lsb(self) -> float:
        """Distance of neighbouring levels, normalised current."""
        return 1 / (self.density * self.scale)

    @property
    def output_levels(self) -> np.ndarray:
        """All levels, ascending."""
        return (self.low + np.arange(self.levels) / self.density) / self.scale

    def __call__(self, x: Array, draw: Draw | None = None) -> Array:
        """The level next to each current, any shape."""
        scaled = x if self.scale == 1 else x * self.scale
        level = self._up_or_down(scaled, draw) if self.stochastic else self._nearest(scaled)
        return level if self.scale == 1 else level / self.scale

    def _nearest(self, x: Array) -> Array:
        return backend_of(x).quantize(x, self.low, self.density, self.levels - 1)

    def _up_or_down(self, x: Array, draw: Draw | None) -> Array:
        if draw is None:
            raise InputError("rng = None: this ADC rounds stochastically and needs random numbers; pass rng=")
        backend = backend_of(x)
        inside = backend.clip(x, self.low, self.low + (self.levels - 1) / self.density)
        position = (inside - self.low) * self.density
        below = backend.xp.floor(position)
        code = below + (draw.uniform(position) < position - below)
        return backend.straight_through(code / self.density + self.low, inside)


@final
@adc("IdealADC")
class IdealADC(ADC):
    """Currents are passed on unchanged, whatever ``bits``."""

    def check(self, spec: ADCParameters, low: float, high: float, path: str) -> None:
        """Accept everything: no range is used."""

    def build(self, spec: ADCParameters, low: float, high: float, mismatch: Mismatch) -> Converter:
        """The identity."""
        return Unconverted()


@final
@adc("QuantizerADC")
class QuantizerADC(ADC):
    """``2^bits`` equidistant levels from ``low`` to ``high``, both included."""

    def converter(self, spec: ADCParameters, low: float, high: float, mismatch: Mismatch) -> Converter:
        """Levels and rounding for these limits."""
        levels = 2**spec.bits
        return UniformConverter(low, (levels - 1) / (high - low), levels, spec.stochastic_rounding)


@final
@adc("SignMagnitudeADC")
class SignMagnitudeADC(ADC):
    """``2^bits - 1`` equidistant levels over a symmetric range; zero is a level."""

    def check(self, spec: ADCParameters, low: float, high: float, path: str) -> None:
        """Only a signed converter of at least two bits with ``low = -high`` can be built."""
        super().check(spec, low, high, path)
        if spec.bits == 0:
            return
        if not spec.signed:
            raise ParameterError(
                f"{path}.signed", False, "a SignMagnitudeADC is signed", allowed="True, or model = 'QuantizerADC'"
            )
        if high != -low:
            raise ParameterError(
                f"{path}.calibrated_range", (low, high), "a SignMagnitudeADC needs a symmetric range",
                allowed="max = -min", remedy="Change the range, or use QuantizerADC",
            )  # fmt: skip
        if spec.bits == 1:
            raise ParameterError(f"{path}.bits", 1, "one sign bit leaves no magnitude", allowed="0, or >= 2")

    def converter(self, spec: ADCParameters, low: float, high: float, mismatch: Mismatch) -> Converter:
        """Levels and rounding for these limits; counted in steps, so that zero is exact."""
        self.check(spec, low, high, "xbar.adc")
        half = 2 ** (spec.bits - 1) - 1
        return UniformConverter(-half, 1.0, 2 * half + 1, spec.stochastic_rounding, scale=half / high)
