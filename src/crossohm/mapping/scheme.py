"""What a mapping scheme is, and the conductance grid all schemes write on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Grid:
    """Programmable conductances of one cell, normalised so that the highest is 1.

    Attributes:
        rho: Lowest conductance.
        bits: Resolution; levels are ``rho + (1 - rho) * k / (2**bits - 1)``. 0 means continuous.
    """

    rho: float
    bits: int

    @property
    def span(self) -> float:
        """Usable conductance range, ``1 - rho``."""
        return 1.0 - self.rho

    @property
    def steps(self) -> int:
        """Number of steps between the lowest and the highest level (0 if continuous)."""
        return int(2**self.bits) - 1 if self.bits else 0

    def level(self, k: np.ndarray) -> np.ndarray:
        """Conductance of level number ``k``."""
        return self.rho + self.span * k / self.steps

    def snap(self, g: np.ndarray) -> np.ndarray:
        """Nearest programmable conductance, ties to even; ``g`` itself if continuous."""
        if not self.bits:
            return g
        return self.level(np.rint((g - self.rho) * (self.steps / self.span)))


class Mapping(ABC):
    """How weights in [-1, 1] become conductances in [rho, 1].

    A weight occupies ``slices * signs`` cells; cells of one (slice, sign) form one physical array. Schemes decode
    linearly: ``w = sum_sk coefficients[s, k] * g[s, k] - offset``. Where a unit line is used, the digital offset is
    replaced by ``sum_sk coefficients[s, k] * unit[s, k]`` measured in the array.
    """

    slices: int
    signs: int
    #: bits held by one slice; 0 if the scheme is not sliced
    slice_bits: int

    @abstractmethod
    def targets(self, w: np.ndarray) -> np.ndarray:
        """Target conductances of weights ``w``; shape ``(slices, signs, *w.shape)``."""

    @property
    @abstractmethod
    def coefficients(self) -> np.ndarray:
        """Decoding coefficients; shape ``(slices, signs)``."""

    @property
    def offset(self) -> float:
        """Decoded value of an array in which every weight is zero, to be subtracted (0 for differential pairs)."""
        return 0.0

    @property
    def unit_targets(self) -> np.ndarray | None:
        """Target conductance of unit-line cells, shape ``(slices,)``; None if the scheme has no unit line."""
        return None

    @property
    @abstractmethod
    def step(self) -> float:
        """Smallest change of one cell's conductance the scheme writes; 0 if continuous."""

    def slopes(self, w: np.ndarray) -> np.ndarray:
        """Change of the target conductances per change of the weight, ``(slices, signs, *w.shape)``.

        Rounding is passed straight through; the slices of a weight take part in proportion to their significance, and
        of a pair the cell that stores the weight's sign. ``sum_sk coefficients[s, k] * slopes[s, k] = 1``.
        """
        per_slice = np.broadcast_to(1.0 / self.coefficients[:, 0].sum(), (self.slices,))
        return np.asarray(np.multiply.outer(per_slice, self._sign_shares(w)))

    def _sign_shares(self, w: np.ndarray) -> np.ndarray:
        """How much the cells of each sign take part in a change of the weight, ``(signs, *w.shape)``."""
        if self.signs == 1:
            return np.ones((1, *w.shape))
        positive = (np.sign(w) + 1) / 2
        return np.stack([positive, positive - 1])

    def decode(self, g: np.ndarray, unit: np.ndarray | None = None) -> np.ndarray:
        """Weights in [-1, 1] held by conductances ``g`` of shape ``(slices, signs, outputs, inputs)``.

        Args:
            g: Conductances, normalised.
            unit: Conductances of the unit line each output is compared with, ``(slices, outputs, inputs)``.
        """
        weights = np.tensordot(self.coefficients, g, axes=([0, 1], [0, 1]))
        if unit is None:
            return np.asarray(weights - self.offset)
        return np.asarray(weights - np.tensordot(self.coefficients[:, 0], unit, axes=(0, 0)))
