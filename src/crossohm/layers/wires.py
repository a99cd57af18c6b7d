"""Resistance-aware gradients: from the matrix that inputs meet, through the wires, to the matrix that was written."""

from __future__ import annotations

import numpy as np

from crossohm.backends import Array, backend_of
from crossohm.chain import AnalogCore
from crossohm.chain.lowering.wires import WiredArray, alike, wired_arrays
from crossohm.chain.operation import Operation
from crossohm.chain.programming.parts import Block
from crossohm.circuits.grid import DisturbedNetwork, Wires, effective_matrix
from crossohm.errors import UnsupportedError
from crossohm.mapping import build_mapping


def through_wires(core: AnalogCore, matrix: Array) -> Array:
    """What inputs meet on ``core``, as a function of the ideal matrix written into it.

    The gradient is that of the networks at the programmed conductances in float64, straight through programming errors
    and rounding; weights beyond the range of the arrays have none. PyTorch computes it where the matrix lies, other
    libraries leave it to the host.

    Args:
        core: Its arrays hold ``matrix``.
        matrix: ``(outputs, inputs)``, of any library.

    Raises:
        UnsupportedError: no one matrix describes the core, or the derivative is wanted in a compiled function.
        CrossOhmError: a network was not solved; names the array.
    """
    backend, blocks = backend_of(matrix), core.blocks

    def gradients(grad: Array, matrix: Array) -> tuple[Array]:
        if backend.is_traced(grad) or backend.is_traced(matrix):
            raise UnsupportedError(
                "gradient = 'wires' in a compiled function: the networks are solved on the host; differentiate outside "
                "of jit, or use gradient = 'programmed'"
            )
        written, wanted = (np.asarray(backend.to_numpy(value), np.float64) for value in (matrix, grad))
        found = np.empty_like(wanted)
        for block in blocks:
            here = block.rows, block.columns
            found[here] = _block_gradient(block, written[here], wanted[here], grad)
        return (backend.asarray(found, grad),)

    def met(matrix: Array) -> Array:
        return backend.asarray(core.effective_matrix(), matrix)

    return backend.with_gradient(met, gradients, (matrix,), (matrix,))


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
