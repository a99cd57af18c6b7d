"""Several cells per weight, each holding a few of its bits; slice 0 is the least significant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from crossohm.mapping.scheme import Grid, Mapping


def _digits(code: np.ndarray, slices: int, bits: int) -> np.ndarray:
    """Base ``2**bits`` digits of non-negative integers, least significant first; the last keeps the whole rest."""
    rest = code
    digits = []
    for _ in range(slices - 1):
        quotient = np.floor(rest / 2**bits)
        digits.append(rest - quotient * 2**bits)
        rest = quotient
    return np.stack([*digits, rest])


@dataclass(frozen=True)
class _Slicing:
    """Numbers shared by both sliced schemes."""

    weight_bits: int
    slices: int
    bits: int

    @property
    def full_scale(self) -> int:
        """Code of weight 1."""
        return int(2 ** (self.weight_bits - 1)) - 1

    @property
    def top_digit(self) -> int:
        """Digit stored as the highest conductance."""
        return int(2**self.bits) - 1

    def significance(self, span: float) -> np.ndarray:
        """Decoding coefficient of each slice, ``(slices,)``."""
        return self.top_digit * 2.0 ** (self.bits * np.arange(self.slices)) / (span * self.full_scale)


@final
@dataclass(frozen=True)
class BitSlicedBalanced(Mapping):
    """Sign-magnitude code, sliced; every slice is a one-sided differential pair.

    ``code = rint(w * (2**(B-1) - 1))``; digit i of ``|code|`` is stored as ``rho + (1-rho) * digit / (2**bits - 1)`` in
    the array of the code's sign.
    """

    weight_bits: int
    slices: int
    slice_bits: int
    grid: Grid
    signs = 2

    @property
    def _slicing(self) -> _Slicing:
        return _Slicing(self.weight_bits, self.slices, self.slice_bits)

    def targets(self, w: np.ndarray) -> np.ndarray:
        slicing = self._slicing
        code = np.rint(w * slicing.full_scale)
        fraction = _digits(np.abs(code), self.slices, slicing.bits) / slicing.top_digit
        signed = np.stack([fraction * (code > 0), fraction * (code < 0)], axis=1)
        return np.asarray(self.grid.rho + self.grid.span * signed)

    @property
    def coefficients(self) -> np.ndarray:
        return np.asarray(self._slicing.significance(self.grid.span)[:, None] * np.array([1.0, -1.0]))

    @property
    def step(self) -> float:
        return self.grid.span / self._slicing.top_digit


@final
@dataclass(frozen=True)
class BitSlicedOffset(Mapping):
    """Offset code, sliced; one array per slice.

    ``code = rint(w * (2**(B-1) - 1) + 2**(B-1))``. A unit line holds the digits of the code of weight zero,
    ``2**(B-1)``, so subtracting it is exact whether or not the slices share the bits evenly.

    Source of the unit line: A. Shafiee et al., ISCA 2016 (ISAAC).
    """

    weight_bits: int
    slices: int
    slice_bits: int
    grid: Grid
    unit_line: bool = False
    signs = 1

    @property
    def _slicing(self) -> _Slicing:
        return _Slicing(self.weight_bits, self.slices, self.slice_bits)

    @property
    def _zero_code(self) -> int:
        return int(2 ** (self.weight_bits - 1))

    def targets(self, w: np.ndarray) -> np.ndarray:
        slicing = self._slicing
        code = np.rint(w * slicing.full_scale + self._zero_code)
        digits = _digits(code, self.slices, slicing.bits)[:, None]
        return self.grid.rho + self.grid.span * digits / slicing.top_digit

    @property
    def coefficients(self) -> np.ndarray:
        return self._slicing.significance(self.grid.span)[:, None]

    @property
    def offset(self) -> float:
        pedestal = self.grid.rho * float(self.coefficients.sum())
        return pedestal + self._zero_code / self._slicing.full_scale

    @property
    def unit_targets(self) -> np.ndarray | None:
        if not self.unit_line:
            return None
        slicing = self._slicing
        digits = _digits(np.asarray(float(self._zero_code)), self.slices, slicing.bits)
        return np.asarray(self.grid.rho + self.grid.span * digits / slicing.top_digit)

    @property
    def step(self) -> float:
        return self.grid.span / self._slicing.top_digit
