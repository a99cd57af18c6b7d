"""Read noise of the devices: fresh in every read, worked out at the outputs where that has the same distribution."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from crossohm.errors import ParameterError
from crossohm.training.checks import require_flag, require_number, require_one_of
from crossohm.training.updates.model import Window
from crossohm.training.updates.stream import DrawStream

NOISE_LAWS = ("additive", "proportional")
DISTRIBUTIONS = ("normal", "uniform", "telegraph")


@final
@dataclass(frozen=True)
class ReadNoise:
    """Noise of each device in each read, independent from read to read.

    Normal noise is drawn once per output, with the variance that the devices of its line add up to. Other
    distributions, and noise that is kept within the range, are drawn for every device of every read.

    Attributes:
        deviation: Standard deviation, over the range of the states ("additive") or over the state ("proportional").
        law: One of `NOISE_LAWS`, or a function that gives the standard deviation of states at an array of states.
        distribution: One of `DISTRIBUTIONS`: normal, uniform, or one of two values (random telegraph noise).
        within_range: Clip what is read of a device to the range that weights are mapped to.

    Raises:
        ParameterError: a parameter is out of its range.
    """

    deviation: float = 0.0
    law: str | Callable[[NDArray[np.floating]], NDArray[np.floating]] = "additive"
    distribution: str = "normal"
    within_range: bool = False

    def __post_init__(self) -> None:
        require_number("deviation", self.deviation, at_least=0)
        if not callable(self.law):
            require_one_of("law", self.law, NOISE_LAWS, "law of read noise")
        require_one_of("distribution", self.distribution, DISTRIBUTIONS, "distribution of read noise")
        require_flag("within_range", self.within_range)

    @property
    def silent(self) -> bool:
        """True if devices are read without noise."""
        return not (callable(self.law) or self.deviation)

    @property
    def per_device(self) -> bool:
        """True if noise must be drawn for each device."""
        return not self.silent and (self.distribution != "normal" or self.within_range)

    def variance(self, w: NDArray[np.floating], window: Window) -> NDArray[np.floating]:
        """Variance of what is read of each state, of the shape of ``w``."""
        return np.asarray(self._deviation(w, window)) ** 2

    def _deviation(self, w: NDArray[np.floating], window: Window) -> NDArray[np.floating]:
        if callable(self.law):
            found = np.asarray(self.law(w))
            if found.shape != w.shape:
                problem = f"gives an array of shape {found.shape} for states of shape {w.shape}"
                raise ParameterError("law", self.law, problem, allowed="one standard deviation for each state")
            return found
        if self.law == "proportional":
            return np.asarray(self.deviation * w)
        return np.full_like(w, self.deviation * window.width)

    def disturbed(self, w: NDArray[np.floating], window: Window, stream: DrawStream) -> NDArray[np.floating]:
        """One noisy read of each device.

        Args:
            w: States of one replica.
            window: Of the devices.
            stream: Random numbers.
        """
        if self.distribution == "normal":
            drawn = stream.draw("normal", w.size)
        else:
            uniform = stream.uniform(w.size)
            drawn = np.sqrt(12) * (uniform - 0.5) if self.distribution == "uniform" else np.sign(uniform - 0.5)
        found = w + (self._deviation(w, window) * np.asarray(drawn).reshape(w.shape)).astype(w.dtype)
        return np.asarray(np.clip(found, window.low, window.high) if self.within_range else found)

    def describe(self) -> str:
        """One line: what the noise is."""
        if self.silent:
            return "none"
        law = "by a function of the state" if callable(self.law) else f"{self.deviation:g} {self.law}"
        return f"{law}, {self.distribution}, {'drawn per device' if self.per_device else 'drawn per output'}"
