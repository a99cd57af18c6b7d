"""Input bit slicing: a quantised input as a few narrow pulses, least significant first.

A DAC code ``X`` of ``m`` bits is cut into ``K = ceil(m / s)`` slices of ``s`` bits. Each slice drives the array on its
own as a normalised input in [-1, 1], and the outputs are added with binary weights:

    plane_k  = sign(x) * digit_k(X) / (2^s - 1)
    weight_k = span * 2^(s k) * (2^s - 1) / (2^m - 1)
    offset + sum_k weight_k * plane_k = xq

This holds to rounding for every code, so for a linear array the slices together equal the unsliced input.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
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
        signed: True if codes have a sign, which every slice then has.
    """

    bits: int
    size: int
    offset: float
    span: float
    signed: bool

    @property
    def count(self) -> int:
        """Number of slices."""
        return -(-self.bits // self.size)

    @property
    def weights(self) -> tuple[float, ...]:
        """Factor of each slice's output in the sum, least significant slice first."""
        unit = self.span * (2**self.size - 1) / (2**self.bits - 1)
        return tuple(unit * 2 ** (self.size * k) for k in range(self.count))

    @property
    def fraction_unit(self) -> float:
        """Normalised input per unit of `fractions`."""
        return 1 / (1 - 0.5**self.size)

    def fractions(self, code: Array) -> Iterator[Array]:
        """Slices of whole codes with sign, least significant first, each as ``digit / 2^s``.

        All slices get the same gradient, scaled so that it is that of the code for their weighted sum.
        """
        backend = backend_of(code)
        xp = backend.xp
        surrogate = code * (self.span / ((2**self.bits - 1) * self.fraction_unit * sum(self.weights)))
        rest, sign = (xp.abs(code), xp.sign(code)) if self.signed else (code, None)
        for _ in range(self.count):
            fraction = rest * 0.5**self.size
            rest = xp.floor(fraction)
            fraction -= rest
            yield backend.straight_through(fraction if sign is None else fraction * sign, surrogate)

    def extract(self, xq: Array, first: int, last: int) -> Array:
        """Slices ``first`` to ``last - 1`` of quantised inputs.

        Args:
            xq: Quantised inputs, any shape.
            first: First slice wanted; 0 is the least significant.
            last: One past the last slice wanted.

        Returns:
            Normalised inputs, (last - first, *xq.shape).
        """
        slices = islice(self.fractions(self.codes(xq)), first, last)
        return backend_of(xq).xp.stack([fraction * self.fraction_unit for fraction in slices])

    def codes(self, xq: Array) -> Array:
        """Whole codes with sign of quantised inputs."""
        backend = backend_of(xq)
        exact = (xq - self.offset if self.offset else xq) * ((2**self.bits - 1) / self.span)
        # Rounded before it is cut: a code that is off by one ulp would otherwise lose all its lower bits.
        return backend.straight_through(backend.xp.round(exact), exact)
