"""Wire resistance as part of what the arrays do: effective conductances, computed once per programming."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from crossohm.chain.programmed import Programmed
from crossohm.circuits.grid import Wires, effective_matrix
from crossohm.devices import is_active
from crossohm.params import CoreStyle, CrossSimParameters


def wires_of(params: CrossSimParameters, operation: str) -> Wires:
    """Resistances along input and output lines; a VMM drives the array's columns and reads its rows."""
    p, r_min = params.xbar.array.parasitics, params.xbar.device.Rmin
    along_rows = Wires(p.Rp_row / r_min, p.Rp_col / r_min, p.Rp_row_terminal / r_min, p.Rp_col_terminal / r_min)
    return along_rows if operation == "mvm" else along_rows.mirrored


def wires_of_slice(params: CrossSimParameters, operation: str, slice_: int) -> Wires:
    """The wires of one weight slice: none where they do not take effect or the slice is declared without."""
    parasitics = params.xbar.array.parasitics
    without = params.core.style is CoreStyle.BITSLICED and slice_ in parasitics.disable_slices
    return wires_of(params, operation) if parasitics.effective and not without else Wires()


def networks_vary(params: CrossSimParameters) -> bool:
    """True if wires matter and no one matrix describes them: gate-selected rows, read noise, or nonlinear cells."""
    parasitics, device = params.xbar.array.parasitics, params.xbar.device
    own = not parasitics.current_from_input or is_active(device, "read_noise") or is_active(device, "nonlinear_IV")
    return parasitics.effective and own


def unused_rows(params: CrossSimParameters, operation: str, inputs: int) -> int:
    """Positions of a line of full length that an array with ``inputs`` inputs leaves unselected."""
    longest = params.core.rows_max if operation == "mvm" else params.core.cols_max
    return max(longest - inputs, 0)


def apply_wires(record: Programmed, params: CrossSimParameters, operation: str) -> Programmed:
    """The record whose conductances are the effective ones of ``operation``.

    The record itself without wires, and where no one matrix describes them (`networks_vary`).

    Every physical array is one network, unit line included. For interleaved pairs the network of both cells gives one
    matrix, which takes the place of the positive array; the negative one is empty.
    """
    if not params.xbar.array.parasitics.effective or networks_vary(params) or record.wired == operation:
        return record
    forward = operation == "mvm"
    effective = np.array(record.conductance if forward else np.swapaxes(record.conductance, 2, 3))
    units = {operation: record.units[operation].copy()} if record.units else {}
    outputs, inputs = (record.row_parts, record.column_parts)[:: 1 if forward else -1]
    interleaved = params.core.uses_pairs and params.core.balanced.interleaved_posneg
    for s in range(effective.shape[0]):
        wires = wires_of_slice(params, operation, s)
        for r, rows in enumerate(outputs):
            for columns in inputs:
                unit = units[operation][s, r : r + 1, columns] if units else None
                _replace_array(effective[s, :, rows, columns], unit, wires, interleaved)
    conductance = effective if forward else np.swapaxes(effective, 2, 3)
    return replace(record, conductance=conductance, units={**record.units, **units}, wired=operation)


def _replace_array(g: np.ndarray, unit: np.ndarray | None, wires: Wires, interleaved: bool) -> None:
    """Put the effective matrix in the place of one array, ``(signs, outputs, inputs)``, and of its unit line."""
    if interleaved:
        g[0] = effective_matrix(g, wires)
        g[1] = 0.0
        return
    for cells in g:
        lines = cells if unit is None else np.concatenate([unit, cells])
        found = effective_matrix(lines[np.newaxis], wires)
        cells[:] = found if unit is None else found[1:]
        if unit is not None:
            unit[:] = found[:1]
