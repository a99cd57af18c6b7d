"""Arithmetic of folding a BatchNorm into the layer before it."""

from __future__ import annotations

from crossohm.backends import Array


def folding_factors(
    inverse_deviation: Array, mean: Array, gamma: Array | None, beta: Array | None
) -> tuple[Array, Array]:
    """What a normalisation ``gamma (y - mean) / deviation + beta`` multiplies each channel by, and adds then.

    Args:
        inverse_deviation: ``1 / sqrt(variance + eps)``, ``(channels,)``.
        mean: ``(channels,)``.
        gamma: Factor of each channel, or None: one.
        beta: What is added to each channel, or None: nothing.

    Returns:
        ``scale = gamma / deviation``, and ``shift = beta - scale mean``.
    """
    scale = inverse_deviation if gamma is None else inverse_deviation * gamma
    shift = -mean * scale
    return scale, shift if beta is None else shift + beta


def folded_bias(bias: Array | None, scale: Array, shift: Array) -> Array:
    """The bias of a layer that puts out ``scale y + shift`` instead of ``y``; its weights are multiplied by scale."""
    return shift if bias is None else bias * scale + shift
