"""Write a matrix into arrays: the record of what the cells and converters of one chip hold."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from collections.abc import Mapping as Table
from dataclasses import dataclass, field, replace

import numpy as np

from crossohm._random import ChipDraw, chip_rng
from crossohm.chain.operation import Operation
from crossohm.chain.programming.places import ArrayPlace, places
from crossohm.circuits.adc import get_adc
from crossohm.devices import error_at_write, write
from crossohm.errors import InputError
from crossohm.mapping import Mapping, build_mapping
from crossohm.params import CrossSimParameters

#: Weights turned into target conductances at a time, which is done in double precision.
TARGETS_AT_A_TIME = 1 << 18


@dataclass(frozen=True)
class Programmed:
    """One matrix as one chip holds it: plain arrays, no behaviour that changes them.

    Attributes:
        name: Name of the core; with ``seed`` it keys every random number drawn when writing.
        seed: The chip.
        writes: How many times the arrays were written; each write draws new programming errors.
        row_parts: Slices of matrix rows (array columns), one per output partition.
        column_parts: Slices of matrix columns (array rows), one per input partition.
        limits: Lowest and highest representable weight, in the matrix's units.
        mapping: How weights became conductances.
        matrix: The weights written, ``(outputs, inputs)``, clipped to the range.
        conductance: ``(slices, signs, outputs, inputs)`` as the cells hold them, normalised.
        units: For ``"mvm"`` and ``"vmm"``, conductances of the unit lines, ``(slices, partitions, length)``: one line
            per partition of the operation's outputs. Empty without unit lines.
        mismatch: Converter errors of this chip, ``{"mvm/row/column/bank/quantity": array}``.
        wired: The operation whose wires ``conductance`` and ``units`` include (see `wired`), or "" if none.
    """

    name: str
    seed: int
    writes: int
    row_parts: tuple[slice, ...]
    column_parts: tuple[slice, ...]
    limits: tuple[float, float]
    mapping: Mapping
    matrix: np.ndarray
    conductance: np.ndarray
    units: Table[str, np.ndarray] = field(default_factory=dict)
    mismatch: Table[str, np.ndarray] = field(default_factory=dict)
    wired: str = ""

    @property
    def shape(self) -> tuple[int, int]:
        """Matrix rows and columns as stored."""
        return self.conductance.shape[2], self.conductance.shape[3]

    @property
    def scale(self) -> float:
        """Weight represented by a normalised weight of one."""
        return max(abs(self.limits[0]), abs(self.limits[1]))

    @property
    def target(self) -> np.ndarray:
        """Conductances asked for, shaped as those held; worked out anew from the matrix, which is smaller."""
        return self.target_of(self.matrix)

    def target_of(self, weights: np.ndarray) -> np.ndarray:
        """Conductances asked for to hold ``weights`` ``(rows, columns)``, ``(slices, signs, rows, columns)``."""
        mapping = self.mapping
        found = np.empty((mapping.slices, mapping.signs, *weights.shape), dtype=weights.dtype)
        rows = max(1, TARGETS_AT_A_TIME // max(1, weights.shape[1]))
        for start in range(0, weights.shape[0], rows):
            part = slice(start, start + rows)
            found[:, :, part] = mapping.targets(weights[part].astype(np.float64) / self.scale)
        return found

    def places(self, *, interleaved: bool = False) -> Iterator[ArrayPlace]:
        """Where every physical array stands; with ``interleaved``, both of a pair as one."""
        slices, signs = self.conductance.shape[:2]
        return places(self.row_parts, self.column_parts, slices, signs, interleaved=interleaved)


def program(
    matrix: np.ndarray,
    params: CrossSimParameters,
    seed: int,
    name: str,
    parts: tuple[tuple[slice, ...], tuple[slice, ...]],
    limits: tuple[float, float],
) -> Programmed:
    """Write a whole real matrix ``(outputs, inputs)`` into fresh arrays.

    Args:
        matrix: The weights.
        params: The hardware.
        seed: The chip.
        name: Name of the core.
        parts: Row and column slices of the output and input partitions.
        limits: Weight range, in the matrix's units.

    Raises:
        InputError: the matrix holds NaN or infinity, or a weight outside an unclipped range needs a negative
            conductance.
        ParameterError: the hardware description leaves a device model's validity range.
    """
    mapping = build_mapping(params)
    blank = np.broadcast_to(np.zeros((), dtype=matrix.dtype), (mapping.slices, mapping.signs, *matrix.shape))
    empty = Programmed(name, seed, 0, *parts, (-1.0, 1.0), mapping, blank[0, 0], blank)
    units = _write_units(empty, mapping, params)
    fresh = replace(empty, units=units, mismatch=_draw_mismatch(empty, mapping, params))
    return rewrite(fresh, matrix, params, limits)


def rewrite(
    record: Programmed, matrix: np.ndarray, params: CrossSimParameters, limits: tuple[float, float]
) -> Programmed:
    """Write a whole matrix of the same shape into existing arrays; see `program`."""
    _require_finite(matrix)
    clipped = np.clip(matrix, *limits) if params.core.mapping.weights.clipping else matrix.copy()
    written = replace(record, limits=limits, matrix=clipped, writes=record.writes + 1)
    target = written.target
    if target.size and target.min() < 0:
        raise InputError(
            f"weights reach {np.abs(matrix).max():g}, beyond the weight range {limits}, and would need a negative "
            "conductance; set core.mapping.weights.clipping = True or widen min and max"
        )
    return replace(written, conductance=_write_arrays(record, target, params))


def update(
    record: Programmed, rows: np.ndarray, columns: np.ndarray, values: np.ndarray, params: CrossSimParameters
) -> Programmed:
    """Write only the cells at ``rows x columns``; every other cell keeps its conductance bit for bit.

    The weight range stays; values outside it are clipped with a warning, since a partial write cannot rescale the rest.
    """
    _require_finite(values)
    low, high = record.limits
    if np.any(values < low - np.finfo(float).eps) or np.any(values > high + np.finfo(float).eps):
        warnings.warn(
            f"partial update of {record.name!r}: values outside the weight range [{low:g}, {high:g}] are clipped; "
            "set the whole matrix to let the range follow the data",
            RuntimeWarning,
            stacklevel=4,
        )
    clipped = np.clip(values, low, high).astype(record.matrix.dtype)
    matrix, actual = record.matrix.copy(), record.conductance.copy()
    matrix[np.ix_(rows, columns)] = clipped
    written = replace(record, matrix=matrix, writes=record.writes + 1)
    target = record.target_of(clipped)
    for place in record.places():
        r, c = _within(rows, place.rows), _within(columns, place.columns)
        cells = target[place.weight_slice, place.signs.start][np.ix_(r, c)]
        held = actual[place.weight_slice, place.signs.start]
        held[np.ix_(rows[r], columns[c])] = _write_cells(record, place.name, cells, params)
    return replace(written, conductance=actual)


def read_back(record: Programmed, params: CrossSimParameters) -> np.ndarray:
    """The real matrix the programmed conductances represent, ``(outputs, inputs)``, in the matrix's units.

    Includes quantisation, clipping, programming errors and drift; excludes read noise and circuit effects.
    """
    units = None
    if record.units:
        sizes = [part.stop - part.start for part in record.row_parts]
        units = np.repeat(record.units["mvm"], sizes, axis=1)
    return build_mapping(params).decode(record.conductance, units) * record.scale


def bank_key(operation: Operation, part: tuple[int, int], bank: int) -> str:
    """Key of one bank of converters: those reading one partition's lines of one slice (and sign)."""
    return f"{operation}/{part[0]}/{part[1]}/{bank}/"


def adc_banks(mapping: Mapping, params: CrossSimParameters) -> int:
    """Banks of converters per partition: one per slice, two where both signs are digitised separately."""
    return mapping.slices * (1 if params.core.subtracts_in_array else mapping.signs)


def _require_finite(matrix: np.ndarray) -> None:
    if not np.all(np.isfinite(matrix)):
        row, column = (int(i) for i in np.argwhere(~np.isfinite(matrix))[0])
        raise InputError(
            f"matrix[{row}, {column}] = {matrix[row, column]}: no conductance represents it; allowed: finite numbers"
        )


def _within(indices: np.ndarray, part: slice) -> np.ndarray:
    """Which of ``indices`` lie in ``part``."""
    return np.flatnonzero((indices >= part.start) & (indices < part.stop))


def _has_write_errors(params: CrossSimParameters) -> bool:
    return error_at_write(params.xbar.device) is not None


def _write_arrays(record: Programmed, target: np.ndarray, params: CrossSimParameters) -> np.ndarray:
    if not _has_write_errors(params):
        return target
    actual = np.empty_like(target)
    for place in record.places():
        actual[place.cells][0] = _write_cells(record, place.name, target[place.cells][0], params)
    return actual


def _write_cells(record: Programmed, array: str, target: np.ndarray, params: CrossSimParameters) -> np.ndarray:
    """Conductances after writing ``target``; draws keyed by chip, core, array and write number."""
    if not _has_write_errors(params) or target.size == 0:
        return target
    draw = ChipDraw(chip_rng(record.seed, record.name, array, f"write{record.writes}"))
    return np.asarray(write(target, params.xbar.device, draw), dtype=target.dtype)


def _write_units(record: Programmed, mapping: Mapping, params: CrossSimParameters) -> dict[str, np.ndarray]:
    """Unit lines: one beside each output partition for MVMs, one beside each input partition for VMMs."""
    targets = mapping.unit_targets
    if targets is None:
        return {}
    units = {}
    for operation in Operation:
        outputs, _ = operation.order(record.row_parts, record.column_parts)
        _, inputs = operation.order(*record.shape)
        shape = (len(outputs), inputs)
        lines = np.broadcast_to(targets[:, None, None], (mapping.slices, *shape)).astype(record.conductance.dtype)
        name = f"unit lines/{operation}"
        units[operation.value] = _write_cells(record, name, lines, params)
    return units


def _draw_mismatch(record: Programmed, mapping: Mapping, params: CrossSimParameters) -> dict[str, np.ndarray]:
    """Errors of every converter of the chip; they belong to the hardware and survive reprogramming."""
    drawn: dict[str, np.ndarray] = {}
    for operation in Operation:
        spec = operation.adc(params)
        if not spec.converts:
            continue
        model = get_adc(spec.model, f"xbar.adc.{operation}.model")
        for r, rows in enumerate(record.row_parts):
            for c, columns in enumerate(record.column_parts):
                outputs, _ = operation.order(rows, columns)
                lines = outputs.stop - outputs.start + bool(mapping.unit_targets is not None)
                for bank in range(adc_banks(mapping, params)):
                    key = bank_key(operation, (r, c), bank)
                    rng = chip_rng(record.seed, record.name, "adc", key)
                    drawn.update((key + what, value) for what, value in model.mismatch(spec, lines, rng).items())
    return drawn
