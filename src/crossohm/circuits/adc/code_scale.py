"""What the circuit ADCs share: their code scale, their clipping, and the wiring of converters to output lines.

Source: M. Spear et al., IEEE Journal on Exploratory Solid-State Computational Devices and Circuits, 2023.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, final

import numpy as np

from crossohm._random import Draw
from crossohm.backends import Array, backend_of
from crossohm.errors import ParameterError, ShapeError

# Elements NumPy converts at a time: the dozen temporaries of a conversion then stay in the processor's cache.
_BLOCK = 65536


@final
@dataclass(frozen=True)
class CodeScale:
    """Codes ``c`` = 0..2^bits-1 and the values they stand for: ``Vref * (2c - 2^bits + 1) / 2^bits``.

    The scale is mid-rise (no level at zero) and always symmetric. A range that is not symmetric is clipped to itself,
    so it leaves the codes beyond it unused.
    """

    bits: int
    low: float
    high: float

    @property
    def vref(self) -> float:
        """Reference voltage: the larger limit."""
        return max(abs(self.low), abs(self.high))

    @property
    def lsb(self) -> float:
        """Distance of neighbouring values."""
        return self.vref * 2.0 ** (1 - self.bits)

    def value(self, code: Any) -> Any:
        """The number reported for a code."""
        return self.vref * (2 * code - (2**self.bits - 1)) / 2**self.bits


class Decision(Protocol):
    """How a circuit ADC finds the code of a current."""

    def on(self, like: Array, lines: int) -> Callable[[Array], Array]:
        """The decision with its tables as arrays like ``like``, float32 or float64.

        Args:
            like: Any array of the library, dtype and device of the currents.
            lines: Lines of the currents, (batch, lines, *positions), if those differ.

        Raises:
            ShapeError: the array has been built for another number of lines.
        """


@dataclass(frozen=True)
class _Coded:
    """What is known of a circuit ADC, whatever its currents.

    Attributes:
        scale: The codes and their values.
        per_line: True if the converters of different lines differ.
    """

    scale: CodeScale
    per_line: bool

    @property
    def stochastic(self) -> bool:
        """False: the errors of a circuit are those of its chip."""
        return False

    @property
    def levels(self) -> int:
        """Number of codes."""
        return int(2**self.scale.bits)

    @property
    def lsb(self) -> float:
        """Distance of the values of neighbouring codes."""
        return self.scale.lsb

    @property
    def output_levels(self) -> np.ndarray:
        """The value of every code, ascending."""
        return np.asarray(self.scale.value(np.arange(self.levels)))


@final
@dataclass(frozen=True)
class CircuitConverter(_Coded):
    """A circuit ADC: clips to its range and decides on a code.

    Attributes:
        decision: Clipped currents, float32 or float64, to the value of their code.
    """

    decision: Decision

    def on(self, like: Array, lines: int) -> LoweredCircuit:
        """The converter with its tables as arrays of the library, dtype and device of ``like``."""
        return LoweredCircuit(self.scale, self.per_line, self.decision.on(_wide(like), lines))

    def __call__(self, x: Array, draw: Draw | None = None) -> Array:
        """Values of the codes of the currents ``x``: (batch, lines, *positions), or any shape if not `per_line`."""
        return self.on(x, x.shape[1] if x.ndim > 1 else 0)(x, draw)


@final
@dataclass(frozen=True)
class LoweredCircuit(_Coded):
    """A `CircuitConverter` for currents of one library, dtype and device.

    Attributes:
        decide: Clipped currents, float32 or float64, to the value of their code.
    """

    decide: Callable[[Array], Array]

    def __call__(self, x: Array, draw: Draw | None = None) -> Array:
        """Values of the codes of the currents ``x``: (batch, lines, *positions), or any shape if not `per_line`."""
        if backend_of(x).name != "numpy" or x.size <= _BLOCK or x.ndim < 2:
            return self._convert(x)
        out = np.empty_like(x)
        rows = max(1, _BLOCK * len(x) // x.size)
        for start in range(0, len(x), rows):
            out[start : start + rows] = self._convert(x[start : start + rows])
        return out

    def _convert(self, x: Array) -> Array:
        backend, wide = backend_of(x), _wide(x)
        found = backend.convert(wide, self.scale.low, self.scale.high, self._value)
        return backend.astype(found, backend.dtype_name(x))

    def _value(self, inside: Array) -> Array:
        xp = backend_of(inside).xp
        return xp.where(xp.isnan(inside), inside, self.decide(inside))


def _wide(x: Array) -> Array:
    """Decision levels lie closer together than the 8 to 11 bits of a half-precision number can tell apart."""
    backend = backend_of(x)
    return x if backend.dtype_name(x) in ("float32", "float64") else backend.astype(x, "float32")


def check_group_size(group_size: int, path: str) -> None:
    """Raise `ParameterError` unless at least one line shares a converter."""
    if group_size < 1:
        raise ParameterError(f"{path}.group_size", group_size, "no line would have a converter", allowed=">= 1")


def group_count(lines: int, group_size: int) -> int:
    """Converters needed for ``lines`` output lines; the last group may be smaller."""
    return -(-lines // group_size)


def collapse(rows: np.ndarray) -> np.ndarray:
    """The first row alone if all rows are equal, so that identical converters need no line structure."""
    return rows[:1] if (rows == rows[:1]).all() else rows


def of_lines(per_group: np.ndarray, group_size: int, lines: int) -> np.ndarray:
    """Numbers of each converter repeated for its lines.

    Args:
        per_group: (groups, ...)
        group_size: Lines that share a converter.
        lines: Lines of the currents.

    Returns:
        (lines, ...) on the host.

    Raises:
        ShapeError: the array has been built for another number of lines.
    """
    if group_count(lines, group_size) != len(per_group):
        raise ShapeError(
            f"currents of {lines} lines do not fit this ADC: it has {len(per_group)} converters of {group_size} "
            "line(s) each and expects (batch, lines, *positions)"
        )
    return np.repeat(per_group, group_size, axis=0)[:lines]


def along_lines(per_line: Array, x: Array) -> Array:
    """Numbers of each line ``(lines,)`` shaped to broadcast against ``x`` ``(batch, lines, *positions)``."""
    return backend_of(x).xp.reshape(per_line, (-1,) + (1,) * (x.ndim - 2))
