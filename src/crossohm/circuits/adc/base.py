"""What every ADC model offers, and the registry that finds models by name.

A model turns its parameters, limits and random hardware errors into a `Converter` once; the converter is then a plain
function of the currents. Random errors belong to the hardware: they are drawn once per chip and do not depend on the
limits.

Your own ADC is a class with one method, found by its name in `params.xbar.adc`::

    @adc("TruncatingADC")
    class TruncatingADC(ADC):
        def convert(self, x, low, high, bits):
            lsb = (high - low) / 2**bits
            return low + (x - low) // lsb * lsb

``x`` comes clipped to the range and may belong to any array library; the gradient is made straight-through.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, final

import numpy as np

from crossohm._answers import of_shape
from crossohm._content import ByContent
from crossohm._names import Registry
from crossohm._random import Draw
from crossohm.backends import Array, backend_of
from crossohm.errors import ParameterError

if TYPE_CHECKING:
    from crossohm.params import ADCParameters

Mismatch = Mapping[str, np.ndarray]


class Converter(Protocol):
    """One ADC (or one bank of them, along the output lines), ready to convert.

    A converter with tables may have a method ``on(like, lines)`` that gives it with these as arrays of the library,
    dtype and device of ``like``, for currents of so many lines.
    """

    @property
    def levels(self) -> int | None:
        """Number of codes; None if unknown or not digital."""

    @property
    def lsb(self) -> float | None:
        """Distance of neighbouring levels, normalised current; None if unknown or not digital."""

    @property
    def output_levels(self) -> np.ndarray | None:
        """The output of every code in ascending order; None if unknown or not digital."""

    @property
    def stochastic(self) -> bool:
        """True if each conversion needs random numbers."""

    @property
    def per_line(self) -> bool:
        """True if lines differ: ``x`` must then be (batch, lines, *positions). Otherwise any shape will do."""

    def __call__(self, x: Array, draw: Draw | None = None) -> Array:
        """Digital values of the currents ``x``, same shape, dtype and library; straight-through gradient."""


class ADC(ByContent):
    """Base of all ADC models. Override `convert`, or `converter` (and `mismatch`) for a model with tables or errors."""

    def check(self, spec: ADCParameters, low: float, high: float, path: str) -> None:
        """Raise `ParameterError` if this model cannot have these parameters and limits (unused if ``bits = 0``)."""
        if spec.bits > 0:
            check_range(low, high, path)

    def mismatch(self, spec: ADCParameters, lines: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Random hardware errors of the converters of ``lines`` output lines, independent of the limits."""
        return {}

    def convert(self, x: Array, low: float, high: float, bits: int) -> Array:
        """Digital values of currents within ``[low, high]``, for a model that needs nothing else."""
        raise NotImplementedError(f"{type(self).__name__} must define convert() or converter()")

    def converter(self, spec: ADCParameters, low: float, high: float, mismatch: Mismatch) -> Converter:
        """The converter for these limits and errors; called only if ``spec.bits > 0`` and ``low < high``."""
        return _Custom(self, low, high, spec.bits)

    def build(self, spec: ADCParameters, low: float, high: float, mismatch: Mismatch) -> Converter:
        """Everything that can be computed once; ``bits = 0`` gives the identity for every model.

        Args:
            spec: Parameters of the converter.
            low: Lower limit, normalised current.
            high: Upper limit, normalised current.
            mismatch: What `mismatch` returned for this array.
        """
        if spec.bits == 0:
            return Unconverted()
        check_range(low, high, "xbar.adc")
        own = {quantity: errors.copy() for quantity, errors in mismatch.items()}  # the chip keeps those it has
        return self.converter(spec, float(low), float(high), own)


def lowered(converter: Converter, like: Array, lines: int) -> Converter:
    """The converter with its tables as arrays like ``like``, if it has any; see `Converter`."""
    on: Callable[[Array, int], Converter] | None = getattr(converter, "on", None)
    return converter if on is None else on(like, lines)


ADCS: Registry[ADC] = Registry("ADC model", "crossohm.adcs", ADC)
adc = ADCS.register


def get_adc(name: str, path: str) -> ADC:
    """The ADC model called ``name``; ``path`` is the parameter that named it.

    Raises:
        UnknownNameError: no such model; the message lists those there are.
    """
    return ADCS.create(name, path)


def check_range(low: float, high: float, path: str) -> None:
    """Raise `ParameterError` unless ``low < high``, both finite."""
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ParameterError(
            f"{path}.calibrated_range", (low, high), "the ADC range is empty or not finite", allowed="min < max",
            remedy="Calibrate the ranges, or choose another adc_range_option",
        )  # fmt: skip


@final
@dataclass(frozen=True)
class Unconverted:
    """No conversion: currents are passed on as they are."""

    levels: None = None
    lsb: None = None
    output_levels: None = None
    stochastic: bool = False
    per_line: bool = False

    def __call__(self, x: Array, draw: Draw | None = None) -> Array:
        """``x`` itself."""
        return x


@final
@dataclass(frozen=True)
class _Custom:
    """A user's `ADC.convert`, kept within the range and made differentiable."""

    model: ADC
    low: float
    high: float
    bits: int
    levels: None = None
    lsb: None = None
    output_levels: None = None
    stochastic: bool = False
    per_line: bool = False

    def __call__(self, x: Array, draw: Draw | None = None) -> Array:
        return backend_of(x).convert(x, self.low, self.high, self._decide)

    def _decide(self, inside: Array) -> Array:
        found = self.model.convert(inside, self.low, self.high, self.bits)
        return of_shape(found, tuple(inside.shape), f"{type(self.model).__name__}.convert")
