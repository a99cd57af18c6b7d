"""The pieces of a matrix that have hardware of their own, and the crossbars they are made of."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import final

import numpy as np

from crossohm.backends import Array
from crossohm.chain.programming.record import Programmed
from crossohm.mapping import partition
from crossohm.params import CrossSimParameters, PartitionStrategy


@final
@dataclass(frozen=True)
class Block:
    """A piece of the stored matrix with one hardware description.

    Attributes:
        rows: Matrix rows it holds.
        columns: Matrix columns it holds.
        params: Its hardware.
        record: Its programmed arrays.
    """

    rows: slice
    columns: slice
    params: CrossSimParameters
    record: Programmed

    def part(self, axis: int) -> slice:
        """Its matrix rows (0) or columns (1)."""
        return self.rows if axis == 0 else self.columns

    def follows(self, weights: Array) -> Array:
        """True where a small change of ``weights``, of any library, reaches the cells: where nothing is clipped."""
        low, high = self.clips_beyond
        return (weights >= low) & (weights <= high)

    @property
    def clips_beyond(self) -> tuple[float, float]:
        """Limits beyond which weights are clipped; infinite where they are not."""
        return self.record.limits if self.params.core.mapping.weights.clipping else (-inf, inf)


@final
@dataclass(frozen=True)
class PhysicalArray:
    """One crossbar of a core.

    Attributes:
        name: e.g. ``core/array[0,0]/slice0/+``.
        partition: Output and input partition.
        slice: Weight slice, 0 = least significant.
        sign: ``"+"``, ``"-"`` or ``""`` where weights are not pairs.
        target: Conductances asked for, ``(outputs, inputs)``, normalised to Gmax.
        conductance: Conductances held, same shape.
        unit_column: Conductances of the line beside the outputs that MVMs subtract from them, ``(inputs,)``; None where
            offsets are not subtracted by unit lines.
        unit_row: The same beside the inputs, for VMMs, ``(outputs,)``.
    """

    name: str
    partition: tuple[int, int]
    slice: int
    sign: str
    target: np.ndarray
    conductance: np.ndarray
    unit_column: np.ndarray | None
    unit_row: np.ndarray | None

    @property
    def rows(self) -> int:
        """Input lines of an MVM."""
        return int(self.conductance.shape[1])

    @property
    def columns(self) -> int:
        """Output lines of an MVM, unit column included."""
        return int(self.conductance.shape[0]) + (self.unit_column is not None)


def grid_of(
    shape: tuple[int, int], params: CrossSimParameters, row_groups: int = 1
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Output and input partitions of a stored matrix of ``shape``, no array holding rows of two groups."""
    core, weights = params.core, params.core.mapping.weights
    size = shape[0] // row_groups
    rows = partition(
        size,
        core.cols_max,
        weights.row_partition_priority,
        weights.row_partition_strategy is PartitionStrategy.MAX,
    )
    columns = partition(
        shape[1],
        core.rows_max,
        weights.col_partition_priority,
        weights.col_partition_strategy is PartitionStrategy.MAX,
    )
    starts = range(0, size * row_groups, size) if row_groups > 1 else (0,)
    return tuple(slice(start + part.start, start + part.stop) for start in starts for part in rows), columns
