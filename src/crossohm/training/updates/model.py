"""What an update model is: how the state of a device answers a write that asks for a change.

States are normalised conductances ``w``. A write asks for the change ``request`` of each addressed device and leaves a
new state. A model says where states may be (`UpdateModel.window`), what differs from device to device
(`UpdateModel.devices`), what one write draws (`UpdateModel.draws`) and what it does (`UpdateModel.step`); who writes
what, when and in which order is said elsewhere (`crossohm.training.arrays`).

A user's own model is a class of a few lines::

    @update_model("HalfStep")
    class HalfStep(UpdateModel):
        source = "our lab, wafer 7"

        def step(self, w, request, drawn, devices):
            return w + 0.5 * request
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossohm._content import ByContent
from crossohm.errors import UnsupportedError
from crossohm.training.updates.program import Program
from crossohm.training.updates.stream import Law

Devices = Mapping[str, NDArray[np.generic]]
"""What differs from device to device, by name: arrays of the shape of the states they belong to."""


@dataclass(frozen=True)
class Window:
    """Where the states of a device are, normalised.

    Attributes:
        low: Lowest state that a weight is mapped to.
        high: Highest state that a weight is mapped to.
        floor: Lowest state that a device can take; writes are clipped to it.
        ceiling: Highest state that a device can take.
    """

    low: float = 0.1
    high: float = 1.0
    floor: float = 0.1
    ceiling: float = 1.0

    @property
    def width(self) -> float:
        """Length of the range that weights are mapped to."""
        return self.high - self.low

    @property
    def middle(self) -> float:
        """Centre of the range that weights are mapped to: the state of a weight of zero."""
        return (self.low + self.high) / 2


@dataclass(frozen=True)
class Moments:
    """Mean and variance of the change per unit of request, of each device at its state.

    A request of ``+d`` has mean ``d * mean_up`` and variance ``d * variance_up``; one of ``-d`` has mean
    ``d * mean_down`` (usually negative) and variance ``d * variance_down``.
    """

    mean_up: NDArray[np.float64]
    variance_up: NDArray[np.float64]
    mean_down: NDArray[np.float64]
    variance_down: NDArray[np.float64]


class UpdateModel(ByContent):
    """Base of all update models.

    Models hold parameters and no state; two built alike are equal.

    Attributes:
        source: Where the model comes from (paper, equation, data set).
        draws: What one write of one device draws: ``"nothing"``, a number uniform in [0, 1), or a standard normal one.
        levels: States that a device can have, equally spaced between its limits; 0: any.
        stochastic_levels: Round to levels at random, up as often as the state is near the upper one; False: to the
            nearest.
    """

    source: str = ""
    draws: Law = "nothing"
    levels: int = 0
    stochastic_levels: bool = False

    @property
    def additive(self) -> bool:
        """True if the mean change is the request and its noise normal, with a variance that depends on no state."""
        return False

    @property
    def window(self) -> Window:
        """Where states may be."""
        return Window()

    @property
    def visible_deviation(self) -> float:
        """Standard deviation of what reads see of a state from the state that writes go on from; new at each write."""
        return 0.0

    @property
    def pulse(self) -> float:
        """Mean size of the change made by one pulse, over both directions; 0 if changes have no smallest size."""
        return 0.0

    def devices(self, shape: tuple[int, ...], rng: np.random.Generator) -> Devices:
        """What differs from device to device, drawn once for an array of ``shape``; nothing by default."""
        return {}

    def limits(self, devices: Devices) -> tuple[NDArray[np.floating] | float, NDArray[np.floating] | float]:
        """Lowest and highest state of each device; the window's by default."""
        return self.window.floor, self.window.ceiling

    def step(
        self,
        w: NDArray[np.float64],
        request: NDArray[np.float64],
        drawn: NDArray[np.float64] | None,
        devices: Devices,
    ) -> NDArray[np.float64]:
        """States after one write, before they are clipped to the limits.

        Args:
            w: States, any shape, float64.
            request: Wanted changes, the shape of ``w``, none of them zero.
            drawn: One number of the law `draws` for each device; None if it draws nothing.
            devices: What differs from device to device, each array of the shape of ``w``.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say what a write does; define step()")

    def compiled(self) -> Program | None:
        """The step as compiled loops take it; None: writes of this model are computed by NumPy."""
        return None

    def moments(self, w: NDArray[np.float64], devices: Devices) -> Moments:
        """Mean and variance of the change per unit of request at the states ``w``, for small requests.

        Raises:
            UnsupportedError: the model does not say.
        """
        raise UnsupportedError(f"{type(self).__name__} does not say its moments; define moments() or write exactly")
