"""The ADCs of one input partition: which converter reads which lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from crossohm._random import Draw
from crossohm.backends import Array, backend_of
from crossohm.circuits.adc import Converter


@final
@dataclass(frozen=True)
class Digitiser:
    """Converters of every bank and output partition.

    Attributes:
        converters: ``converters[bank][partition]``.
        parts: Lines of each output partition.
    """

    converters: tuple[tuple[Converter, ...], ...]
    parts: tuple[slice, ...]

    @property
    def stochastic(self) -> bool:
        """True if a conversion draws random numbers."""
        return any(converter.stochastic for bank in self.converters for converter in bank)

    def convert(self, currents: Array, draw: Draw | None) -> Array:
        """Digitise ``(batch, banks, lines, *positions)``."""
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
