"""Devices that change by what is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from crossohm.training.checks import require_levels, require_range
from crossohm.training.updates.model import Devices, Moments, UpdateModel, Window
from crossohm.training.updates.program import IDEAL, Program
from crossohm.training.updates.registry import update_model


@update_model("ideal")
@final
@dataclass(frozen=True, eq=False)
class IdealUpdate(UpdateModel):
    """Every write changes the state by what was asked for; only the window limits it.

    Attributes:
        low: Lowest state.
        high: Highest state.
        levels: See `UpdateModel`.
        stochastic_levels: See `UpdateModel`.
    """

    low: float = 0.1
    high: float = 1.0
    levels: int = 0
    stochastic_levels: bool = False

    def __post_init__(self) -> None:
        require_range(self.low, self.high)
        require_levels(self.levels, self.stochastic_levels)

    @property
    def additive(self) -> bool:
        return not self.levels

    @property
    def window(self) -> Window:
        return Window(self.low, self.high, self.low, self.high)

    def step(
        self,
        w: NDArray[np.float64],
        request: NDArray[np.float64],
        drawn: NDArray[np.float64] | None,
        devices: Devices,
    ) -> NDArray[np.float64]:
        return w + request

    def compiled(self) -> Program:
        return Program(IDEAL)

    def moments(self, w: NDArray[np.float64], devices: Devices) -> Moments:
        one, zero = np.ones_like(w), np.zeros_like(w)
        return Moments(one, zero, -one, zero)
