"""A number that tells whether an array's values changed, cheap enough to compute before every product.

It is the sum of all bits in words of 64, each word times an odd number of its own, in integer arithmetic modulo 2^64. A
change of one word (a double, two single, four half precision numbers) always changes the sum; any other change does,
but with a probability below 2^-30. It is a change of bits: 0 and -0 are different, as are NaN of different payloads,
and the same bits in another dtype; arrays are rather written once too often. The sum is exact: the same for every
library, thread count, device and memory layout.

Here is what libraries have in common, and the sum for arrays on the host.
"""

from __future__ import annotations

import zlib
from functools import lru_cache

import numpy as np

#: Words taken at a time: they and their multipliers stay in the processor's cache.
CHUNK = 1 << 17
#: Combines the sums of successive chunks.
BASE = 0x9E3779B97F4A7C15
MASK = (1 << 64) - 1
#: Changes whenever the same values have other fingerprints than before; chips that were saved hold fingerprints.
VERSION = 2


def fingerprint(value: np.ndarray, dtype: str) -> int:
    """The fingerprint of an array on the host whose dtype has this name."""
    data = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
    whole = len(data) // 8 * 8
    total, words = value.size + number_of(dtype), data[:whole].view(np.int64)
    for start in range(0, max(len(words), 1), CHUNK):
        total = (total * BASE + _weighted_sum(words[start : start + CHUNK])) & MASK
    if whole == len(data):
        return total
    rest = np.pad(data[whole:], (0, whole + 8 - len(data)))
    return (total * BASE + _weighted_sum(rest.view(np.int64))) & MASK


def halves(total: int) -> np.ndarray:
    """A fingerprint as two integers of 32 bits, ``(2,)``."""
    return np.array([total & 0xFFFFFFFF, total >> 32], dtype=np.uint32)


@lru_cache
def number_of(dtype: str) -> int:
    """The same in every process."""
    return zlib.crc32(f"torch.{dtype}".encode()) << 32  # as PyTorch spells it: so it is in saved chips


@lru_cache
def multipliers() -> np.ndarray:
    """Odd pseudo-random integers, one per word of a chunk (SplitMix64 of the position)."""
    z = np.arange(1, CHUNK + 1) * np.int64(BASE - (1 << 64))
    z = (z ^ (z >> 30)) * np.int64(0xBF58476D1CE4E5B9 - (1 << 64))
    found: np.ndarray = (z ^ (z >> 27)) | 1
    return found


def _weighted_sum(words: np.ndarray) -> int:
    # In modular arithmetic the highest bits have the fewest ways to show: two changed signs would always cancel.
    # Folding the upper half into the lower one, which can be undone and hence hides nothing, gives them half a word.
    # (By an odd number of bits, so that the signs of numbers that share a word do not meet; without the mask, shifted
    # integers keep their sign, and it could not be undone.)
    mixed = ((words >> 33) & 0x7FFFFFFF) ^ words
    return int((mixed * multipliers()[: len(words)]).sum(dtype=np.int64)) & MASK
