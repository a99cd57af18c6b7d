"""Tensors inside `torch.func` transforms and forward-mode differentiation."""

from __future__ import annotations

from crossohm.backends.torch_gradient import is_transforming
from crossohm.errors import UnsupportedError


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
