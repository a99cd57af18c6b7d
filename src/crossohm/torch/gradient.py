"""The gradient rule of all analog layers: analog forward, ideal backward with the weights the arrays hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

if TYPE_CHECKING:
    from crossohm.torch.layer import AnalogLayer


def differentiable_product(layer: AnalogLayer, x: Tensor, bias: nn.Parameter | None) -> Tensor:
    """The layer's analog product, recorded for backward where something needs it.

    Args:
        layer: Its arrays do the work.
        x: ``(batch, features, *positions)``.
        bias: The bias if it is stored in the arrays.
    """
    sources = (x, layer.weight) if bias is None else (x, layer.weight, bias)
    if torch.is_grad_enabled() and any(source.requires_grad for source in sources):
        return _AnalogProduct.apply(layer, x, layer.weight, bias)
    return layer._product(x)


@final
class _AnalogProduct(torch.autograd.Function):
    """``y = analog(x, W, b)`` with the derivatives of the ideal layer.

    Converters, clipping, programming errors and noise are passed straight through: the input's gradient uses the
    programmed weights, the weight's gradient the input before conversion.
    """

    @staticmethod
    def forward(ctx: Any, layer: AnalogLayer, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.layer = layer
        programmed = layer._programmed_weight() if ctx.needs_input_grad[1] else None
        ctx.save_for_backward(x if ctx.needs_input_grad[2] else None, programmed)
        ctx.input_shape = x.shape
        return layer._product(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, programmed = ctx.saved_tensors
        _, for_x, for_weight, for_bias = ctx.needs_input_grad
        others = [0, *range(2, grad.ndim)]
        return (
            None,
            ctx.layer._input_gradient(grad, programmed.to(grad.dtype), ctx.input_shape) if for_x else None,
            ctx.layer._weight_gradient(grad, x.to(grad.dtype)) if for_weight else None,
            grad.sum(others) if for_bias else None,
        )
