"""Input bit slicing: a quantised input as a few narrow pulses, least significant first.

A DAC code ``X`` of ``m`` bits is cut into ``K = ceil(m / s)`` slices of ``s`` bits. Each slice drives the array on its
own as a normalised input in [-1, 1], and the outputs are added with binary weights:

    plane_k  = sign(x) * digit_k(X) / (2^s - 1)
    weight_k = span * 2^(s k) * (2^s - 1) / (2^m - 1)
    offset + sum_k weight_k * plane_k = xq

This holds to rounding for every code, so for a linear array the slices together equal the unsliced input.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from crossohm.backends import Array, backend_of


@final
@dataclass(frozen=True)
class BitPlanes:
    """How a DAC code is cut into slices.

    Attributes:
        bits: Bits of the code (magnitude bits, if the DAC has a sign).
        size: Bits per slice.
        offset: Input value of code 0. It cannot be sliced, so it is added digitally.
        span: Input value of the highest code minus ``offset``.
    """

    bits: int
    size: int
    offset: float
    span: float

    @property
    def count(self) -> int:
        """Number of slices."""
        return -(-self.bits // self.size)

    @property
    def weights(self) -> tuple[float, ...]:
        """Factor of each slice's output in the sum, least significant slice first."""
        unit = self.span * (2**self.size - 1) / (2**self.bits - 1)
        return tuple(unit * 2 ** (self.size * k) for k in range(self.count))

    def extract(self, xq: Array, first: int, last: int) -> Array:
        """Slices ``first`` to ``last - 1`` of quantised inputs.

        All planes get the same gradient, scaled so that it is one for their weighted sum.

        Args:
            xq: Quantised inputs, any shape.
            first: First slice wanted; 0 is the least significant.
            last: One past the last slice wanted.

        Returns:
            Normalised inputs, (last - first, *xq.shape).
        """
        backend = backend_of(xq)
        xp = backend.xp
        value = xq - self.offset if self.offset else xq
        # Rounded before it is cut: a code that is off by one ulp would otherwise lose all its lower bits.
        code = xp.round(xp.abs(value) * ((2**self.bits - 1) / self.span))
        scale = xp.sign(value) * (1 / (2**self.size - 1))
        planes = []
        rest = xp.floor(code * 0.5 ** (self.size * first))
        for _ in range(first, last):
            higher = xp.floor(rest * 0.5**self.size)
            planes.append((rest - higher * 2**self.size) * scale)
            rest = higher
        return backend.straight_through(xp.stack(planes), value * (1 / sum(self.weights)))
