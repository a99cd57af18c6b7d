"""One cell per weight, with zero in the middle of the conductance range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from crossohm.mapping.scheme import Grid, Mapping


@final
@dataclass(frozen=True)
class Offset(Mapping):
    """Weight = conductance above or below the middle: ``g = low + usable * (w + 1) / 2``.

    With n-bit cells the lowest level is left unused, so that zero falls on a level; then
    ``usable = (1 - rho) * (2**n - 2) / (2**n - 1)``. The current of the middle conductance is subtracted digitally, or
    by a unit line of cells at the middle conductance.

    Source: T. P. Xiao et al., IEEE Circuits and Systems Magazine 22(4), 26-48, 2022.
    """

    grid: Grid
    unit_line: bool = False
    slices = 1
    slice_bits = 0
    signs = 1

    @property
    def _usable(self) -> float:
        steps = self.grid.steps
        return self.grid.span * (steps - 1) / steps if steps else self.grid.span

    @property
    def _middle(self) -> float:
        return 1.0 - self._usable / 2

    def targets(self, w: np.ndarray) -> np.ndarray:
        return self.grid.snap(self._middle + self._usable * w / 2)[None, None]

    @property
    def coefficients(self) -> np.ndarray:
        return np.array([[2.0 / self._usable]])

    @property
    def offset(self) -> float:
        return 2.0 * self._middle / self._usable

    @property
    def unit_targets(self) -> np.ndarray | None:
        return np.array([self._middle]) if self.unit_line else None

    @property
    def step(self) -> float:
        return self.grid.span / self.grid.steps if self.grid.steps else 0.0
