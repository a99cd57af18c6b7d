"""Tensors inside `torch.func` transforms and forward-mode differentiation."""

from __future__ import annotations

import torch
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
