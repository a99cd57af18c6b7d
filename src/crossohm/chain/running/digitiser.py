"""The ADCs of one input partition: which converter reads which lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from crossohm._random import Draw
from crossohm.backends import Array, backend_of
from crossohm.circuits.adc import Converter, UniformConverter
from crossohm.circuits.levels import Levels


@final
@dataclass(frozen=True)
class Counting:
    """Equidistant converters whose units have moved into the matrices before and after: rounding is what remains.

    Attributes:
        levels: Levels of each bank, normalised current.
        start: Level 0 of each bank in steps, ``(banks,)``; None if it is zero for all.
    """

    levels: tuple[Levels, ...]
    start: Array | None

    def numbers(self, currents: Array) -> Array:
        """Level numbers of currents in steps, ``(batch, banks, lines, *positions)``, which are consumed."""
        if self.start is not None:
            currents -= backend_of(currents).xp.reshape(self.start, (-1,) + (1,) * (currents.ndim - 2))
        return backend_of(currents).round_within(currents, self.levels[0].first, self.levels[0].last)


@final
@dataclass(frozen=True)
class Digitiser:
    """Converters of every bank and output partition.

    Attributes:
        converters: ``converters[bank][partition]``.
        parts: Lines of each output partition.
        counting: Present if currents arrive in steps and leave as level numbers.
    """

    converters: tuple[tuple[Converter, ...], ...]
    parts: tuple[slice, ...]
    counting: Counting | None = None

    @property
    def levels(self) -> tuple[Levels, ...] | None:
        """Levels of each bank, if all its converters round to the same equidistant levels."""
        found = []
        for bank in self.converters:
            first = bank[0]
            if not isinstance(first, UniformConverter) or first.stochastic or any(own is not first for own in bank):
                return None
            found.append(first.uniform)
        return tuple(found)

    @property
    def stochastic(self) -> bool:
        """True if a conversion draws random numbers."""
        return any(converter.stochastic for bank in self.converters for converter in bank)

    def convert(self, currents: Array, draw: Draw | None) -> Array:
        """Digitise ``(batch, banks, lines, *positions)``."""
        if self.counting is not None:
            return self.counting.numbers(currents)
        first = self.converters[0][0]
        if not first.per_line and all(converter is first for bank in self.converters for converter in bank):
            return first(currents, draw)
        xp = backend_of(currents).xp
        banks = [self._convert_bank(currents[:, b], bank, draw) for b, bank in enumerate(self.converters)]
        return banks[0][:, None] if len(banks) == 1 else xp.stack(banks, axis=1)

    def _convert_bank(self, currents: Array, bank: Sequence[Converter], draw: Draw | None) -> Array:
        if all(converter is bank[0] for converter in bank):
            return bank[0](currents, draw)
        parts = [converter(currents[:, part], draw) for converter, part in zip(bank, self.parts, strict=True)]
        return backend_of(currents).xp.concat(parts, axis=1)
