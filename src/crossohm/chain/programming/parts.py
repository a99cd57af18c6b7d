"""One chip description for the whole matrix, or one per physical array."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf
from typing import final

import numpy as np

from crossohm.backends import Array
from crossohm.chain.programming.record import Programmed, program, read_back, rewrite, update
from crossohm.errors import ParameterError
from crossohm.mapping import partition, weight_limits
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
        low, high = self.record.limits if self.params.core.mapping.weights.clipping else (-inf, inf)
        return (weights >= low) & (weights <= high)


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


def program_blocks(
    matrix: np.ndarray, params: Sequence[CrossSimParameters], seed: int, name: str, row_groups: int = 1
) -> tuple[Block, ...]:
    """Write ``matrix``; with several descriptions, one per array in row-major order, all share one weight range.

    Rows come in ``row_groups`` equal runs, each with arrays of its own.

    Raises:
        ParameterError: the number of descriptions is not the number of arrays.
    """
    rows, columns = grid_of(matrix.shape, params[0], row_groups)
    limits = _limits(matrix, params[0])
    if len(params) == 1:
        whole = (slice(0, matrix.shape[0]), slice(0, matrix.shape[1]))
        return (Block(*whole, params[0], program(matrix, params[0], seed, name, (rows, columns), limits)),)
    if len(params) != len(rows) * len(columns):
        raise ParameterError(
            "params",
            f"list of {len(params)}",
            f"the matrix {matrix.shape} occupies {len(rows)} x {len(columns)} arrays",
            allowed=f"one CrossSimParameters or a list of {len(rows) * len(columns)}, row by row",
        )
    places = [(r, c) for r in rows for c in columns]
    blocks = []
    for index, ((r, c), own) in enumerate(zip(places, params, strict=True)):
        part = matrix[r, c]
        one = ((slice(0, part.shape[0]),), (slice(0, part.shape[1]),))
        blocks.append(Block(r, c, own, program(part, own, seed, f"{name}/part{index}", one, limits)))
    return tuple(blocks)


def rewrite_blocks(blocks: tuple[Block, ...], matrix: np.ndarray) -> tuple[Block, ...]:
    """Write a whole matrix into existing arrays."""
    limits = _limits(matrix, blocks[0].params)
    return tuple(
        Block(b.rows, b.columns, b.params, rewrite(b.record, matrix[b.rows, b.columns], b.params, limits))
        for b in blocks
    )


def update_blocks(
    blocks: tuple[Block, ...], rows: np.ndarray, columns: np.ndarray, values: np.ndarray
) -> tuple[Block, ...]:
    """Write ``values`` at ``rows x columns``; blocks and cells that are not addressed stay as they are."""
    written = []
    for block in blocks:
        r = np.flatnonzero((rows >= block.rows.start) & (rows < block.rows.stop))
        c = np.flatnonzero((columns >= block.columns.start) & (columns < block.columns.stop))
        if not (len(r) and len(c)):
            written.append(block)
            continue
        here = (rows[r] - block.rows.start, columns[c] - block.columns.start)
        record = update(block.record, *here, values[np.ix_(r, c)], block.params)
        written.append(Block(block.rows, block.columns, block.params, record))
    return tuple(written)


def rewrite_parts(
    blocks: tuple[Block, ...], matrix: np.ndarray, parts: Sequence[tuple[slice, slice]]
) -> tuple[Block, ...]:
    """Write only ``parts`` of a whole matrix, if the weight range the arrays have suits it; else all of it.

    Cells outside the parts keep their conductance bit for bit. A range taken from the data suits as long as it holds
    that of the new matrix and is not more than twice as wide, which costs at most one bit of resolution.
    """
    weights, held = blocks[0].params.core.mapping.weights, blocks[0].record.limits
    low, high = _limits(matrix, blocks[0].params)
    suits = held[0] <= low and high <= held[1] and held[1] - held[0] <= 2 * (high - low)
    if not suits or not (weights.clipping or (held[0] <= matrix.min() and matrix.max() <= held[1])):
        return rewrite_blocks(blocks, matrix)
    every_row, every_column = np.arange(matrix.shape[0]), np.arange(matrix.shape[1])
    for rows, columns in parts:
        values = np.clip(matrix[rows, columns], *held)
        blocks = update_blocks(blocks, every_row[rows], every_column[columns], values)
    return blocks


def read_blocks(blocks: tuple[Block, ...]) -> np.ndarray:
    """The stored real matrix as the programmed conductances represent it."""
    if len(blocks) == 1:
        return read_back(blocks[0].record, blocks[0].params)
    shape = (max(b.rows.stop for b in blocks), max(b.columns.stop for b in blocks))
    matrix = np.empty(shape, dtype=blocks[0].record.conductance.dtype)
    for block in blocks:
        matrix[block.rows, block.columns] = read_back(block.record, block.params)
    return matrix


def _limits(matrix: np.ndarray, params: CrossSimParameters) -> tuple[float, float]:
    weights = params.core.mapping.weights
    return weight_limits(matrix, weights.min, weights.max, weights.percentile)


def block_parts(blocks: tuple[Block, ...], axis: int) -> tuple[slice, ...]:
    """Pieces of the stored matrix along one axis: output partitions (0) or input partitions (1)."""
    if len(blocks) == 1:
        record = blocks[0].record
        return record.row_parts if axis == 0 else record.column_parts
    spans = [block.part(axis) for block in blocks]
    return tuple(sorted({(span.start, span.stop): span for span in spans}.values(), key=lambda span: span.start))


def physical_arrays(blocks: tuple[Block, ...]) -> Iterator[PhysicalArray]:
    """Every crossbar of a core."""
    rows, columns = block_parts(blocks, 0), block_parts(blocks, 1)
    for block in blocks:
        record = block.record
        first = (rows.index(block.rows), columns.index(block.columns)) if len(blocks) > 1 else (0, 0)
        target = record.target
        for name, (r, c), s, k in record.arrays():
            cells = (s, k, record.row_parts[r], record.column_parts[c])
            units = record.units
            yield PhysicalArray(
                name=f"{record.name}/{name}",
                partition=(first[0] + r, first[1] + c),
                slice=s,
                sign="+-"[k] if record.conductance.shape[1] == 2 else "",
                target=target[cells],
                conductance=record.conductance[cells],
                unit_column=units["mvm"][s, r, record.column_parts[c]] if units else None,
                unit_row=units["vmm"][s, c, record.row_parts[r]] if units else None,
            )
