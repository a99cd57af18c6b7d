"""A front end's contraction restricted to the matrix columns of one array."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from crossohm.backends import Array
from crossohm.chain.contraction.contraction import Contraction, Kernel


@final
@dataclass(frozen=True)
class ColumnPart:
    """The columns ``start .. stop`` of a matrix as a matrix of their own; inputs stay those of the whole.

    Attributes:
        whole: The contraction of the whole matrix.
        start: First column.
        stop: Column after the last.
    """

    whole: Contraction
    start: int
    stop: int

    @property
    def row_groups(self) -> int:
        return self.whole.row_groups

    def row_group(self, index: int) -> ColumnPart:
        return ColumnPart(self.whole.row_group(index), self.start, self.stop)

    @property
    def constants(self) -> int:
        return self.whole.constants

    def prepare(self, weights: Array, start: int) -> Kernel:
        return self.whole.prepare(weights, self.start + start)

    def contract(self, x: Array, kernel: Kernel) -> Array:
        return self.whole.contract(x, kernel)

    def windows(self, x: Array) -> Array:
        return self.whole.windows(x)[:, self.start : self.stop]

    def fold(self, y: Array, x: Array) -> Array:
        return self.whole.fold(y, x)
