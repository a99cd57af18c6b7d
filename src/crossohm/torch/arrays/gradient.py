"""The usual gradient rule of analog layers: analog forward, ideal backward with the matrix the arrays hold."""

from __future__ import annotations

from typing import Any, Protocol, final

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from crossohm.chain import AnalogCore
from crossohm.errors import UnsupportedError
from crossohm.layers.product import DifferentiableContraction
from crossohm.params import CrossSimParameters
from crossohm.torch.tracing import untraced
from crossohm.torch.transforms import is_transforming


class Held(Protocol):
    """What arrays hold of a layer."""

    def multiply(self, core: AnalogCore, contraction: DifferentiableContraction, x: Tensor) -> Tensor:
        """What the arrays of ``core`` return, without gradient."""

    def read_for_inputs(self, core: AnalogCore) -> Tensor:
        """The matrix that the gradient of the inputs uses."""


@untraced
def differentiable_product(
    held: Held, core: AnalogCore, contraction: DifferentiableContraction, matrix: Tensor | None, x: Tensor
) -> Tensor:
    """The analog product, recorded for backward where something needs it.

    Args:
        held: What the arrays hold.
        core: The arrays.
        contraction: How inputs meet the matrix.
        matrix: The ideal matrix as an expression of the parameters, or None if these need no gradient.
        x: ``(batch, features, *positions)``.
    """
    if matrix is not None or (x.requires_grad and torch.is_grad_enabled()) or is_transforming():
        return _AnalogProduct.apply(held, core, contraction, matrix, x)
    return held.multiply(core, contraction, x)


@final
class _AnalogProduct(torch.autograd.Function):
    """``y = analog(x, matrix)`` with the derivatives of the ideal product.

    Converters, clipping, programming errors and noise are passed straight through: the input's gradient uses the
    programmed matrix (behind its wires, if asked for), the matrix's gradient the input before conversion.
    """

    @staticmethod
    def forward(
        held: Held,
        core: AnalogCore,
        contraction: DifferentiableContraction,
        matrix: Tensor | None,
        x: Tensor,
    ) -> Tensor:
        return held.multiply(core, contraction, x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        held, core, contraction, _, x = inputs
        for_matrix, for_x = ctx.needs_input_grad[3:]
        ctx.save_for_backward(x if for_matrix else None)
        ctx.programmed = held.read_for_inputs(core) if for_x else None
        ctx.contraction, ctx.input_shape = contraction, x.shape

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        matrix_grad = x_grad = None
        if x is not None:
            matrix_grad = ctx.contraction.matrix_gradient(grad, x.to(grad.dtype))
        if ctx.programmed is not None:
            x_grad = ctx.contraction.input_gradient(grad, ctx.programmed.to(grad.dtype), ctx.input_shape)
        return None, None, None, matrix_grad, x_grad

    @staticmethod
    def vmap(
        info: Any,
        in_dims: tuple[int | None, ...],
        held: Held,
        core: AnalogCore,
        contraction: DifferentiableContraction,
        matrix: Tensor | None,
        x: Tensor,
    ) -> tuple[Tensor, int]:
        """All samples at once; one by one where the inputs of a call have a common range."""
        *_, of_matrix, of_x = in_dims
        if of_matrix is not None or of_x is None:
            raise UnsupportedError(
                "torch.func.vmap over the parameters of an analog layer: its arrays hold one matrix at a time; loop "
                "over the parameters, or vmap over inputs only"
            )
        samples = x.movedim(of_x, 0)
        if any(_has_common_range(block.params) for block in core.blocks):
            return torch.stack([_AnalogProduct.apply(held, core, contraction, matrix, one) for one in samples]), 0
        y = _AnalogProduct.apply(held, core, contraction, matrix, samples.flatten(0, 1))
        return y.unflatten(0, samples.shape[:2]), 0


def _has_common_range(params: CrossSimParameters) -> bool:
    """True if the input range follows from all inputs of a call."""
    mapping = params.core.mapping.inputs.mvm
    return mapping.percentile is not None and mapping.percentile_scope != "vector"
