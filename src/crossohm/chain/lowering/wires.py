"""Wire resistance as part of what the arrays do: effective conductances, computed once per programming."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from crossohm.backends import Array, backend_of
from crossohm.chain.operation import Operation
from crossohm.chain.programming.record import Programmed
from crossohm.circuits.grid import Wires, effective_matrix
from crossohm.devices import is_active
from crossohm.params import CoreStyle, CrossSimParameters

#: Elements of the matrices inverted in one step, over all arrays eliminated together (8 MB of float64).
TOGETHER_ELEMENTS = 1 << 20


def wires_of(params: CrossSimParameters, operation: Operation) -> Wires:
    """Resistances along input and output lines; a VMM drives the array's columns and reads its rows."""
    p, r_min = params.xbar.array.parasitics, params.xbar.device.Rmin
    along_rows = Wires(p.Rp_row / r_min, p.Rp_col / r_min, p.Rp_row_terminal / r_min, p.Rp_col_terminal / r_min)
    return along_rows if operation.forward else along_rows.mirrored


def wires_of_slice(params: CrossSimParameters, operation: Operation, slice_: int) -> Wires:
    """The wires of one weight slice: none where they do not take effect or the slice is declared without."""
    parasitics = params.xbar.array.parasitics
    without = params.core.style is CoreStyle.BITSLICED and slice_ in parasitics.disable_slices
    return wires_of(params, operation) if parasitics.effective and not without else Wires()


def networks_vary(params: CrossSimParameters) -> bool:
    """True if wires matter and no one matrix describes them: gate-selected rows, read noise, or nonlinear cells."""
    parasitics, device = params.xbar.array.parasitics, params.xbar.device
    own = not parasitics.current_from_input or is_active(device, "read_noise") or is_active(device, "nonlinear_IV")
    return parasitics.effective and own


def has_effective_matrix(params: CrossSimParameters) -> bool:
    """True if wires matter and an array with them is one matrix."""
    return params.xbar.array.parasitics.effective and not networks_vary(params)


def unused_rows(params: CrossSimParameters, operation: Operation, inputs: int) -> int:
    """Positions of a line of full length that an array with ``inputs`` inputs leaves unselected."""
    longest = params.core.rows_max if operation.forward else params.core.cols_max
    return max(longest - inputs, 0)


def apply_wires(
    record: Programmed, params: CrossSimParameters, operation: Operation, like: Array | None = None
) -> Programmed:
    """The record whose conductances are the effective ones of ``operation``.

    The record itself without wires, and where no one matrix describes them (`networks_vary`).

    Every physical array is one network, unit line included; arrays of one size are eliminated together. For interleaved
    pairs the network of both cells gives one matrix, which takes the place of the positive array; the negative one is
    empty.

    Args:
        record: The programmed arrays.
        params: Their hardware.
        operation: Which lines are driven.
        like: The inputs they will multiply; if these live on an accelerator, the elimination runs there.

    Raises:
        CrossOhmError: a network was not solved; names the array, its size and its resistances.
    """
    if not has_effective_matrix(params) or record.wired == operation:
        return record
    effective = np.array(operation.orient(record.conductance))
    units = {operation.value: record.units[operation].copy()} if record.units else {}
    for wires, networks in alike(wired_arrays(record, params, operation, effective, units.get(operation))):
        lines = np.stack([network.lines for network in networks])
        device = lines if like is None or not backend_of(like).on_accelerator(like) else _double_on(like, lines)
        found = effective_matrix(device, wires, [network.name for network in networks])
        for network, matrix in zip(networks, backend_of(found).to_numpy(found), strict=True):
            network.replace(matrix)
    return replace(record, conductance=operation.orient(effective), units={**record.units, **units}, wired=operation)


def _double_on(like: Array, value: np.ndarray) -> Array:
    """``value`` in float64 on the device of ``like``."""
    backend = backend_of(like)
    return backend.asarray(value, backend.astype(backend.asarray(0.0, like), "float64"))


@final
@dataclass(frozen=True)
class WiredArray:
    """Views of one physical array, or of both arrays of an interleaved pair.

    Attributes:
        name: Its name and the operation, for errors.
        wires: Its resistances.
        cells: View of its conductances, ``(signs, outputs, inputs)``.
        unit: View of its unit line ``(1, inputs)``, or None.
    """

    name: str
    wires: Wires
    cells: np.ndarray
    unit: np.ndarray | None

    @property
    def lines(self) -> np.ndarray:
        """Conductances by physical line, ``(signs, lines, inputs)``."""
        return self.cells if self.unit is None else np.concatenate([self.unit[np.newaxis], self.cells], axis=1)

    def replace(self, matrix: np.ndarray) -> None:
        """Put the effective matrix ``(lines, inputs)`` in the place of the conductances."""
        if self.unit is not None:
            self.unit[:], matrix = matrix[:1], matrix[1:]
        self.cells[0], self.cells[1:] = matrix, 0.0


def wired_arrays(
    record: Programmed, params: CrossSimParameters, operation: Operation, g: np.ndarray, units: np.ndarray | None
) -> Iterator[WiredArray]:
    """The networks of ``record``: views of ``g`` ``(slices, signs, outputs, inputs)`` and of its unit lines."""
    for place in record.places(interleaved=params.core.interleaves_pairs):
        (output, _), (outputs, inputs) = operation.order(*place.partition), operation.order(place.rows, place.columns)
        yield WiredArray(
            name=f"{record.name}/{place.name}, {operation.product}",
            wires=wires_of_slice(params, operation, place.weight_slice),
            cells=g[place.weight_slice, place.signs, outputs, inputs],
            unit=None if units is None else units[place.weight_slice, output : output + 1, inputs],
        )


def alike(networks: Iterable[WiredArray]) -> Iterator[tuple[Wires, list[WiredArray]]]:
    """Networks of one size and with the same wires, a bounded number at a time."""
    groups: dict[tuple[Wires, tuple[int, ...]], list[WiredArray]] = {}
    for network in networks:
        groups.setdefault((network.wires, network.cells.shape), []).append(network)
    for (wires, shape), members in groups.items():
        size = max(1, TOGETHER_ELEMENTS // min(shape[1:]) ** 2)
        for first in range(0, len(members), size):
            yield wires, members[first : first + size]
