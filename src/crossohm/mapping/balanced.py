"""One differential pair of cells per weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from crossohm.mapping.scheme import Grid, Mapping


@final
@dataclass(frozen=True)
class Balanced(Mapping):
    """Weight = difference of two conductances: ``w = (g+ - g-) / (1 - rho)``.

    One-sided: the cell that is not needed stays at ``rho``. Two-sided: both move around the middle of the range. With
    n-bit cells either form holds ``2**(n+1) - 1`` signed levels, zero included; a two-sided weight is rounded as a
    whole and then split, so both forms read back the same value.

    Source: T. P. Xiao et al., IEEE Circuits and Systems Magazine 22(4), 26-48, 2022.
    """

    grid: Grid
    two_sided: bool = False
    slices = 1
    slice_bits = 0
    signs = 2

    def targets(self, w: np.ndarray) -> np.ndarray:
        return (self._two_sided(w) if self.two_sided else self._one_sided(w))[None]

    def _one_sided(self, w: np.ndarray) -> np.ndarray:
        rho, span = self.grid.rho, self.grid.span
        return self.grid.snap(np.stack([rho + span * np.maximum(w, 0), rho + span * np.maximum(-w, 0)]))

    def _two_sided(self, w: np.ndarray) -> np.ndarray:
        rho, span, steps = self.grid.rho, self.grid.span, self.grid.steps
        if not steps:
            return np.stack([rho + span * (1 + w) / 2, rho + span * (1 - w) / 2])
        difference = np.rint(w * steps)
        positive = np.ceil((steps + difference) / 2)
        return self.grid.level(np.stack([positive, positive - difference]))

    def _sign_shares(self, w: np.ndarray) -> np.ndarray:
        return np.stack([np.full(w.shape, 0.5), np.full(w.shape, -0.5)]) if self.two_sided else super()._sign_shares(w)

    @property
    def coefficients(self) -> np.ndarray:
        return np.array([[1.0, -1.0]]) / self.grid.span

    @property
    def step(self) -> float:
        return self.grid.span / self.grid.steps if self.grid.steps else 0.0
