"""Where random numbers come from.

What is drawn once per chip (programming errors, drift, converter mismatch) comes from a NumPy Philox stream keyed by
(seed, name), so the same seed gives the same chip in every array library. What is drawn per operation (read noise,
stochastic rounding) comes from the array library's own generator.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable
from typing import Any, Protocol, final

import numpy as np

from crossohm.backends import backend_of

#: Numbers drawn before they are brought to the precision asked for.
DRAWN_AT_A_TIME = 1 << 16


def chip_rng(seed: int, *name: object) -> np.random.Generator:
    """Generator keyed by the chip's seed and the name of what is drawn, e.g. ``("fc1", "slice0+", "write0")``."""
    text = "\x1f".join(map(str, (seed, *name)))
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


@final
class OperationStream:
    """A core's own generator for what is drawn in every operation; no copy of the core ever repeats its numbers.

    A stream starts from its key, so that a program repeats its numbers. A deep copy goes on with a stream derived from
    the original's and the number of the copy, which a program repeats as well. What does not know its siblings, a copy
    in a forked process or an unpickled one, goes on with a stream that nothing repeats.

    Args:
        seed: The chip.
        *name: What is drawn.
    """

    def __init__(self, seed: int, *name: object) -> None:
        self._start(seed, *name)

    def _start(self, seed: int, *name: object) -> None:
        self._seed, self._name, self._copies, self._process = seed, name, 0, os.getpid()
        self._generator = chip_rng(seed, *name)

    @property
    def generator(self) -> np.random.Generator:
        """The generator, at the place it has reached."""
        self._own()
        return self._generator

    def _own(self) -> None:
        """Part from the process this one was forked from."""
        if self._process != os.getpid():
            self._start(secrets.randbits(128), "forked")

    def __deepcopy__(self, memo: object) -> OperationStream:
        self._own()
        self._copies += 1
        return OperationStream(self._seed, *self._name, "copy", self._copies)

    def __reduce__(self) -> tuple[object, ...]:
        return _fresh_stream, ()


def _fresh_stream() -> OperationStream:
    return OperationStream(secrets.randbits(128), "unpickled")


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
        return self._drawn(self._generator.standard_normal, like)

    def uniform(self, like: Any) -> Any:
        return self._drawn(self._generator.random, like)

    def _drawn(self, law: Callable[[int], np.ndarray], like: Any) -> Any:
        """Numbers drawn in double precision, and kept in the precision of ``like`` a piece at a time."""
        backend = backend_of(like)
        single = backend.dtype_name(like) == "float32"
        host = np.empty(like.shape, dtype=np.float32 if single else np.float64)
        flat = host.reshape(-1)
        for start in range(0, flat.size, DRAWN_AT_A_TIME):
            piece = flat[start : start + DRAWN_AT_A_TIME]
            piece[...] = law(piece.size)
        return backend.asarray(host, like)
