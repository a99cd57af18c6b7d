"""Random numbers of writes: a counted stream that compiled loops and NumPy read alike.

Number ``k`` of a stream is a hash of its key and ``k`` (SplitMix64: G. L. Steele, D. Lea, C. H. Flood, OOPSLA 2014,
https://doi.org/10.1145/2660193.2660195), so that a stream is known by two integers, and which numbers a write gets does
not depend on how the loop over the devices is computed. NumPy's generators cost 10 us per call of a compiled function.

A normal number is one number of the stream, too: it takes a layer of a ziggurat and a place in it (G. Marsaglia,
W. W. Tsang, J. Stat. Softw. 5:8 (2000), https://doi.org/10.18637/jss.v005.i08; J. A. Doornik 2005). The few that fall
outside the bell, one in 300, go on with hashes of the hash.
"""

from __future__ import annotations

import math
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
_MASK = 2**64 - 1
#: Layers of the ziggurat; a power of two, below the bits that do not give the place.
LAYERS = 1024
#: Where its tail begins: with so many layers of one area, the topmost closes at the top of the bell.
TAIL = 4.038849846109505


def _edges() -> NDArray[np.float64]:
    """Half the width of each layer, the lowest first, and 0; the lowest is as wide as its area with the tail asks."""
    area = TAIL * math.exp(-(TAIL**2) / 2) + math.sqrt(math.pi / 2) * math.erfc(TAIL / math.sqrt(2))
    edges = [area * math.exp(TAIL**2 / 2), TAIL]
    while len(edges) < LAYERS:
        edges.append(math.sqrt(-2 * math.log(area / edges[-1] + math.exp(-(edges[-1] ** 2) / 2))))
    return np.array([*edges, 0.0])


EDGES = _edges()


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
        z = self._hashes(count)
        layer = (z & np.uint64(LAYERS - 1)).astype(np.intp)
        found = (2 * _unit(z) - 1) * EDGES[layer]
        for place in np.flatnonzero(np.abs(found) >= EDGES[layer + 1]):
            found[place] = _normal_beyond(int(z[place]), int(layer[place]), float(found[place]))
        return found

    def uniform(self, count: int) -> NDArray[np.float64]:
        """The next ``count`` numbers uniform in [0, 1)."""
        return _unit(self._hashes(count))

    def _hashes(self, count: int) -> NDArray[np.uint64]:
        """The next ``count`` numbers as they are."""
        key, drawn = self.state
        places = np.arange(1, count + 1, dtype=np.uint64) + drawn
        z = key + places * STEP
        z = (z ^ (z >> np.uint64(30))) * FIRST
        z = (z ^ (z >> np.uint64(27))) * SECOND
        z ^= z >> np.uint64(31)
        self.state[1] += np.uint64(count)
        return np.asarray(z, dtype=np.uint64)


def _unit(z: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Hashes as numbers in [0, 1)."""
    return np.asarray((z >> np.uint64(11)) * _UNIT)


def _normal_beyond(z: int, layer: int, x: float) -> float:
    """The normal number of a hash whose place ``x`` in its layer is not surely below the bell.

    Compiled loops do the same, see `crossohm.training.kernels.compiled`.
    """
    while abs(x) >= EDGES[layer + 1]:
        z = _next(z)
        if layer == 0:
            beyond = -math.log(1 - (z >> 11) * _UNIT) / TAIL
            z = _next(z)
            if -2 * math.log(1 - (z >> 11) * _UNIT) >= beyond**2:
                return math.copysign(TAIL + beyond, x)
            continue
        low, high = math.exp(-(EDGES[layer] ** 2) / 2), math.exp(-(EDGES[layer + 1] ** 2) / 2)
        if low + (z >> 11) * _UNIT * (high - low) < math.exp(-(x**2) / 2):
            break
        z = _next(z)
        layer = z & (LAYERS - 1)
        x = (2 * ((z >> 11) * _UNIT) - 1) * float(EDGES[layer])
    return x


def _next(z: int) -> int:
    """The hash of a hash."""
    z = (z + int(STEP)) & _MASK
    z = ((z ^ (z >> 30)) * int(FIRST)) & _MASK
    z = ((z ^ (z >> 27)) * int(SECOND)) & _MASK
    return z ^ (z >> 31)
