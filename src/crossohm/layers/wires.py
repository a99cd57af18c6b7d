"""Resistance-aware gradients: from the matrix that inputs meet, through the wires, to the matrix that was written."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from crossohm.backends import Array, backend_of
from crossohm.chain import AnalogCore
from crossohm.chain.lowering.wires import WiredArray, alike, wired_arrays
from crossohm.chain.operation import Operation
from crossohm.chain.programming.parts import Block
from crossohm.circuits.grid import DisturbedNetwork, Wires, effective_matrix
from crossohm.mapping import build_mapping


def through_wires(core: Callable[[], AnalogCore], matrix: Array, after: Array | None = None) -> Array:
    """What inputs meet on arrays, as a function of the ideal matrix written into them.

    The gradient is that of the networks at the programmed conductances in float64, straight through programming errors
    and rounding; weights beyond the range of the arrays have none. PyTorch computes it where the matrix lies, other
    libraries leave it to the host, also from functions they compile.

    Args:
        core: The arrays that hold ``matrix``, looked up when values are needed.
        matrix: ``(outputs, inputs)``, of any library.
        after: What exists only once the arrays are written, if that happens in the function being compiled: then the
            value of the result is of no use, only its gradient is.

    Raises:
        UnsupportedError: no one matrix describes the core.
        CrossOhmError: a network was not solved; names the array.
    """
    backend = backend_of(matrix)

    def gradients(grad: Array, matrix: Array, after: Array | None) -> tuple[Array]:
        if not (backend.is_traced(grad) or backend.is_traced(matrix)):
            written, wanted = backend.to_numpy(matrix), backend.to_numpy(grad)
            return (backend.asarray(_core_gradient(core(), written, wanted, grad), grad),)

        def work(written: np.ndarray, wanted: np.ndarray, *_: np.ndarray) -> tuple[np.ndarray]:
            return (_core_gradient(core(), written, wanted, wanted),)

        always = backend.xp.ones_like(backend.detached(matrix)[0, 0]) > 0
        (found,) = backend.renewed(always, (grad,), work, [matrix, grad] if after is None else [matrix, grad, after])
        return (found,)

    def met(matrix: Array) -> Array:
        return backend.asarray(core().effective_matrix(), matrix) if after is None else matrix

    return backend.with_gradient(met, gradients, (matrix,), (matrix, after))


def _core_gradient(core: AnalogCore, matrix: np.ndarray, grad: np.ndarray, like: Array) -> np.ndarray:
    """Gradient of the ideal ``matrix`` for that of what inputs meet."""
    written, wanted = np.asarray(matrix, np.float64), np.asarray(grad, np.float64)
    found = np.empty_like(wanted)
    for block in core.blocks:
        here = block.rows, block.columns
        found[here] = _block_gradient(block, written[here], wanted[here], like)
    return found


def _block_gradient(block: Block, matrix: np.ndarray, grad: np.ndarray, like: Array) -> np.ndarray:
    """Gradient of the weights ``matrix`` of one block for that of its effective weights."""
    record, mapping = block.record, build_mapping(block.params)
    effective = mapping.coefficients[:, :, np.newaxis, np.newaxis] * grad
    units = None
    if record.units:
        sums = np.stack([grad[part].sum(axis=0) for part in record.row_parts])
        units = -mapping.coefficients[:, :1, np.newaxis] * sums
    _before_wires(block, effective, units, like)
    return np.asarray(block.follows(matrix) * (mapping.slopes(matrix / record.scale) * effective).sum(axis=(0, 1)))


def _before_wires(block: Block, grad: np.ndarray, units: np.ndarray | None, like: Array) -> None:
    """Replace gradients of effective conductances by those of the programmed ones, array by array."""
    record, params = block.record, block.params
    arrays = list(wired_arrays(record, params, Operation.MVM, record.conductance, record.units.get(Operation.MVM)))
    grads = dict(zip(map(id, arrays), wired_arrays(record, params, Operation.MVM, grad, units), strict=True))
    for wires, members in alike(arrays):
        wanted = np.stack([grads[id(array)].lines[0] for array in members])
        for array, lines in zip(members, _networks_gradient(members, wires, wanted, like), strict=True):
            cells = grads[id(array)].cells
            cells[:] = lines[:, lines.shape[1] - cells.shape[1] :]


def _networks_gradient(members: list[WiredArray], wires: Wires, wanted: np.ndarray, like: Array) -> np.ndarray:
    """Gradient of the conductances of arrays, ``(arrays, signs, lines, inputs)``, for that of effective matrices."""
    g, names = np.stack([array.lines for array in members]), [array.name for array in members]
    found = backend_of(like).pulled_back(lambda g: effective_matrix(g, wires, names), g, wanted, like)
    if found is not None:
        return np.asarray(found)
    pairs = zip(g, wanted, strict=True)
    return np.stack([DisturbedNetwork(lines, wires).matrix_gradient(grad) for lines, grad in pairs])
