"""A model's step as compiled loops take it: which formula, and its numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

IDEAL: Final = 0
ANALYTIC_ASYMMETRIC: Final = 1
ANALYTIC_SYMMETRIC: Final = 2
LOOKUP: Final = 3
LINEAR_STEP: Final = 4
EXPONENTIAL_STEP: Final = 5
POWER_STEP: Final = 6
PIECEWISE_STEP: Final = 7
REFERENCE_STEP: Final = 8


def _empty(*shape: int) -> NDArray[np.float64]:
    return np.zeros(shape)


@final
@dataclass(frozen=True, eq=False)
class Program:
    """What a compiled step computes with.

    Attributes:
        kind: The formula.
        scalars: Its parameters; their order is the formula's.
        fields: Names of the arrays of `UpdateModel.devices` that it reads, in its order.
        index: Name of the integer array of `UpdateModel.devices` that chooses a table per device, or empty.
        grids: Per table: first conductance, columns per unit of conductance, 1/(mean step up), 1/(mean step down).
        means: Mean changes ``(table, direction, column)``.
        errors: Quantiles of the deviations from the mean ``(table, direction, column, probability)``.
        nearest: States take the nearest column; False: means and deviations are linear between columns.
        nonlinear: Steps depend on the state.
        even: Probabilities are equally spaced.
        cdf: Probabilities of the quantiles.
        density: One over the steps of ``cdf``.
        guide: Where in ``cdf`` the search for a probability begins, for equal parts of [0, 1).
    """

    kind: int
    scalars: NDArray[np.float64] = field(default_factory=lambda: _empty(1))
    fields: tuple[str, ...] = ()
    index: str = ""
    grids: NDArray[np.float64] = field(default_factory=lambda: _empty(1, 4))
    means: NDArray[np.float64] = field(default_factory=lambda: _empty(1, 2, 2))
    errors: NDArray[np.float32] = field(default_factory=lambda: np.zeros((1, 2, 2, 2), np.float32))
    nearest: bool = False
    nonlinear: bool = True
    even: bool = False
    cdf: NDArray[np.float64] = field(default_factory=lambda: np.array([0.0, 1.0]))
    density: NDArray[np.float64] = field(default_factory=lambda: np.ones(1))
    guide: NDArray[np.int32] = field(default_factory=lambda: np.zeros(1, np.int32))
