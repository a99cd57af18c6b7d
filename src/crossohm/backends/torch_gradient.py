"""PyTorch's derivatives that are given by a function, also inside `torch.func` transforms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, final

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.autograd.function import once_differentiable

from crossohm.errors import UnsupportedError


def is_transforming() -> bool:
    """True inside `torch.func.grad`, `vmap`, `jvp` and the like, and inside forward-mode differentiation."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0  # type: ignore[no-any-return]


@final
class WithGradient(torch.autograd.Function):  # type: ignore[misc] # mypy does not see torch
    """See `crossohm.backends.Backend.with_gradient`; ``values`` are inputs, then what is kept."""

    @staticmethod
    def forward(
        forward: Callable[..., Tensor],
        backward: Callable[..., Sequence[Tensor | None]],
        count: int,
        batched: bool,
        *values: Tensor | None,
    ) -> Tensor:
        return forward(*values[:count])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _, ctx.gradients, ctx.count, _, *values = inputs
        ctx.save_for_backward(*values[ctx.count :])
        ctx.others = (None,) * (len(values) - ctx.count)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, None, None, *ctx.gradients(grad, *ctx.saved_tensors), *ctx.others

    @staticmethod
    def vmap(
        info: Any,
        in_dims: tuple[int | None, ...],
        forward: Callable[..., Tensor],
        backward: Callable[..., Sequence[Tensor | None]],
        count: int,
        batched: bool,
        *values: Any,
    ) -> tuple[Tensor, int]:
        """All samples at once where they know nothing of each other, else one by one."""
        along = in_dims[4:]
        if along[count - 1] is None or any(axis is not None for axis in along[: count - 1]):
            raise UnsupportedError(
                "torch.func.vmap over the parameters of an analog layer: its arrays hold one matrix at a time; loop "
                "over the parameters, or vmap over inputs only"
            )
        moved = [value if axis is None else value.movedim(axis, 0) for value, axis in zip(values, along, strict=True)]
        taken = [axis is not None for axis in along]
        sizes = moved[count - 1].shape[:2]

        def call(pick: Callable[[Tensor], Tensor]) -> Tensor:
            chosen = (pick(value) if one else value for value, one in zip(moved, taken, strict=True))
            found: Tensor = WithGradient.apply(forward, backward, count, batched, *chosen)
            return found

        if batched:
            return call(_joined).unflatten(0, sizes), 0
        return torch.stack([call(itemgetter(index)) for index in range(info.batch_size)]), 0


def _joined(samples: Tensor) -> Tensor:
    return samples.flatten(0, 1)
