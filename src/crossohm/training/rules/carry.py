"""Periodic carry: a weight is a number of several digits, and only the lowest one learns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from crossohm.errors import ParameterError
from crossohm.training.arrays.settings import ArraySettings
from crossohm.training.arrays.weights import WeightArray, weight_array
from crossohm.training.checks import require_count, require_flag, require_number, require_one_of
from crossohm.training.rules.model import Numbers, Rule, RuleMatrix, up_to_the_next
from crossohm.training.rules.registry import rule

#: How a carried digit is set to zero: exactly, by a write of the wanted mean change, by a write of the average one.
RESETS = ("exact", "calibrated", "blind")


@rule("carry")
@final
@dataclass(frozen=True, eq=False)
class PeriodicCarry(Rule):
    """A weight is the sum of several arrays, the ``k``-th with ``base**-k`` of the range of the first.

    Updates are written to the last array only, so that a step is a larger part of its range. After a number of updates,
    digits of at least ``threshold`` of the range of their array are moved, whole, to the array above.

    Attributes:
        cores: Number of arrays.
        base: Ratio of the ranges of neighbouring arrays.
        frequency: Number of updates of an array after which it carries, from the second array on; None: 10, 100, ...
        threshold: Smallest digit that is carried, over the range of its array.
        reset: One of `RESETS`.
        exact_carries: Add carried digits exactly; False: by a write.
        read_low: All arrays are read and summed; False: the first one alone.
        noisy_reads: Digits are read as the forward read reads them; False: exactly.
        smallest: Digits are carried in multiples of this part of the range of the array above; 0: as they are.

    Raises:
        ParameterError: a parameter is out of its range.
    """

    cores: int = 3
    base: float = 5.0
    frequency: Sequence[int] | None = None
    threshold: float = 0.5
    reset: str = "calibrated"
    exact_carries: bool = False
    read_low: bool = True
    noisy_reads: bool = False
    smallest: float = 0.0

    source = "S. Agarwal et al., Symp. VLSI Technology 2017, https://doi.org/10.23919/VLSIT.2017.7998164"

    def __post_init__(self) -> None:
        require_count("cores", self.cores, at_least=2)
        require_number("base", self.base, above=1)
        given = tuple(10 ** (k + 1) for k in range(self.cores - 1)) if self.frequency is None else self.frequency
        object.__setattr__(self, "frequency", tuple(given))
        if len(given) != self.cores - 1:
            wanted = f"{self.cores - 1} numbers, one for each array but the first"
            raise ParameterError("frequency", tuple(given), f"{len(given)} numbers", allowed=wanted)
        for every in given:
            require_count("frequency", every, at_least=1)
        require_number("threshold", self.threshold, at_least=0)
        require_one_of("reset", self.reset, RESETS, "reset")
        for name in ("exact_carries", "read_low", "noisy_reads"):
            require_flag(name, getattr(self, name))
        require_number("smallest", self.smallest, at_least=0, at_most=0.5)

    def matrix(
        self, settings: ArraySettings, shape: tuple[int, int], limit: float, seeds: Sequence[int], name: str
    ) -> RuleMatrix:
        arrays = [
            weight_array(settings, shape, limit / self.base**k, seeds, f"{name}/digit{k}") for k in range(self.cores)
        ]
        return _CarryMatrix(self, arrays)


@final
class _CarryMatrix(RuleMatrix):
    def __init__(self, rule: PeriodicCarry, arrays: list[WeightArray]) -> None:
        super().__init__(
            {f"digit{k}": array for k, array in enumerate(arrays)}, {"counts": np.zeros(len(arrays), np.int64)}
        )
        self._rule, self._digits = rule, arrays
        self._frequency: tuple[int, ...] = (0, *(rule.frequency or ()))

    @property
    def _read_digits(self) -> list[WeightArray]:
        return self._digits if self._rule.read_low else self._digits[:1]

    def forward(self, x: Numbers) -> Numbers:
        return np.asarray(sum(digit.forward(x) for digit in self._read_digits))

    def backward(self, p: Numbers) -> Numbers:
        return np.asarray(sum(digit.backward(p) for digit in self._read_digits))

    def read(self) -> Numbers:
        return np.asarray(sum(digit.read() for digit in self._read_digits))

    def set(self, weights: Numbers) -> None:
        self._digits[0].set(weights)
        for digit in self._digits[1:]:
            digit.set(np.zeros(self.shape))
        self.digital["counts"][:] = 0

    def update(self, rows: Numbers, columns: Numbers, lr: float) -> None:
        lowest = self._digits[-1]
        for part in up_to_the_next(self.digital["counts"][-1], self._frequency[-1], rows.shape[1]):
            lowest.update(rows[:, part], columns[:, part], lr)
            self._counted(part.stop - part.start)

    def burst(self, changes: Numbers, lr: float = 1.0) -> None:
        self._digits[-1].burst(changes, lr)
        self._counted(1)

    def _counted(self, updates: int) -> None:
        """Count updates of the lowest digit and carry where it is time."""
        counts = self.digital["counts"]
        counts[-1] += updates
        for k in range(len(self._digits) - 1, 0, -1):
            if counts[k] < self._frequency[k]:
                return
            counts[k] = 0
            self._carry(k)
            counts[k - 1] += 1

    def _carry(self, k: int) -> None:
        """Move the large digits of array ``k`` to the array above."""
        rule, low, high = self._rule, self._digits[k], self._digits[k - 1]
        digits = self._noisy(low) if rule.noisy_reads else low.read()
        carried = np.where(np.abs(digits) >= rule.threshold * low.limit, digits, 0)
        if rule.smallest:
            step = rule.smallest * 2 * high.limit
            carried = np.rint(carried / step) * step
        if rule.reset == "exact":
            low.set(digits - carried, where=carried != 0)
        elif rule.reset == "calibrated":
            low.write_calibrated(-carried)
        else:
            low.write(-carried)
        if rule.exact_carries:
            high.shift(carried)
        else:
            high.write(carried)

    def _noisy(self, array: WeightArray) -> Numbers:
        """All weights of an array, read column by column."""
        eye = np.broadcast_to(
            np.eye(self.shape[1], dtype=array.cells.state.dtype), (self.replicas, *[self.shape[1]] * 2)
        )
        return array.forward(eye).transpose(0, 2, 1)
