"""A number that tells whether a tensor's values changed, cheap enough to compute before every product.

Torch's version counter does not see changes through ``parameter.data``, so the values themselves are looked at.
"""

from __future__ import annotations

import zlib
from functools import lru_cache

import torch
from torch import Tensor

#: Words taken at a time: they and their multipliers stay in the processor's cache.
_CHUNK = 1 << 17
#: Combines the sums of successive chunks.
_BASE = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1
#: Changes whenever the same values have other fingerprints than before; chips that were saved hold fingerprints.
VERSION = 2


def fingerprint(value: Tensor) -> int:
    """Sum of all bits in words of 64, each word times an odd number of its own, in integer arithmetic modulo 2^64.

    A change of one word (a double, two single, four half precision numbers) always changes the sum; any other change
    does, but with a probability below 2^-30. It is a change of bits: 0 and -0 are different, as are NaN of different
    payloads, and the same bits in another dtype; arrays are rather written once too often. The sum is exact: the same
    for every thread count, device and memory layout.
    """
    words, rest = _words(value.detach().reshape(-1))
    total = value.numel() + _number_of(value.dtype)
    for chunk in words.split(_CHUNK) if words.numel() > _CHUNK else (words,):
        total = (total * _BASE + _weighted_sum(chunk)) & _MASK
    return total if rest is None else (total * _BASE + _weighted_sum(rest)) & _MASK


def _words(flat: Tensor) -> tuple[Tensor, Tensor | None]:
    """Numbers as 64-bit integers, and the last incomplete one, if there is one, filled with zeros."""
    size = flat.element_size()
    if size == 8:
        return flat.view(torch.int64), None
    if flat.storage_offset() * size % 8:
        flat = flat.clone()  # it begins in the middle of one
    last = flat.numel() % (8 // size)
    if not last:
        return flat.view(torch.int64), None
    whole = flat.numel() - last
    rest = torch.nn.functional.pad(flat[whole:].view(torch.uint8), (0, 8 - last * size))
    return flat[:whole].view(torch.int64), rest.view(torch.int64)


@lru_cache
def _number_of(dtype: torch.dtype) -> int:
    """The same in every process."""
    return zlib.crc32(str(dtype).encode()) << 32


def _weighted_sum(words: Tensor) -> int:
    # In modular arithmetic the highest bits have the fewest ways to show: two changed signs would always cancel.
    # Folding the upper half into the lower one, which can be undone and hence hides nothing, gives them half a word.
    # (By an odd number of bits, so that the signs of numbers that share a word do not meet; without the mask, shifted
    # integers keep their sign, and it could not be undone.)
    mixed = (words >> 33).bitwise_and_(0x7FFFFFFF).bitwise_xor_(words)
    multipliers = _multipliers(words.numel(), words.device)
    # Only processors have integer dot products.
    total = torch.dot(mixed, multipliers) if words.device.type == "cpu" else (mixed * multipliers).sum()
    return int(total.item()) & _MASK


@lru_cache(maxsize=1024)
def _multipliers(count: int, device: torch.device) -> Tensor:
    return _all_multipliers(device)[:count]


@lru_cache
def _all_multipliers(device: torch.device) -> Tensor:
    """Odd pseudo-random integers, the same everywhere (SplitMix64 of the position)."""
    z = (torch.arange(_CHUNK) + 1) * (_BASE - (1 << 64))
    z = (z ^ (z >> 30)) * (0xBF58476D1CE4E5B9 - (1 << 64))
    return (z ^ (z >> 27)).bitwise_or(1).to(device)
