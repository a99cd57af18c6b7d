"""The digital half of attention: masks, scores and weighted sums of values."""

from __future__ import annotations

from math import sqrt

import torch
import torch.nn.functional as F
from torch import Tensor

from crossohm.errors import InputError, ShapeError


def attend(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, dropout: float, need_weights: bool
) -> tuple[Tensor, Tensor | None]:
    """Softmax attention of every head.

    Args:
        query: ``(batch, heads, targets, size)``.
        key: ``(batch, heads, sources, size)``.
        value: As ``key``.
        mask: Added to the scores, ``(batch or 1, heads or 1, targets or 1, sources)``.
        dropout: Share of the weights set to zero.
        need_weights: If False, the weights are not kept.

    Returns:
        The sums ``(batch, heads, targets, size)``, and the weights ``(batch, heads, targets, sources)``.
    """
    if not need_weights:
        return F.scaled_dot_product_attention(query, key, value, mask, dropout), None
    scores = query / sqrt(query.shape[-1]) @ key.transpose(-1, -2)
    weights = F.dropout((scores if mask is None else scores + mask).softmax(dim=-1), dropout)
    return weights @ value, weights


def joint_mask(
    padding: Tensor | None, mask: Tensor | None, shape: tuple[int, int, int, int], dtype: torch.dtype
) -> Tensor | None:
    """What both masks of `torch.nn.MultiheadAttention` add to scores of ``shape``; None if there is none.

    Args:
        padding: ``key_padding_mask`` ``(batch, sources)``.
        mask: ``attn_mask`` ``(targets, sources)`` or ``(batch * heads, targets, sources)``.
        shape: ``(batch, heads, targets, sources)``.
        dtype: Of the result.

    Raises:
        ShapeError: a mask does not fit.
        InputError: a mask is neither boolean (True: do not look there) nor floating-point (added to the scores).
    """
    batch, heads, targets, sources = shape
    total = None
    if mask is not None:
        _require_shape("attn_mask", mask, (targets, sources), (batch * heads, targets, sources))
        total = _additive("attn_mask", mask, dtype)
        total = total[None, None] if mask.ndim == 2 else total.reshape(shape)
    if padding is not None:
        _require_shape("key_padding_mask", padding, (batch, sources))
        hidden = _additive("key_padding_mask", padding, dtype)[:, None, None]
        total = hidden if total is None else total + hidden
    return total


def _require_shape(name: str, mask: Tensor, *allowed: tuple[int, ...]) -> None:
    if tuple(mask.shape) not in allowed:
        raise ShapeError(f"{name} of shape {tuple(mask.shape)} does not fit; expected {' or '.join(map(str, allowed))}")


def _additive(name: str, mask: Tensor, dtype: torch.dtype) -> Tensor:
    if mask.dtype == torch.bool:
        return torch.zeros_like(mask, dtype=dtype).masked_fill(mask, float("-inf"))
    if not mask.is_floating_point():
        raise InputError(f"{name} of {mask.dtype}: expected bool (True: do not look there) or floats (added to scores)")
    return mask.to(dtype)
