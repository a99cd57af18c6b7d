"""Gradients through the converter chain: autograd follows every stage, and knows where converters clip.

Rounding, programming errors and wires are passed straight through. Nothing passes where an input exceeds the DAC's
range, a current its limit, a conversion the ADC's range, or a weight the weight range.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast, final

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from crossohm.chain import AnalogCore, Contraction
from crossohm.chain.contraction.contraction import Kernel
from crossohm.chain.contraction.part import ColumnPart
from crossohm.chain.lowering.tangent import StageTangent, tangents
from crossohm.chain.programming.parts import Block
from crossohm.chain.running.plan import Plan
from crossohm.chain.running.readout import LinearReadout, NoisyReadout, PolynomialReadout, Readout, SampledReadout
from crossohm.chain.running.stacked_readout import StackedReadout
from crossohm.errors import UnsupportedError
from crossohm.torch.arrays.gradient import DifferentiableContraction
from crossohm.torch.layers.convolution import with_all_cells


def chain_product(core: AnalogCore, contraction: DifferentiableContraction, matrix: Tensor | None, x: Tensor) -> Tensor:
    """The analog product under autograd.

    Args:
        core: The arrays.
        contraction: How inputs meet the matrix.
        matrix: The ideal matrix as an expression of the parameters, or None if these need no gradient.
        x: ``(batch, features, *positions)``, in the dtype to compute in.

    Raises:
        UnsupportedError: the arrays are solved outside of autograd.
    """
    wanted = None if matrix is None else matrix.to(x.dtype)
    return core.apply(x, contraction, amend=partial(_differentiable, wanted))


def _differentiable(matrix: Tensor | None, plan: Plan, block: Block) -> Plan:
    """The plan whose currents carry the gradient of ``matrix``."""
    for stage in plan.stages:
        parts = stage.readout.parts if isinstance(stage.readout, StackedReadout) else (stage.readout,)
        if not isinstance(parts[0], LinearReadout | NoisyReadout | PolynomialReadout | SampledReadout):
            raise UnsupportedError(
                f"gradient = 'chain': {stage.readout.reason}; such arrays are solved outside of autograd. Use "
                "gradient = 'programmed'"
            )
    if matrix is None:
        return plan
    weights = matrix[block.rows, block.columns]
    weights = torch.where(block.follows(weights), weights, weights.detach())
    stages = []
    for stage, tangent in zip(plan.stages, tangents(plan, block.record, block.params), strict=True):
        banks = _of_banks(weights[:, tangent.columns], tangent, plan.contraction.row_groups)
        following = _following(stage.readout, banks, plan.contraction, tangent.columns.start)
        stages.append(replace(stage, readout=following))
    combination = stages[0].combination
    if combination.constant is not None:
        digital = plan.drive.dac.plane_offset * plan.drive.scale * weights.sum(dim=1)
        constant = combination.constant + (digital - digital.detach())
        stages[0] = replace(stages[0], combination=replace(combination, constant=constant))
    return replace(plan, stages=tuple(stages))


def _of_banks(weights: Tensor, tangent: StageTangent, groups: int) -> Tensor:
    """What stands for the conductances of all lines, in the order of a kernel's rows: only its gradient is used."""
    positive, negative = (_column(share, weights) for share in (tangent.positive, tangent.negative))
    moved = torch.where(weights >= 0, positive, negative) * weights
    if tangent.lines != len(tangent.outputs):  # unit lines hold no weights
        lines = torch.as_tensor(tangent.outputs, device=weights.device)
        blank = moved.new_zeros(tangent.banks, tangent.lines, moved.shape[2])
        moved = blank.index_copy(1, lines, moved)
    return moved.unflatten(1, (groups, -1)).transpose(0, 1).flatten(0, 2)


def _column(share: np.ndarray, like: Tensor) -> Tensor:
    return torch.as_tensor(share, dtype=like.dtype, device=like.device)[:, None, None]


def _following(readout: Readout, banks: Tensor, contraction: Contraction, start: int) -> Readout:
    """The readout with the gradient of ``banks``; nonlinear cells are taken for linear ones."""
    if isinstance(readout, StackedReadout):
        pairs = zip(readout.parts, banks.chunk(len(readout.parts)), strict=True)
        return replace(readout, parts=tuple(_following(part, own, contraction, start) for part, own in pairs))
    if isinstance(readout, SampledReadout):
        still = (banks - banks.detach()).reshape(readout.conductance.shape)
        return replace(readout, conductance=readout.conductance + still)
    assert isinstance(readout, LinearReadout | NoisyReadout | PolynomialReadout)
    kernel = dict(readout.kernels)[1] if isinstance(readout, PolynomialReadout) else readout.kernel
    whole, first = _whole(contraction)
    return replace(readout, contraction=_Following(readout.contraction, kernel, banks, whole, first + start))


def _whole(contraction: Contraction) -> tuple[DifferentiableContraction, int]:
    """The map of whole matrix rows behind the map of a block, and the block's first column."""
    if isinstance(contraction, ColumnPart):
        whole, _ = _whole(contraction.whole)
        return whole, contraction.start
    return cast("DifferentiableContraction", with_all_cells(contraction)), 0


@final
@dataclass(frozen=True, eq=False)
class _Following:
    """A contraction whose product with one kernel also has a gradient by the matrix.

    Attributes:
        inner: The contraction.
        kernel: The kernel.
        banks: The matrix the kernel was made from, as an expression of the parameters; its value is not used.
        whole: The contraction of the whole matrix.
        start: Matrix column at which ``banks`` begins.
    """

    inner: Contraction
    kernel: Kernel
    banks: Tensor
    whole: DifferentiableContraction
    start: int

    @property
    def constants(self) -> int:
        return self.inner.constants

    @property
    def row_groups(self) -> int:
        return self.inner.row_groups

    def row_group(self, index: int) -> Contraction:
        return self.inner.row_group(index)

    def contract(self, x: Tensor, kernel: Kernel) -> Tensor:
        y = self.inner.contract(x, kernel)
        return _WithMatrix.apply(self.whole, self.start, y, self.banks, x) if kernel is self.kernel else y

    def prepare(self, weights: Tensor, start: int) -> Kernel:
        return self.inner.prepare(weights, start)

    def windows(self, x: Tensor) -> Tensor:
        return self.inner.windows(x)

    def fold(self, y: Tensor, x: Tensor) -> Tensor:
        return self.inner.fold(y, x)


@final
class _WithMatrix(torch.autograd.Function):
    """``y`` itself, recorded as a product of ``x`` with ``banks``: adds the gradient by the latter."""

    @staticmethod
    def forward(ctx: Any, whole: DifferentiableContraction, start: int, y: Tensor, banks: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        ctx.whole, ctx.columns = whole, slice(start, start + banks.shape[1])
        # Returned as changed in place: a view made here could not be, and what follows works in place.
        ctx.mark_dirty(y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        return None, None, grad, ctx.whole.matrix_gradient(grad, x)[:, ctx.columns], None
