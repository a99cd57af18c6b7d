"""Successive-approximation ADC: a binary search with a capacitive DAC, one unit per group of output lines.

Source: M. Spear et al., IEEE Journal on Exploratory Solid-State Computational Devices and Circuits, 2023.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np

from crossohm.backends import Array, backend_of
from crossohm.circuits.adc.base import ADC, Converter, Mismatch, adc
from crossohm.circuits.adc.capacitors import amplifier_gain, bit_matrix, signed_codes, symmetric_levels
from crossohm.circuits.adc.code_scale import (
    CircuitConverter,
    CodeScale,
    along_lines,
    check_group_size,
    collapse,
    group_count,
    of_lines,
)
from crossohm.circuits.adc.staircase import Lookup, Staircase

if TYPE_CHECKING:
    from crossohm.params import ADCParameters


@final
@adc("SarADC")
class SarADC(ADC):
    """Keeps each bit, from the most significant, if the input exceeds the trial code's threshold.

    Every group has capacitors and a comparator of its own. Mismatch: ``capacitors`` (groups, bits + 1), relative to
    the square root of the nominal capacitance; ``comparators`` (groups,), in units of Vref.
    """

    def check(self, spec: ADCParameters, low: float, high: float, path: str) -> None:
        """As for every ADC, and each converter must have lines."""
        super().check(spec, low, high, path)
        check_group_size(spec.group_size, path)

    def mismatch(self, spec: ADCParameters, lines: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """One set of capacitors and one comparator offset per group."""
        if spec.bits == 0:
            return {}
        groups = group_count(lines, spec.group_size)
        return {
            "capacitors": spec.sigma_capacitor * rng.standard_normal((groups, spec.bits + 1)),
            "comparators": spec.sigma_comparator * rng.standard_normal(groups),
        }

    def converter(self, spec: ADCParameters, low: float, high: float, mismatch: Mismatch) -> Converter:
        """The staircase of each group."""
        scale = CodeScale(spec.bits, low, high)
        offsets = mismatch["comparators"] * scale.vref
        thresholds = np.stack([sar_thresholds(spec, scale.vref, caps) for caps in mismatch["capacitors"]])
        effective = collapse(reachable(thresholds - offsets[:, None], spec.bits))
        values = np.broadcast_to(scale.value(np.arange(2**spec.bits)), (len(effective), 2**spec.bits))
        decision = _Decision(Staircase(effective, values), spec.group_size)
        return CircuitConverter(scale, len(effective) > 1, decision)


@final
@dataclass(frozen=True, eq=False)
class _Decision:
    staircase: Staircase
    group_size: int

    def on(self, like: Array, lines: int) -> Callable[[Array], Array]:
        lookup, rows = self.staircase.on(like), self.staircase.rows
        if rows == 1:
            return lookup
        first = of_lines(np.arange(rows) * lookup.bins, self.group_size, lines)
        return _OfLines(lookup, backend_of(like).indices(first, like))


@final
@dataclass(frozen=True, eq=False)
class _OfLines:
    """Staircases of which each line has one.

    Attributes:
        lookup: The staircases.
        first: First bin of the staircase of each line, (lines,).
    """

    lookup: Lookup
    first: Array

    def __call__(self, x: Array) -> Array:
        return self.lookup(x, along_lines(self.first, x))


def sar_thresholds(spec: ADCParameters, vref: float, capacitors: np.ndarray) -> np.ndarray:
    """The DAC voltage each code is compared with, (2^bits,); code 0 is never tried.

    Args:
        spec: Parameters of the converter.
        vref: Reference voltage.
        capacitors: Deviations of one unit, (bits + 1,).
    """
    gain = amplifier_gain(spec.gain_db)
    half_lsb = float(vref / 2**spec.bits)
    # A single bit has no array to split.
    if not spec.split_cdac or spec.bits == 1:
        return symmetric_levels(spec.bits, vref, gain, capacitors) - half_lsb
    sign = np.where(signed_codes(spec.bits) < 0, -1.0, 1.0)
    ideal = sign * split_ratio(spec.bits, capacitors) * vref + half_lsb
    return np.asarray(ideal / (1 + 1 / gain) - half_lsb)


def split_ratio(bits: int, deviations: np.ndarray) -> np.ndarray:
    """Output of a split capacitive DAC relative to Vref, (2^bits,); ideally ``|code - 2^(bits-1)| / 2^(bits-1)``.

    Two arrays of about ``bits / 2`` bits are joined by a bridge capacitor, which divides the lower one's share.

    Args:
        bits: Resolution of the converter, at least 2.
        deviations: Of the capacitors of the lower array, the upper array, the termination and the bridge, (bits + 1,).
    """
    half = bits // 2
    nominal = np.append(2.0 ** np.r_[0:half, 0 : bits - 1 - half], [1.0, 2**half / (2**half - 1)])
    caps = nominal + deviations * np.sqrt(nominal)
    bridge, termination = caps[bits], caps[bits - 1]
    lower = termination + caps[:half].sum()
    upper = caps[half : bits - 1].sum()
    digits = bit_matrix(np.abs(signed_codes(bits)), bits)
    driven_low = digits[:, :half] @ caps[:half]
    driven_high = digits[:, half:] @ caps[half:bits]
    ratio = (driven_low * bridge + driven_high * (lower + bridge)) / ((lower + bridge) * (upper + bridge) - bridge**2)
    ratio[0] = 1.0  # the full scale is the reference itself
    return np.asarray(ratio)


def reachable(thresholds: np.ndarray, bits: int) -> np.ndarray:
    """Thresholds of the staircase that the binary search amounts to.

    The search is a tree: below a node, only inputs between the thresholds on the way there occur. A threshold outside
    that interval decides nothing, so it is moved to its nearer end. Then the thresholds ascend with the code, and the
    code found is the number of thresholds below the input.

    Args:
        thresholds: Of all codes, offsets included, (groups, 2^bits).
        bits: Resolution of the converter.

    Returns:
        (groups, 2^bits - 1)
    """
    edges = np.pad(thresholds[:, 1:], ((0, 0), (1, 1)), constant_values=np.inf)
    edges[:, 0] = -np.inf
    for span in 2 ** np.arange(bits)[::-1]:
        trial = edges[:, span :: 2 * span]
        np.clip(trial, edges[:, 0 : -1 : 2 * span], edges[:, 2 * span :: 2 * span], out=trial)
    return np.asarray(edges[:, 1:-1])
