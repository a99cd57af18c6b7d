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
        """Level numbers of currents in steps, ``(batch, banks, lines, *positions)``, which are consumed.

        One bank alone may come without its axis.
        """
        backend, levels = backend_of(currents), self.levels[0]
        if self.start is not None:
            apart = len(self.levels) > 1
            shape = (-1,) + (1,) * (currents.ndim - 2)
            currents -= backend.xp.reshape(self.start, shape) if apart else self.start
        return backend.round_within(currents, levels.first, levels.last)


@final
@dataclass(frozen=True)
class Digitiser:
    """Converters of every bank and output partition.

    Attributes:
        distinct: The converters there are.
        wiring: ``wiring[bank][partition]``, the number of the converter that reads these lines.
        parts: Lines of each output partition.
        counting: Present if currents arrive in steps and leave as level numbers.
    """

    distinct: tuple[Converter, ...]
    wiring: tuple[tuple[int, ...], ...]
    parts: tuple[slice, ...]
    counting: Counting | None = None

    @property
    def converters(self) -> tuple[tuple[Converter, ...], ...]:
        """``converters[bank][partition]``."""
        return tuple(tuple(self.distinct[number] for number in bank) for bank in self.wiring)

    @property
    def levels(self) -> tuple[Levels, ...] | None:
        """Levels of each bank, if all its converters round to the same equidistant levels."""
        found = []
        for bank in self.wiring:
            first = self.distinct[bank[0]]
            if not isinstance(first, UniformConverter) or first.stochastic or any(own != bank[0] for own in bank):
                return None
            found.append(first.uniform)
        return tuple(found)

    @property
    def stochastic(self) -> bool:
        """True if a conversion draws random numbers."""
        return any(converter.stochastic for converter in self.distinct)

    def convert(self, currents: Array, draw: Draw | None) -> Array:
        """Digitise ``(batch, banks, lines, *positions)``."""
        if self.counting is not None:
            return self.counting.numbers(currents)
        if len(self.distinct) == 1 and not self.distinct[0].per_line:
            return self.distinct[0](currents, draw)
        xp = backend_of(currents).xp
        banks = [self._convert_bank(currents[:, b], bank, draw) for b, bank in enumerate(self.wiring)]
        return banks[0][:, None] if len(banks) == 1 else xp.stack(banks, axis=1)

    def _convert_bank(self, currents: Array, bank: Sequence[int], draw: Draw | None) -> Array:
        if all(number == bank[0] for number in bank):
            return self.distinct[bank[0]](currents, draw)
        parts = [self.distinct[n](currents[:, part], draw) for n, part in zip(bank, self.parts, strict=True)]
        return backend_of(currents).xp.concat(parts, axis=1)
