"""Ramp ADC: one capacitive DAC steps through all levels for a whole bank of comparators, one per output line.

Source: M. Spear et al., IEEE Journal on Exploratory Solid-State Computational Devices and Circuits, 2023.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np

from crossohm.backends import Array, backend_of
from crossohm.circuits.adc.base import ADC, Converter, Mismatch, adc
from crossohm.circuits.adc.capacitors import amplifier_gain, symmetric_levels, total_capacitance
from crossohm.circuits.adc.code_scale import CircuitConverter, CodeScale, along_lines, of_lines
from crossohm.circuits.adc.staircase import Lookup, Staircase

if TYPE_CHECKING:
    from crossohm.params import ADCParameters


@final
@adc("RampADC")
class RampADC(ADC):
    """Reports the code whose ramp level is nearest to the input plus the offset of the line's comparator.

    Mismatch: ``capacitors`` (bits + 1,), relative to the square root of the nominal capacitance; ``comparators``
    (lines,), in units of Vref.
    """

    def mismatch(self, spec: ADCParameters, lines: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """One set of capacitors for the bank, one comparator offset per line."""
        if spec.bits == 0:
            return {}
        return {
            "capacitors": spec.sigma_capacitor * rng.standard_normal(spec.bits + 1),
            "comparators": spec.sigma_comparator * rng.standard_normal(lines),
        }

    def converter(self, spec: ADCParameters, low: float, high: float, mismatch: Mismatch) -> Converter:
        """The staircase of nearest levels, and the offset of each line."""
        scale = CodeScale(spec.bits, low, high)
        levels = ramp_levels(spec, scale.vref, mismatch["capacitors"])
        offsets = mismatch["comparators"] * scale.vref
        decision = _Decision(nearest_level(levels, scale), offsets if offsets.any() else None)
        return CircuitConverter(scale, decision.offsets is not None, decision)


@final
@dataclass(frozen=True, eq=False)
class _Decision:
    staircase: Staircase
    offsets: np.ndarray | None

    def on(self, like: Array, lines: int) -> Callable[[Array], Array]:
        if self.offsets is None:
            return self.staircase.on(like)
        offsets = backend_of(like).asarray(of_lines(self.offsets, 1, lines), like)
        return _BehindOffsets(self.staircase.on(like), offsets)


@final
@dataclass(frozen=True, eq=False)
class _BehindOffsets:
    """A staircase behind comparators with offsets.

    Attributes:
        lookup: The staircase.
        offsets: Of each line, (lines,).
    """

    lookup: Lookup
    offsets: Array

    def __call__(self, x: Array) -> Array:
        return self.lookup(x + along_lines(self.offsets, x))


def ramp_levels(spec: ADCParameters, vref: float, capacitors: np.ndarray) -> np.ndarray:
    """The ramp's level for each code, (2^bits,); not ascending if the capacitors are bad enough."""
    gain = amplifier_gain(spec.gain_db)
    if spec.symmetric_cdac:
        return symmetric_levels(spec.bits, vref, gain, capacitors)
    nominal = 2.0 ** np.arange(spec.bits + 1)
    caps = nominal + capacitors * np.sqrt(nominal)
    total = total_capacitance(np.arange(2**spec.bits), caps[:-1])
    feedback = caps[-1] / (caps[-1] + total)
    ideal = 2 * vref * total / caps[-1] - vref * (2**spec.bits - 1) / 2**spec.bits
    return np.asarray(ideal / (1 + 1 / (gain * feedback)))


def nearest_level(levels: np.ndarray, scale: CodeScale) -> Staircase:
    """The value of the code with the nearest level; of two equally near, the lower code."""
    ascending, codes = np.unique(levels, return_index=True)
    middles = (ascending[:-1] + ascending[1:]) / 2
    # An input in the middle goes down, unless the upper neighbour has the lower code.
    middles = np.where(codes[1:] < codes[:-1], np.nextafter(middles, -np.inf), middles)
    return Staircase(middles[None], scale.value(codes)[None])
