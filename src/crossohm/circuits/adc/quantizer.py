"""Converters without circuit errors: equidistant levels, nearest or stochastic rounding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np

from crossohm._random import Draw
from crossohm.backends import Array, backend_of
from crossohm.circuits.adc.base import ADC, Converter, Mismatch, Unconverted, adc
from crossohm.circuits.levels import Levels
from crossohm.errors import InputError, ParameterError

if TYPE_CHECKING:
    from crossohm.params import ADCParameters


@final
@dataclass(frozen=True)
class UniformConverter:
    """Equidistant levels.

    Attributes:
        uniform: The levels, normalised current.
        stochastic: Round up with a probability equal to the fraction, instead of to the nearest level.
    """

    uniform: Levels
    stochastic: bool
    per_line: bool = False

    @property
    def levels(self) -> int:
        """Number of levels."""
        return self.uniform.count

    @property
    def lsb(self) -> float:
        """Distance of neighbouring levels, normalised current."""
        return self.uniform.step

    @property
    def output_levels(self) -> np.ndarray:
        """All levels, ascending."""
        return self.uniform.values

    def __call__(self, x: Array, draw: Draw | None = None) -> Array:
        """The level next to each current, any shape."""
        return self._up_or_down(x, draw) if self.stochastic else self.uniform(x)

    def _up_or_down(self, x: Array, draw: Draw | None) -> Array:
        if draw is None:
            raise InputError("rng = None: this ADC rounds stochastically and needs random numbers; pass rng=")
        levels = self.uniform

        def up_or_down(steps: Array) -> Array:
            below = backend_of(steps).xp.floor(steps)
            return backend_of(steps).xp.where(draw.uniform(steps) < steps - below, below + 1, below)

        steps = (x - levels.low) * levels.density
        return backend_of(x).convert(steps, levels.first, levels.last, up_or_down) / levels.density + levels.low


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
        return UniformConverter(Levels.between(low, high, 2**spec.bits), spec.stochastic_rounding)


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
        """Levels and rounding for these limits."""
        self.check(spec, low, high, "xbar.adc")
        half = 2 ** (spec.bits - 1) - 1
        return UniformConverter(Levels.around_zero(high, half), spec.stochastic_rounding)
