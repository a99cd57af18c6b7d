"""Mixed precision: the gradient is summed digitally, and whole pulses of it are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from crossohm.training.arrays.settings import ArraySettings
from crossohm.training.arrays.weights import WeightArray, weight_array
from crossohm.training.checks import require_count, require_number
from crossohm.training.rules.model import Numbers, Rule, RuleMatrix, granularity_of, up_to_the_next
from crossohm.training.rules.registry import rule


@rule("mixed_precision")
@final
@dataclass(frozen=True, eq=False)
class MixedPrecision(Rule):
    """Outer products are added to digital numbers; what is worth whole pulses is written and taken off them.

    Attributes:
        granularity: Change of a weight that is worth a pulse; None: the model's average pulse, see `granularity_of`.
        every: Number of updates after which pulses are written.

    Raises:
        ParameterError: a parameter is out of its range.
    """

    granularity: float | None = None
    every: int = 1

    source = "S. R. Nandakumar et al., Front. Neurosci. 14:406, 2020, https://doi.org/10.3389/fnins.2020.00406"

    def __post_init__(self) -> None:
        if self.granularity is not None:
            require_number("granularity", self.granularity, above=0)
        require_count("every", self.every, at_least=1)

    def matrix(
        self, settings: ArraySettings, shape: tuple[int, int], limit: float, seeds: Sequence[int], name: str
    ) -> RuleMatrix:
        return _MixedMatrix(self, weight_array(settings, shape, limit, seeds, name))


@final
class _MixedMatrix(RuleMatrix):
    def __init__(self, rule: MixedPrecision, array: WeightArray) -> None:
        wanted = np.zeros((array.replicas, *array.shape))
        super().__init__({"weights": array}, {"wanted": wanted, "count": np.zeros((), np.int64)})
        self._array, self._every = array, rule.every
        self._granularity = granularity_of(array, rule.granularity)

    def forward(self, x: Numbers) -> Numbers:
        return self._array.forward(x)

    def backward(self, p: Numbers) -> Numbers:
        return self._array.backward(p)

    def read(self) -> Numbers:
        return self._array.read()

    def set(self, weights: Numbers) -> None:
        self._array.set(weights)
        self.digital["wanted"][...] = 0

    def update(self, rows: Numbers, columns: Numbers, lr: float) -> None:
        for part in up_to_the_next(int(self.digital["count"]), self._every, rows.shape[1]):
            self.digital["wanted"] += lr * (rows[:, part].transpose(0, 2, 1) @ columns[:, part])
            self._counted(part.stop - part.start)

    def burst(self, changes: Numbers, lr: float = 1.0) -> None:
        self.digital["wanted"] += lr * changes
        self._counted(1)

    def _counted(self, updates: int) -> None:
        self.digital["count"] += updates
        if self.digital["count"] % self._every:
            return
        pulses = np.trunc(self.digital["wanted"] / self._granularity) * self._granularity
        if pulses.any():
            self.digital["wanted"] -= pulses
            self._array.write(pulses)
