"""Where random numbers come from.

What is drawn once per chip (programming errors, drift, converter mismatch) comes from a NumPy Philox stream keyed by
(seed, name), so the same seed gives the same chip in every array library. What is drawn per operation (read noise,
stochastic rounding) comes from the array library's own generator.
"""

from __future__ import annotations

import hashlib
from typing import Any, Protocol, final

import numpy as np

from crossohm.backends import Backend, backend_of


def chip_rng(seed: int, *name: object) -> np.random.Generator:
    """Generator keyed by the chip's seed and the name of what is drawn, e.g. ``("fc1", "slice0+", "write0")``."""
    text = "\x1f".join(map(str, (seed, *name)))
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


class Draw(Protocol):
    """A source of random arrays shaped, typed and placed like a given array."""

    def normal(self, like: Any) -> Any:
        """Standard normal numbers of the shape, dtype and device of ``like``."""

    def uniform(self, like: Any) -> Any:
        """Numbers uniform in [0, 1) of the shape, dtype and device of ``like``."""


@final
class ChipDraw:
    """Draws made on the host by NumPy, identical for every array library."""

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator = generator

    def normal(self, like: Any) -> Any:
        return backend_of(like).asarray(self._generator.standard_normal(like.shape), like)

    def uniform(self, like: Any) -> Any:
        return backend_of(like).asarray(self._generator.random(like.shape), like)


@final
class OperationDraw:
    """Draws made by the array library's own generator during a multiplication.

    Args:
        backend: The array library of the inputs.
        rng: ``numpy.random.Generator``, ``torch.Generator`` or None (torch's global generator), or a JAX key.
    """

    def __init__(self, backend: Backend, rng: Any) -> None:
        self._stream = backend.stream(rng)

    def normal(self, like: Any) -> Any:
        return self._stream.normal(like)

    def uniform(self, like: Any) -> Any:
        return self._stream.uniform(like)
