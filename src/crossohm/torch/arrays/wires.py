"""Resistance-aware gradients: from the matrix that inputs meet, through the wires, to the matrix that was written."""

from __future__ import annotations

from typing import Any, final

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from crossohm.chain import AnalogCore
from crossohm.chain.lowering.wires import alike, wired_arrays
from crossohm.chain.operation import Operation
from crossohm.chain.programming.parts import Block
from crossohm.circuits.grid import effective_matrix
from crossohm.mapping import build_mapping
from crossohm.torch.transforms import refuse_transforms


def through_wires(core: AnalogCore, matrix: Tensor) -> Tensor:
    """What inputs meet on ``core``, as a function of the ideal matrix written into it.

    The gradient is that of the networks at the programmed conductances, straight through programming errors and
    rounding; weights beyond the range of the arrays have none.

    Args:
        core: Its arrays hold ``matrix``.
        matrix: ``(outputs, inputs)``.

    Raises:
        UnsupportedError: no one matrix describes the core, or inside torch.func transforms.
        CrossOhmError: a network was not solved; names the array.
    """
    refuse_transforms("wires")
    return _ThroughWires.apply(core, matrix)


@final
class _ThroughWires(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, core: AnalogCore, matrix: Tensor) -> Tensor:
        ctx.blocks = core.blocks
        ctx.save_for_backward(matrix)
        return torch.as_tensor(core.effective_matrix(), dtype=matrix.dtype, device=matrix.device)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor]:
        (matrix,) = ctx.saved_tensors
        written, wanted = (np.asarray(value.detach().cpu().double()) for value in (matrix, grad))
        found = np.empty_like(wanted)
        for block in ctx.blocks:
            here = block.rows, block.columns
            found[here] = _block_gradient(block, written[here], wanted[here], grad.device)
        return None, torch.as_tensor(found, dtype=grad.dtype, device=grad.device)


def _block_gradient(block: Block, matrix: np.ndarray, grad: np.ndarray, device: torch.device) -> np.ndarray:
    """Gradient of the weights ``matrix`` of one block for that of its effective weights."""
    record, mapping = block.record, build_mapping(block.params)
    effective = mapping.coefficients[:, :, np.newaxis, np.newaxis] * grad
    units = None
    if record.units:
        sums = np.stack([grad[part].sum(axis=0) for part in record.row_parts])
        units = -mapping.coefficients[:, :1, np.newaxis] * sums
    _before_wires(block, effective, units, device)
    return np.asarray(block.follows(matrix) * (mapping.slopes(matrix / record.scale) * effective).sum(axis=(0, 1)))


def _before_wires(block: Block, grad: np.ndarray, units: np.ndarray | None, device: torch.device) -> None:
    """Replace gradients of effective conductances by those of the programmed ones, array by array."""
    record, params = block.record, block.params
    arrays = list(wired_arrays(record, params, Operation.MVM, record.conductance, record.units.get(Operation.MVM)))
    grads = dict(zip(map(id, arrays), wired_arrays(record, params, Operation.MVM, grad, units), strict=True))
    for wires, members in alike(arrays):
        with torch.enable_grad():
            g = torch.tensor(np.stack([array.lines for array in members]), dtype=torch.float64, device=device)
            effective = effective_matrix(g.requires_grad_(), wires, [array.name for array in members])
        wanted = np.stack([grads[id(array)].lines[0] for array in members])
        (found,) = torch.autograd.grad(effective, g, torch.as_tensor(wanted, device=device))
        for array, lines in zip(members, found.cpu().numpy(), strict=True):
            cells = grads[id(array)].cells
            cells[:] = lines[:, lines.shape[1] - cells.shape[1] :]
