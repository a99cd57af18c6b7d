"""Devices whose steps saturate towards the ends of their range, with write noise: CrossSim's analytic model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from crossohm.training.checks import require_flag, require_levels, require_number, require_one_of, require_range
from crossohm.training.updates.model import Devices, Moments, UpdateModel, Window
from crossohm.training.updates.program import ANALYTIC_ASYMMETRIC, ANALYTIC_SYMMETRIC, Program
from crossohm.training.updates.registry import update_model
from crossohm.training.updates.stream import Law

#: How write noise depends on the state: constant, proportional to it, inverse to it.
NOISE_LAWS = ("independent", "proportional", "inverse")


@update_model("analytic")
@final
@dataclass(frozen=True, eq=False)
class AnalyticUpdate(UpdateModel):
    r"""Steps that shrink exponentially on the way to either end, and noise as of a random walk.

    With the range ``R = high - low`` and ``d = request / R``, an asymmetric device changes by
    ``(R / (1 - e^-a) + low - w) (1 - e^(-a d))`` for ``d > 0``, and mirrored for ``d < 0``; a symmetric one moves along
    one logistic curve in both directions. The noise added is normal with deviation ``write_noise sqrt(|change| R)``,
    times ``w / R`` or ``R / w``, so that splitting a write changes nothing in its statistics.

    Attributes:
        nonlinearity: Strength ``a``; 0: linear.
        symmetric: Up and down move along the same curve.
        write_noise: Deviation of a write over the whole range, as a fraction of the range.
        noise_law: One of `NOISE_LAWS`.
        low: Lowest state.
        high: Highest state.
        levels: See `UpdateModel`.
        stochastic_levels: See `UpdateModel`.

    Raises:
        ParameterError: a parameter is out of its range.
    """

    nonlinearity: float = 0.0
    symmetric: bool = False
    write_noise: float = 0.0
    noise_law: str = "independent"
    low: float = 0.1
    high: float = 1.0
    levels: int = 0
    stochastic_levels: bool = False

    source = "CrossSim 0.3 manual (Sandia); S. Agarwal et al., IJCNN 2016, https://doi.org/10.1109/IJCNN.2016.7727298"

    def __post_init__(self) -> None:
        require_number("nonlinearity", self.nonlinearity, at_least=0, at_most=500)
        require_flag("symmetric", self.symmetric)
        require_number("write_noise", self.write_noise, at_least=0)
        require_one_of("noise_law", self.noise_law, NOISE_LAWS, "law of write noise")
        require_range(self.low, self.high)
        if self.noise_law == "inverse" and self.write_noise:
            require_number("low", self.low, above=0)
        require_levels(self.levels, self.stochastic_levels)

    @property
    def additive(self) -> bool:
        constant = self.noise_law == "independent" or not self.write_noise
        return self.nonlinearity == 0 and constant and not self.levels

    @property
    def window(self) -> Window:
        return Window(self.low, self.high, self.low, self.high)

    @property
    def draws(self) -> Law:  # type: ignore[override]
        return "normal" if self.write_noise else "nothing"

    def step(
        self,
        w: NDArray[np.float64],
        request: NDArray[np.float64],
        drawn: NDArray[np.float64] | None,
        devices: Devices,
    ) -> NDArray[np.float64]:
        change = self._change(w, request)
        if drawn is not None:
            change = change + self._deviation(w, change) * drawn
        return w + change

    def _change(self, w: NDArray[np.float64], d: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean change."""
        low, width, alpha = self.low, self.window.width, self.nonlinearity
        if alpha == 0:
            return d
        if not self.symmetric:
            reach = width / (1 - np.exp(-alpha))
            up = (reach + low - w) * (1 - np.exp(-alpha * np.maximum(d, 0) / width))
            down = (low + width - reach - w) * (1 - np.exp(alpha * np.minimum(d, 0) / width))
            return np.asarray(np.where(d > 0, up, down))
        a = width * (np.exp(alpha) + 1) / (np.exp(alpha) - 1)
        b = low - width / (np.exp(alpha) - 1)
        return np.asarray(a / (1 + np.exp(-2 * alpha * d / width) * (a / (w - b) - 1)) - w + b)

    def _deviation(self, w: NDArray[np.float64], change: NDArray[np.float64]) -> NDArray[np.float64]:
        """Standard deviation of the noise of a write that changes states by ``change`` on average."""
        width = self.window.width
        deviation = self.write_noise * np.sqrt(np.abs(change) * width)
        if self.noise_law == "proportional":
            deviation = deviation * w / width
        if self.noise_law == "inverse":
            deviation = deviation * width / w
        return np.asarray(deviation)

    def moments(self, w: NDArray[np.float64], devices: Devices) -> Moments:
        small = 1e-6 * self.window.width
        up, down = self._change(w, np.full_like(w, small)), self._change(w, np.full_like(w, -small))
        noise = [self._deviation(w, change) ** 2 / small for change in (up, down)]
        return Moments(up / small, noise[0], down / small, noise[1])

    def compiled(self) -> Program:
        law = float(NOISE_LAWS.index(self.noise_law))
        scalars = np.array([self.low, self.window.width, self.nonlinearity, self.write_noise, law])
        return Program(ANALYTIC_SYMMETRIC if self.symmetric else ANALYTIC_ASYMMETRIC, scalars)
