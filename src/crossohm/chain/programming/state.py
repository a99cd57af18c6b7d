"""A programmed core as a value: everything that is written, and nothing that multiplies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol, final

import numpy as np

from crossohm.chain.dtypes import compute_dtype
from crossohm.chain.indexing import Region
from crossohm.chain.operation import Operation
from crossohm.chain.programming.parts import Block, PhysicalArray, grid_of
from crossohm.chain.programming.record import Programmed, program, read_back, rewrite, update
from crossohm.errors import InputError, ParameterError, ShapeError
from crossohm.mapping import expand_complex, join_complex, region_blocks, weight_limits
from crossohm.params import CrossSimParameters


@final
@dataclass(frozen=True)
class CoreState:
    """A programmed core: hardware, arrays, shape, dtype and name. Writing gives another state.

    Attributes:
        blocks: One, or one per array if arrays have descriptions of their own.
        shape: Rows and columns of the matrix; complex matrices are stored as real ones of twice the size.
        dtype: Name of the matrix's dtype.
        seed: The chip.
        name: Name of the core.
    """

    blocks: tuple[Block, ...]
    shape: tuple[int, int]
    dtype: str
    seed: int
    name: str

    # --- what it is ---------------------------------------------------------------------------------------------------

    @cached_property
    def params(self) -> CrossSimParameters:
        """The hardware (of the first array, if arrays differ)."""
        return self.blocks[0].params

    @cached_property
    def complex_valued(self) -> bool:
        """True if the arrays hold a complex matrix, or are driven with complex inputs."""
        return holds_complex(self.params)

    @property
    def limits(self) -> tuple[float, float]:
        """Lowest and highest representable weight."""
        return self.blocks[0].record.limits

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        """The dtype in which NumPy holds the matrix."""
        return np.dtype("float32" if self.dtype == "bfloat16" else self.dtype)

    @cached_property
    def stored_shape(self) -> tuple[int, int]:
        """Rows and columns of the real matrix in the arrays."""
        return max(block.rows.stop for block in self.blocks), max(block.columns.stop for block in self.blocks)

    def parts(self, axis: int) -> tuple[slice, ...]:
        """Pieces of the stored matrix along an axis: output partitions (0), or input partitions (1), of an MVM."""
        if len(self.blocks) == 1:
            record = self.blocks[0].record
            return record.row_parts if axis == 0 else record.column_parts
        spans = [block.part(axis) for block in self.blocks]
        return tuple(sorted({(span.start, span.stop): span for span in spans}.values(), key=lambda span: span.start))

    def first_partition(self, block: Block) -> tuple[int, int]:
        """Partition of the core with which a block begins."""
        if len(self.blocks) == 1:
            return 0, 0
        return self.parts(0).index(block.rows), self.parts(1).index(block.columns)

    def arrays(self) -> Iterator[PhysicalArray]:
        """Every crossbar, by partition, slice and sign."""
        for block in self.blocks:
            record, (first_row, first_column), target = block.record, self.first_partition(block), block.record.target
            for place in record.places():
                (r, c), units = place.partition, record.units
                yield PhysicalArray(
                    name=f"{record.name}/{place.name}",
                    partition=(first_row + r, first_column + c),
                    slice=place.weight_slice,
                    sign=place.sign,
                    target=target[place.cells][0],
                    conductance=record.conductance[place.cells][0],
                    unit_column=units[Operation.MVM][place.weight_slice, r, place.columns] if units else None,
                    unit_row=units[Operation.VMM][place.weight_slice, c, place.rows] if units else None,
                )

    # --- reading ------------------------------------------------------------------------------------------------------

    def stored(self, records: Sequence[Programmed] | None = None) -> np.ndarray:
        """The real matrix that the conductances represent.

        Args:
            records: What to read in the place of the arrays of each block.
        """
        held = [block.record for block in self.blocks] if records is None else records
        if len(self.blocks) == 1:
            return read_back(held[0], self.params)
        matrix = np.empty(self.stored_shape, dtype=held[0].conductance.dtype)
        for block, record in zip(self.blocks, held, strict=True):
            matrix[block.rows, block.columns] = read_back(record, block.params)
        return matrix

    def read(self) -> np.ndarray:
        """The matrix that the conductances represent, in its units and dtype; see `AnalogCore.get_matrix`."""
        stored, dtype = self.stored(), self.numpy_dtype
        matrix = join_complex(stored) if self.complex_valued else stored
        if dtype.kind in "iub":
            matrix = np.rint(matrix.real)
        elif dtype.kind == "f":
            matrix = matrix.real  # a real matrix on complex hardware: its imaginary blocks are not the user's
        return matrix.astype(dtype)

    # --- writing ------------------------------------------------------------------------------------------------------

    def rewritten(
        self, matrix: np.ndarray, dtype: str, parts: Sequence[tuple[slice, slice]] | None = None
    ) -> CoreState:
        """The state after a whole matrix of the same shape was written.

        Args:
            matrix: The weights.
            dtype: Name of their dtype.
            parts: Rows and columns outside which nothing has changed; cells there keep their conductances bit for bit.
                Only if `may_write_parts`.

        Raises:
            ShapeError: of another shape.
            InputError: NaN, infinity, complex numbers on real hardware, or a negative conductance.
        """
        if matrix.shape != self.shape:
            raise ShapeError(f"matrix of shape {matrix.shape} does not fit a core of shape {self.shape}")
        stored = real_matrix(matrix, dtype, self.params)
        return self._whole(stored, dtype) if parts is None else self._pieces(stored, parts)

    def may_write_parts(self, matrix: np.ndarray, dtype: str) -> bool:
        """True if parts of a whole matrix may be written by themselves: the weight range the arrays have may stay.

        A range taken from the data may as long as it holds that of the new matrix and is not more than twice as wide,
        which costs at most one bit of resolution.
        """
        if self.complex_valued or dtype != self.dtype or matrix.shape != self.shape:
            return False
        stored = real_matrix(matrix, dtype, self.params)
        held, (low, high) = self.limits, _limits(stored, self.params)
        holds = held[0] <= low and high <= held[1] and held[1] - held[0] <= 2 * (high - low)
        clips = self.params.core.mapping.weights.clipping
        return bool(holds and (clips or (held[0] <= stored.min() and stored.max() <= held[1])))

    def updated(self, region: Region, values: np.ndarray) -> CoreState:
        """The state after ``values`` were written at ``region``; other cells keep their conductances bit for bit.

        Raises:
            InputError: NaN, infinity, or complex numbers where the matrix is real.

        Warns:
            RuntimeWarning: values outside the weight range were clipped.
        """
        if region.covers(self.shape):
            return self._whole(self._real(values), self.dtype)
        return self._written_at(*self.stored_region(region), self._real(values))

    def stored_region(self, region: Region) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of the stored matrix that hold a region."""
        if self.complex_valued:
            return region_blocks(region.rows, region.columns, self.shape)
        return region.rows, region.columns

    def _real(self, values: np.ndarray) -> np.ndarray:
        """Part of the real matrix in the arrays, for values of the core's dtype."""
        require_complex_mode(values, self.params)
        if np.iscomplexobj(values) and self.numpy_dtype.kind != "c":
            raise InputError(
                f"value has dtype {values.dtype}, but the core holds {self.dtype}; set a complex matrix "
                "with set_matrix first, or assign real numbers"
            )
        return real_matrix(values.astype(self.numpy_dtype), self.dtype, self.params)

    def _whole(self, stored: np.ndarray, dtype: str) -> CoreState:
        limits = _limits(stored, self.params)
        blocks = tuple(
            replace(b, record=rewrite(b.record, stored[b.rows, b.columns], b.params, limits)) for b in self.blocks
        )
        return replace(self, blocks=blocks, dtype=dtype)

    def _pieces(self, stored: np.ndarray, parts: Sequence[tuple[slice, slice]]) -> CoreState:
        """Write only ``parts`` of a whole matrix."""
        state, (every_row, every_column) = self, map(np.arange, stored.shape)
        for rows, columns in parts:
            values = np.clip(stored[rows, columns], *self.limits)
            state = state._written_at(every_row[rows], every_column[columns], values)
        return state

    def _written_at(self, rows: np.ndarray, columns: np.ndarray, values: np.ndarray) -> CoreState:
        """Write ``values`` at ``rows x columns`` of the stored matrix; blocks not addressed stay as they are."""
        written = []
        for block in self.blocks:
            r = np.flatnonzero((rows >= block.rows.start) & (rows < block.rows.stop))
            c = np.flatnonzero((columns >= block.columns.start) & (columns < block.columns.stop))
            if len(r) and len(c):
                here = (rows[r] - block.rows.start, columns[c] - block.columns.start)
                block = replace(block, record=update(block.record, *here, values[np.ix_(r, c)], block.params))
            written.append(block)
        return replace(self, blocks=tuple(written))


class HasState(Protocol):
    """A core whose state can be asked for."""

    @property
    def state(self) -> CoreState:
        """What is programmed now."""


def program_core(
    matrix: np.ndarray, dtype: str, params: Sequence[CrossSimParameters], seed: int, name: str, row_groups: int = 1
) -> CoreState:
    """Write a matrix into fresh arrays; with several descriptions, one per array row by row, all share one range.

    Args:
        matrix: The weights, ``(rows, columns)``.
        dtype: Name of their dtype.
        params: Hardware descriptions, checked.
        seed: The chip.
        name: Name of the core.
        row_groups: Rows come in this many equal runs, each with arrays of its own.

    Raises:
        InputError: NaN, infinity, complex numbers on real hardware, or a negative conductance.
        ParameterError: ``row_groups`` does not divide the rows, or the number of descriptions is not that of arrays.
    """
    stored = real_matrix(matrix, dtype, params[0])
    if row_groups < 1 or matrix.shape[0] % row_groups:
        raise ParameterError("row_groups", row_groups, f"does not divide {matrix.shape[0]} rows", allowed="a divisor")
    # Real and imaginary rows share arrays unless groups keep rows apart anyway.
    runs = 2 * row_groups if holds_complex(params[0]) and row_groups > 1 else row_groups
    blocks = _program_blocks(stored, params, seed, name, grid_of(stored.shape, params[0], runs))
    return CoreState(blocks, (matrix.shape[0], matrix.shape[1]), dtype, seed, name)


def _program_blocks(
    matrix: np.ndarray,
    params: Sequence[CrossSimParameters],
    seed: int,
    name: str,
    grid: tuple[tuple[slice, ...], tuple[slice, ...]],
) -> tuple[Block, ...]:
    limits, (rows, columns) = _limits(matrix, params[0]), grid
    if len(params) == 1:
        whole = (slice(0, matrix.shape[0]), slice(0, matrix.shape[1]))
        return (Block(*whole, params[0], program(matrix, params[0], seed, name, grid, limits)),)
    if len(params) != len(rows) * len(columns):
        raise ParameterError(
            "params",
            f"list of {len(params)}",
            f"the matrix {matrix.shape} occupies {len(rows)} x {len(columns)} arrays",
            allowed=f"one CrossSimParameters or a list of {len(rows) * len(columns)}, row by row",
        )
    blocks = []
    for index, ((r, c), own) in enumerate(zip(((r, c) for r in rows for c in columns), params, strict=True)):
        part = matrix[r, c]
        one = ((slice(0, part.shape[0]),), (slice(0, part.shape[1]),))
        blocks.append(Block(r, c, own, program(part, own, seed, f"{name}/part{index}", one, limits)))
    return tuple(blocks)


def holds_complex(params: CrossSimParameters) -> bool:
    """True if arrays on this hardware hold real and imaginary parts side by side."""
    return params.core.complex_matrix or params.core.complex_input


def require_complex_mode(matrix: np.ndarray, params: CrossSimParameters) -> None:
    """Raise if ``matrix`` is complex and the hardware is not declared so."""
    if np.iscomplexobj(matrix) and not holds_complex(params):
        raise InputError(
            f"matrix has dtype {matrix.dtype}, but core.complex_matrix is False; set it to True to store the real "
            "and imaginary parts in arrays of twice the size, or pass a real matrix"
        )


def real_matrix(matrix: np.ndarray, dtype: str, params: CrossSimParameters) -> np.ndarray:
    """The real matrix the arrays hold for ``matrix`` of dtype ``dtype``, in a floating dtype.

    Raises:
        InputError: complex numbers on hardware not declared complex.
    """
    require_complex_mode(matrix, params)
    return np.asarray(expand_complex(matrix) if holds_complex(params) else matrix, dtype=compute_dtype(dtype))


def _limits(matrix: np.ndarray, params: CrossSimParameters) -> tuple[float, float]:
    weights = params.core.mapping.weights
    return weight_limits(matrix, weights.min, weights.max, weights.percentile)
