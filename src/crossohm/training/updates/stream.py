"""Random numbers of writes: a counted stream that compiled loops and NumPy read alike.

Number ``k`` of a stream is a hash of its key and ``k`` (SplitMix64: G. L. Steele, D. Lea, C. H. Flood, OOPSLA 2014,
https://doi.org/10.1145/2660193.2660195), so that a stream is known by two integers, and which numbers a write gets does
not depend on how the loop over the devices is computed. NumPy's generators cost 10 us per call of a compiled function.
"""

from __future__ import annotations

from typing import Literal, final

import numpy as np
from numpy.typing import NDArray

from crossohm._random import chip_rng

#: What a step draws: nothing, a number uniform in [0, 1), a standard normal one.
Law = Literal["nothing", "uniform", "normal"]
LAWS: tuple[Law, ...] = ("nothing", "uniform", "normal")

#: Constants of the hash, which compiled loops share.
STEP = np.uint64(0x9E3779B97F4A7C15)
FIRST, SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_UNIT = 2.0**-53


@final
class DrawStream:
    """A stream of random numbers, keyed by a seed and the name of what is drawn.

    Args:
        seed: The chip.
        *name: What is drawn, e.g. the name of the array and ``"writes"``.
    """

    def __init__(self, seed: int, *name: object) -> None:
        key = chip_rng(seed, *name).integers(0, 2**64, dtype=np.uint64)
        #: Key and count of the numbers drawn, shape ``(2,)``; compiled loops count on in place.
        self.state: NDArray[np.uint64] = np.array([key, 0], dtype=np.uint64)

    @classmethod
    def resumed(cls, state: NDArray[np.uint64]) -> DrawStream:
        """The stream whose key and count are in ``state``, which is counted on in place."""
        stream = cls.__new__(cls)
        stream.state = state
        return stream

    def draw(self, law: Law, count: int) -> NDArray[np.float64] | None:
        """The next ``count`` numbers of a law; None if it draws nothing."""
        if law == "nothing":
            return None
        if law == "uniform":
            return self.uniform(count)
        pairs = self.uniform(2 * count).reshape(count, 2)
        return np.asarray(np.sqrt(-2 * np.log(1 - pairs[:, 0])) * np.cos(2 * np.pi * pairs[:, 1]))

    def uniform(self, count: int) -> NDArray[np.float64]:
        """The next ``count`` numbers uniform in [0, 1)."""
        key, drawn = self.state
        places = np.arange(1, count + 1, dtype=np.uint64) + drawn
        z = key + places * STEP
        z = (z ^ (z >> np.uint64(30))) * FIRST
        z = (z ^ (z >> np.uint64(27))) * SECOND
        z ^= z >> np.uint64(31)
        self.state[1] += np.uint64(count)
        return np.asarray((z >> np.uint64(11)) * _UNIT)
