"""Tensors inside `torch.func` transforms and forward-mode differentiation."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
from torch import Tensor
from torch.autograd import forward_ad

from crossohm.errors import UnsupportedError


def is_transforming() -> bool:
    """True inside `torch.func.grad`, `vmap`, `jvp` and the like, and inside forward-mode differentiation."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def refuse_transforms(gradient: str) -> None:
    """Refuse a gradient mode for which only plain autograd works.

    Raises:
        UnsupportedError: inside a transform.
    """
    if is_transforming():
        raise UnsupportedError(
            f"gradient = {gradient!r} inside torch.func transforms or forward-mode differentiation: this mode needs "
            "plain autograd; use torch.autograd, or gradient = 'programmed'"
        )


def plain(value: Tensor) -> Tensor:
    """The tensor with actual values behind parameters that a transform has wrapped, without gradient.

    Raises:
        UnsupportedError: a `vmap` runs over it, and it has many values.
    """
    functorch = torch._C._functorch
    if not functorch.is_functorch_wrapped_tensor(value):
        return value.detach()
    while functorch.is_functorch_wrapped_tensor(value):
        if functorch.is_batchedtensor(value):
            raise UnsupportedError(
                "torch.func.vmap over the parameters of an analog layer: its arrays hold one matrix at a time; loop "
                "over the parameters, or vmap over inputs only"
            )
        value = functorch.get_unwrapped(value)
    with outside_transforms():
        return value.detach()


def outside_transforms() -> AbstractContextManager[None]:
    """Operations on plain tensors inside this block are none of the transforms' business."""
    return torch._C._DisableFuncTorch()
