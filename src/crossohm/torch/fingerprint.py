"""A number that tells whether a tensor's values changed, cheap enough to compute before every product.

Torch's version counter does not see changes through ``parameter.data``, so the values themselves are looked at.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

#: Elements taken at a time: they and their multipliers stay in the processor's cache.
_CHUNK = 1 << 18
#: Combines the sums of successive chunks.
_BASE = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1


def fingerprint(value: Tensor) -> int:
    """Sum of all bit patterns, each times an odd number of its own, in integer arithmetic modulo 2^32.

    (Modulo 2^64 for double precision.) A change of one element always changes the sum; any other change does, but with
    a probability below 2^-16. The sum is exact: the same for every thread count, device and memory layout.
    """
    bits = _patterns(value.detach()).reshape(-1)
    total = bits.numel()
    for chunk in bits.split(_CHUNK) if total > _CHUNK else (bits,):
        total = (total * _BASE + _weighted_sum(chunk)) & _MASK
    return total


def _patterns(value: Tensor) -> Tensor:
    """Elements as integers of at least 32 bits."""
    if value.dtype == torch.float64:
        return value.view(torch.int64)
    if value.element_size() == 4:
        return value.view(torch.int32)
    return value.view(torch.int16).to(torch.int32)


def _weighted_sum(bits: Tensor) -> int:
    # In modular arithmetic the highest bits have the fewest ways to show: two changed signs would often cancel. Folding
    # the upper half into the lower one, which can be undone and hence hides nothing, gives them half a word.
    mixed = bits >> 4 * bits.element_size()
    mixed ^= bits
    multipliers = _multipliers(bits.numel(), bits.dtype, bits.device)
    # Only processors have integer dot products.
    total = torch.dot(mixed, multipliers) if bits.device.type == "cpu" else (mixed * multipliers).sum()
    return int(total.item()) % (1 << 8 * bits.element_size())


@lru_cache(maxsize=1024)
def _multipliers(count: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    return _all_multipliers(dtype, device)[:count]


@lru_cache
def _all_multipliers(dtype: torch.dtype, device: torch.device) -> Tensor:
    """Odd pseudo-random integers, the same everywhere (SplitMix64 of the position)."""
    z = (torch.arange(_CHUNK) + 1) * (_BASE - (1 << 64))
    z = (z ^ (z >> 30)) * (0xBF58476D1CE4E5B9 - (1 << 64))
    z = z ^ (z >> 27)
    return (z >> 16 if dtype == torch.int32 else z).to(dtype).bitwise_or(1).to(device)
