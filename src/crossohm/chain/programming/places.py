"""The physical arrays of a matrix, one after another: the one enumeration that all others follow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True)
class ArrayPlace:
    """Where an array, or both arrays of interleaved pairs, stand among those of a matrix.

    Attributes:
        name: Its name within the core, e.g. ``array[0,1]/slice0/+``; interleaved pairs end in ``+-``.
        partition: Output and input partition: those of matrix rows and columns.
        weight_slice: Weight slice, 0 = least significant.
        signs: Signs that stand here: one, or both of interleaved pairs.
        paired: True if weights are pairs of cells.
        rows: Matrix rows it holds (array columns).
        columns: Matrix columns it holds (array rows).
    """

    name: str
    partition: tuple[int, int]
    weight_slice: int
    signs: slice
    paired: bool
    rows: slice
    columns: slice

    @property
    def sign(self) -> str:
        """``"+"``, ``"-"``, ``"+-"`` or ``""`` where weights are no pairs."""
        return "+-"[self.signs] if self.paired else ""

    @property
    def cells(self) -> tuple[int, slice, slice, slice]:
        """Index of its cells in ``(slices, signs, rows, columns)``; gives ``(signs, rows, columns)``."""
        return self.weight_slice, self.signs, self.rows, self.columns


def places(
    row_parts: Sequence[slice], column_parts: Sequence[slice], slices: int, signs: int, *, interleaved: bool = False
) -> Iterator[ArrayPlace]:
    """Every array, by output partition, input partition, slice and sign.

    Args:
        row_parts: Matrix rows of each output partition.
        column_parts: Matrix columns of each input partition.
        slices: Number of weight slices.
        signs: Cells per weight and slice: 1, or 2 for pairs.
        interleaved: True if both cells of a pair stand in one place.
    """
    together = signs if interleaved else 1
    for r, rows in enumerate(row_parts):
        for c, columns in enumerate(column_parts):
            for s in range(slices):
                for k in range(0, signs, together):
                    here = slice(k, k + together)
                    sign = "+-"[here] if signs == 2 else "g"
                    yield ArrayPlace(f"array[{r},{c}]/slice{s}/{sign}", (r, c), s, here, signs == 2, rows, columns)
