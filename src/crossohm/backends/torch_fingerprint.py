"""Fingerprints of PyTorch tensors, computed where these are; see `crossohm.backends.fingerprint`.

Torch's version counter does not see changes through ``parameter.data``, so the values themselves are looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import torch
from torch import Tensor

from crossohm.backends.fingerprint import BASE, CHUNK, MASK, multipliers, number_of


def fingerprint(value: Tensor) -> int:
    """The fingerprint of a tensor without gradient."""
    words, rest = _words(value.reshape(-1))
    total: int = value.numel() + _number_of(value.dtype)
    for chunk in words.split(CHUNK) if words.numel() > CHUNK else (words,):
        total = (total * BASE + _weighted_sum(chunk)) & MASK
    return total if rest is None else (total * BASE + _weighted_sum(rest)) & MASK


def fingerprints(values: Sequence[Tensor]) -> list[int]:
    """Those of several tensors: the host waits once for all that lie on one device."""
    sums = [_sums(value) for value in values]
    numbers: dict[torch.device, Iterator[int]] = {}
    for device in dict.fromkeys(value.device for value in values):
        here = [one for value, own in zip(values, sums, strict=True) if value.device == device for one in own]
        numbers[device] = iter(torch.stack(here).tolist())
    return [_total(value, [next(numbers[value.device]) for _ in own]) for value, own in zip(values, sums, strict=True)]


def _sums(value: Tensor) -> list[Tensor]:
    words, rest = _words(value.reshape(-1))
    return [_mixed_sum(chunk) for chunk in words.split(CHUNK)] + ([] if rest is None else [_mixed_sum(rest)])


def _total(value: Tensor, sums: Sequence[int]) -> int:
    total: int = value.numel() + _number_of(value.dtype)
    for one in sums:
        total = (total * BASE + (one & MASK)) & MASK
    return total


def digest(value: Tensor) -> Tensor:
    """A hash of the bits of a tensor, ``(2,)`` integers of 32 bits on its device; nothing waits for it."""
    return _mixed_sum(torch.stack(_sums(value))).reshape(1).view(torch.int32)


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
    name: str = str(dtype).removeprefix("torch.")
    return number_of(name)


def _weighted_sum(words: Tensor) -> int:
    return int(_mixed_sum(words).item()) & MASK


def _mixed_sum(words: Tensor) -> Tensor:
    """Sum ``()`` of words times multipliers of their own."""
    mixed = (words >> 33).bitwise_and_(0x7FFFFFFF).bitwise_xor_(words)
    factors = _multipliers(words.numel(), words.device)
    # Only processors have integer dot products.
    return torch.dot(mixed, factors) if words.device.type == "cpu" else (mixed * factors).sum()


@lru_cache(maxsize=1024)
def _multipliers(count: int, device: torch.device) -> Tensor:
    return _all_multipliers(device)[:count]


@lru_cache
def _all_multipliers(device: torch.device) -> Tensor:
    return torch.as_tensor(multipliers()).to(device)
