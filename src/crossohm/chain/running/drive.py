"""From inputs in the user's units to normalised array voltages."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import final

from crossohm.backends import Array, backend_of
from crossohm.circuits.dac import DACConverter
from crossohm.mapping.limits import SMALLEST_LIMIT


@final
@dataclass(frozen=True)
class Drive:
    """Clip, normalise and convert the inputs of one operation.

    Attributes:
        clip: Limits in the user's units, or None.
        scale: Input that becomes a normalised input of one (fixed range).
        percentile: Fraction of the inputs that defines the scale from the data instead, or None.
        per_vector: With ``percentile``: every vector has a scale of its own, rather than one for the whole call.
        dac: The input converter.
        counted: True if arrays are driven with numbers in DAC steps (code numbers, if inputs are sliced), whose unit
            the matrix takes up, rather than with normalised voltages.
    """

    clip: tuple[float, float] | None
    scale: float
    percentile: float | None
    per_vector: bool
    dac: DACConverter
    counted: bool = False

    @property
    def unit(self) -> float:
        """Normalised voltage per unit of `signal`."""
        return self.dac.uniform.step if self.counted and self.dac.uniform else 1.0

    @property
    def cell_unit(self) -> float:
        """Normalised voltage per unit of what drives the cells: steps, a slice of a code, or the voltage itself."""
        return self.dac.slicing.fraction_unit if self.dac.slicing and self.counted else self.unit

    def signal(self, x: Array) -> tuple[Array, Array | None]:
        """What drives the arrays, converted; with a range from the data, also the factor its results need.

        If inputs are sliced and counted, the value of code 0 is left out (`DACConverter.plane_offset`).
        """
        levels = self.dac.uniform
        if levels is None or not self.counted:
            normalised, factor = self.normalise(x)
            return self.dac.quantize(normalised), factor
        scale, factor = self.scale, None
        if self.percentile is not None:
            scale = factor = input_scale(x, self.percentile, self.per_vector)
        number = levels.number(x * (levels.density / scale))  # what lies outside the range is clipped by the DAC
        if levels.low and not self.dac.sliced:
            number += levels.low * levels.density
        return number, factor

    @property
    def is_linear(self) -> bool:
        """True if the array sees the input times a constant, so that scaling can move into the matrix."""
        return self.clip is None and self.percentile is None and self.dac == DACConverter()

    @cached_property
    def alone(self) -> bool:
        """True if every input is converted by itself, whatever inputs come with it."""
        return self.percentile is None and (self.dac.ideal or self.dac.uniform is not None)

    @property
    def keeps_zero(self) -> bool:
        """True if an input of zero gives a voltage of zero and has no say in the range."""
        clips = self.clip is not None and not self.clip[0] <= 0 <= self.clip[1]
        ranges = self.percentile is not None and self.percentile < 1
        return self.dac.keeps_zero and not clips and not ranges

    def normalise(self, x: Array) -> tuple[Array, Array | None]:
        """Normalised inputs before conversion; with a range from the data, also the factor its results need."""
        if self.percentile is not None:
            limit = input_scale(x, self.percentile, self.per_vector)
            return x / limit, limit
        backend = backend_of(x)
        if self.clip is not None:
            x = backend.clip(x, *self.clip)
        return (x if self.scale == 1.0 else x * (1.0 / self.scale)), None


def input_scale(x: Array, fraction: float, per_vector: bool) -> Array:
    """Symmetric input range from the data, by the rule of `mapping.magnitude_limit`.

    Args:
        x: Inputs ``(batch, features, *positions)``.
        fraction: Fraction of the entries the range holds.
        per_vector: One range for every batch entry instead of one for the call.

    Returns:
        Array of shape ``(batch, 1, ...)`` or ``(1, 1, ...)``.
    """
    xp = backend_of(x).xp
    count = x.shape[0] if per_vector else 1
    shape = (count,) + (1,) * (x.ndim - 1)
    if 0 in tuple(x.shape):
        return xp.ones(shape, dtype=x.dtype)  # an empty batch has no data, and no results to scale
    rows = xp.reshape(x, (count, -1))
    if fraction >= 1:
        limit = fraction * xp.max(xp.abs(rows), axis=1)
    else:
        ordered = xp.sort(rows, axis=1)
        low, high = (backend_of(x).between(ordered, part) for part in (1 - fraction, fraction))
        limit = xp.maximum(xp.abs(low), xp.abs(high))
    limit = xp.where(limit > 0, limit, xp.full_like(limit, SMALLEST_LIMIT))
    return xp.reshape(limit, shape)
