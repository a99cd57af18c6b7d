"""Raw ramps of an invented device, to try the making of tables on."""

from __future__ import annotations

import numpy as np

from crossohm._random import chip_rng
from crossohm.training.tables.ramps import Ramp

#: Ends of the device's conductance, siemens.
_LOW, _HIGH = 20e-6, 120e-6
#: Pulses of a ramp, and the number in which a mean step falls to 1/e of its first size.
_PULSES, _CONSTANT = 120, 45.0
#: Standard deviation of a step over its mean.
_NOISE = 0.25


def example_ramps(ramps: int = 12, seed: int = 0) -> tuple[list[Ramp], list[Ramp]]:
    """SET and RESET ramps of an invented resistive memory between 20 and 120 µS, one after the other.

    The steps of both directions become smaller the further a ramp has gone, with a normal spread of a quarter of the
    mean step; ramps differ in length.

    Args:
        ramps: Of each direction.
        seed: Of the device.

    Returns:
        SET and RESET ramps, conductances in siemens.
    """
    rng = chip_rng(seed, "example ramps")
    state = _LOW + 0.04 * (_HIGH - _LOW)
    found: tuple[list[Ramp], list[Ramp]] = ([], [])
    for _ in range(ramps):
        for target, goal in zip(found, (_HIGH, _LOW), strict=True):
            ramp = _ramp(state, goal, int(rng.integers(_PULSES - 20, _PULSES + 1)), rng)
            target.append(ramp)
            state = float(ramp[-1])
    return found


def _ramp(start: float, goal: float, pulses: int, rng: np.random.Generator) -> Ramp:
    """One ramp that nears ``goal`` exponentially."""
    values = [start]
    for _ in range(pulses):
        values.append(values[-1] + (goal - values[-1]) / _CONSTANT * (1 + _NOISE * rng.standard_normal()))
    return np.array(values)
