"""The usual gradient rule of analog layers: analog forward, ideal backward with the matrix the arrays hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, final

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from crossohm.chain import AnalogCore, Contraction

if TYPE_CHECKING:
    from crossohm.torch.held import HeldMatrix


class DifferentiableContraction(Contraction, Protocol):
    """A linear map that knows the gradients of the ideal product."""

    def input_gradient(self, grad: Tensor, matrix: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Gradient of inputs of ``shape`` for that of the outputs."""

    def matrix_gradient(self, grad: Tensor, x: Tensor) -> Tensor:
        """Gradient of the matrix for that of the outputs."""


def differentiable_product(
    held: HeldMatrix, core: AnalogCore, contraction: DifferentiableContraction, matrix: Tensor | None, x: Tensor
) -> Tensor:
    """The analog product, recorded for backward where something needs it.

    Args:
        held: What the arrays hold.
        core: The arrays.
        contraction: How inputs meet the matrix.
        matrix: The ideal matrix as an expression of the parameters, or None if these need no gradient.
        x: ``(batch, features, *positions)``.
    """
    if matrix is not None or (x.requires_grad and torch.is_grad_enabled()):
        return _AnalogProduct.apply(held, core, contraction, matrix, x)
    return held.multiply(core, contraction, x)


@final
class _AnalogProduct(torch.autograd.Function):
    """``y = analog(x, matrix)`` with the derivatives of the ideal product.

    Converters, clipping, programming errors and noise are passed straight through: the input's gradient uses the
    programmed matrix, the matrix's gradient the input before conversion.
    """

    @staticmethod
    def forward(
        ctx: Any,
        held: HeldMatrix,
        core: AnalogCore,
        contraction: DifferentiableContraction,
        matrix: Tensor | None,
        x: Tensor,
    ) -> Tensor:
        for_matrix, for_x = ctx.needs_input_grad[3:]
        ctx.save_for_backward(x if for_matrix else None, held.read(core) if for_x else None)
        ctx.contraction, ctx.input_shape = contraction, x.shape
        return held.multiply(core, contraction, x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, programmed = ctx.saved_tensors
        matrix_grad = x_grad = None
        if x is not None:
            matrix_grad = ctx.contraction.matrix_gradient(grad, x.to(grad.dtype))
        if programmed is not None:
            x_grad = ctx.contraction.input_gradient(grad, programmed.to(grad.dtype), ctx.input_shape)
        return None, None, None, matrix_grad, x_grad
