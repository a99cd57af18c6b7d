"""What lines are driven and read through: ranges, numbers of bits, noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from crossohm.errors import ParameterError
from crossohm.training.checks import require_count, require_flag, require_number, require_one_of

Uniform = Callable[[tuple[int, ...]], NDArray[np.float64]]
"""Draws numbers uniform in [0, 1) of a shape."""


@final
@dataclass(frozen=True)
class Interface:
    """One converter between numbers and signals: clips, adds noise, rounds.

    Attributes:
        limit: Ends of the range, ``-limit`` to ``limit``, in the units of the layer; None: no clipping.
        bits: Bits with the sign: ``2**bits - 1`` levels; 0: no rounding.
        stochastic: Round up as often as the value is near the upper level; False: to the nearest, ties to even.
        noise: Standard deviation of the normal noise before rounding, over the length of the range.

    Raises:
        ParameterError: a parameter is out of its range, or rounding or noise without a range.
    """

    limit: float | None = None
    bits: int = 0
    stochastic: bool = False
    noise: float = 0.0

    def __post_init__(self) -> None:
        if self.limit is not None:
            require_number("limit", self.limit, above=0)
        require_count("bits", self.bits)
        if self.bits == 1:
            raise ParameterError("bits", 1, "one level, which is zero", allowed="0 (no rounding), or 2 or more")
        require_flag("stochastic", self.stochastic)
        require_number("noise", self.noise, at_least=0)
        if self.limit is None and (self.bits or self.noise):
            raise ParameterError("limit", None, "rounding and noise need a range", remedy="Give limit")

    @property
    def ideal(self) -> bool:
        """True if everything passes as it is."""
        return self.limit is None

    @property
    def draws(self) -> bool:
        """True if converting needs random numbers."""
        return self.noise > 0 or (self.stochastic and self.bits > 0)

    def scaled(self, factor: float) -> Interface:
        """The same with ``factor`` times the range."""
        return self if self.limit is None else replace(self, limit=self.limit * factor)

    def convert(self, values: NDArray[np.floating], uniform: Uniform) -> NDArray[np.floating]:
        """What passes the interface.

        Args:
            values: Any shape; not changed.
            uniform: Random numbers, asked for only if `draws`.
        """
        if self.limit is None:
            return values
        values = np.clip(values, -self.limit, self.limit)
        if self.noise:
            normal = np.sqrt(-2 * np.log(1 - uniform(values.shape))) * np.cos(2 * np.pi * uniform(values.shape))
            values = np.clip(values + (2 * self.limit * self.noise * normal), -self.limit, self.limit)
        if not self.bits:
            return values
        half = 2 ** (self.bits - 1) - 1
        place = values * (half / self.limit) + half
        place = np.floor(place + uniform(values.shape)) if self.stochastic else np.rint(place)
        return np.asarray((np.minimum(place, 2 * half) - half) * (self.limit / half))


@final
@dataclass(frozen=True)
class Interfaces:
    """The six interfaces of an array; rows carry the outputs of the layer, columns its inputs.

    Attributes:
        column_input: What drives the columns in the forward read.
        row_output: What the forward read gives.
        row_input: What drives the rows in the transposed read.
        column_output: What the transposed read gives.
        row_update: Row operands of a write, before the learning rate.
        column_update: Column operands of a write.
    """

    column_input: Interface = field(default_factory=Interface)
    row_output: Interface = field(default_factory=Interface)
    row_input: Interface = field(default_factory=Interface)
    column_output: Interface = field(default_factory=Interface)
    row_update: Interface = field(default_factory=Interface)
    column_update: Interface = field(default_factory=Interface)

    def __post_init__(self) -> None:
        for of in fields(self):
            if not isinstance(getattr(self, of.name), Interface):
                raise ParameterError(of.name, getattr(self, of.name), "no interface", allowed="Interface(...)")

    @classmethod
    def preset(cls, name: str, *, stochastic_updates: bool = False) -> Interfaces:
        """CrossSim's converters for training, see `PRESETS`.

        Args:
            name: ``"NONE"``: ranges that nothing reaches; ``"SIGMOID"`` and ``"RELU"``: 7 bits for reads, 6 and 4 for
                the operands of writes, with ranges for those activations.
            stochastic_updates: Round the operands of writes stochastically.

        Raises:
            UnknownNameError: no such preset.
        """
        require_one_of("interfaces", name, PRESETS, "preset of interfaces")
        found = {of: Interface(limit, bits) for of, (limit, bits) in PRESETS[name].items()}
        if stochastic_updates:
            found |= {of: replace(found[of], stochastic=True) for of in ("row_update", "column_update")}
        return cls(**found)

    @property
    def burst(self) -> Interface:
        """What a full matrix of changes passes before it is written: the product of the ranges, bits of the rows."""
        rows, columns = self.row_update, self.column_update
        if rows.limit is None or columns.limit is None:
            return Interface()
        return rows.scaled(columns.limit)

    def describe(self) -> str:
        """One line: what the interfaces do."""
        words = {of.name: _words(getattr(self, of.name)) for of in fields(self) if not getattr(self, of.name).ideal}
        return ", ".join(f"{name} {what}" for name, what in words.items()) or "ideal"


def _words(interface: Interface) -> str:
    limit: Any = interface.limit
    bits = f" {interface.bits} bits" if interface.bits else ""
    return f"±{limit:g}{bits}{' stochastic' if interface.stochastic else ''}"


#: Ranges and bits of CrossSim's presets for training.
PRESETS: dict[str, dict[str, tuple[float, int]]] = {
    "NONE": {
        "column_input": (100, 0),
        "row_input": (100, 0),
        "row_output": (1e5, 0),
        "column_output": (1e5, 0),
        "row_update": (100, 0),
        "column_update": (100, 0),
    },
    "SIGMOID": {
        "column_input": (1, 7),
        "row_input": (1, 7),
        "row_output": (6, 7),
        "column_output": (4, 7),
        "row_update": (0.1, 6),
        "column_update": (1, 4),
    },
    "RELU": {
        "column_input": (10, 7),
        "row_input": (1, 7),
        "row_output": (20, 7),
        "column_output": (3, 7),
        "row_update": (3, 6),
        "column_update": (10, 4),
    },
}


def smallest_update(rows: Interface, columns: Interface, lr: float, weight_limit: float) -> float:
    """Smallest change other than zero that operands of so many levels ask for, over the range of the weights.

    Returns:
        0 if an operand is not rounded.
    """
    if not (rows.bits and columns.bits) or rows.limit is None or columns.limit is None:
        return 0.0
    steps = float((2**rows.bits - 2) * (2**columns.bits - 2))
    return lr * (2 * rows.limit) * (2 * columns.limit) / (2 * weight_limit) / steps
