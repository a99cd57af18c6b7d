"""Capacitive DACs inside ramp and successive-approximation ADCs.

Capacitors are in units of the smallest; a deviation ``d`` changes a capacitor ``C`` by ``d * sqrt(C)``, as random
mismatch goes with the square root of the area.

Source: M. Spear et al., IEEE Journal on Exploratory Solid-State Computational Devices and Circuits, 2023.
"""

from __future__ import annotations

import numpy as np


def amplifier_gain(gain_db: float) -> float:
    """Open-loop gain from decibels."""
    return float(10 ** (gain_db / 20))


def bit_matrix(numbers: np.ndarray, bits: int) -> np.ndarray:
    """Binary digits of integers, least significant first, (len(numbers), bits)."""
    return np.asarray((numbers[:, None] >> np.arange(bits)) & 1)


def total_capacitance(numbers: np.ndarray, capacitors: np.ndarray) -> np.ndarray:
    """Sum of the capacitors whose bit is set in each number, (len(numbers),)."""
    return np.asarray(bit_matrix(numbers, len(capacitors)) @ capacitors)


def signed_codes(bits: int) -> np.ndarray:
    """``code - 2^(bits-1)`` for all codes, (2^bits,)."""
    return np.arange(2**bits) - int(2 ** (bits - 1))


def binary_capacitors(bits: int, deviations: np.ndarray) -> np.ndarray:
    """Capacitors 1, 2, .., 2^(bits-1) and a reference equal to the largest, (bits + 1,).

    Args:
        bits: Resolution of the converter.
        deviations: (bits + 1,)
    """
    nominal = np.append(2.0 ** np.arange(bits), 2.0 ** (bits - 1))
    return np.asarray(nominal + deviations * np.sqrt(nominal))


def symmetric_levels(bits: int, vref: float, gain: float, deviations: np.ndarray) -> np.ndarray:
    """Levels of a binary-weighted DAC that mirrors its output for negative codes, (2^bits,).

    Args:
        bits: Resolution of the converter.
        vref: Reference voltage.
        gain: Open-loop gain of the amplifier.
        deviations: Of the capacitors, (bits + 1,).
    """
    caps = binary_capacitors(bits, deviations)
    signed = signed_codes(bits)
    total = total_capacitance(np.abs(signed), caps[:-1])
    feedback = caps[-1] / (caps[-1] + total)
    sign = np.where(signed < 0, -1.0, 1.0)
    ideal = sign * total / caps[-2] * vref + vref / 2**bits
    return np.asarray(ideal / (1 + 1 / (gain * feedback)))
