"""Devices that change by what is asked for."""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import NDArray

from crossohm.training.updates.model import Devices, Moments, UpdateModel
from crossohm.training.updates.registry import update_model


@update_model("ideal")
@final
class IdealUpdate(UpdateModel):
    """Every write changes the state by what was asked for; only the window limits it."""

    source = "definition"

    def step(
        self,
        w: NDArray[np.floating],
        request: NDArray[np.floating],
        drawn: NDArray[np.floating] | None,
        devices: Devices,
    ) -> NDArray[np.floating]:
        return w + request

    def moments(self, w: NDArray[np.floating], devices: Devices) -> Moments:
        one, zero = np.ones_like(w), np.zeros_like(w)
        return Moments(one, zero, -one, zero)
