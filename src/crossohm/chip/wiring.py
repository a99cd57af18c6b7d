"""Which slots of a vector reach which slots of a core: with pairs of permutations, differences of bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from crossohm._names import unknown
from crossohm._random import chip_rng
from crossohm.chip.spec import ChipSpec
from crossohm.errors import ParameterError

#: Patterns that have a name.
PATTERNS = ("cycle", "random", "none")


@final
@dataclass(frozen=True)
class SlotPattern:
    """Every slot of a core gets one slot of its block of inputs, less another one.

    Slot ``i`` of the core carries ``in[plus[i]] - in[minus[i]]``, line by line. Where both are the same slot, its lines
    are always zero: dead.

    Args:
        plus: For each slot of the core, the slot that is added; a permutation.
        minus: The one that is subtracted; a permutation.
        slot: Lines of a slot.

    Raises:
        ParameterError: these are no two permutations of the same slots.
    """

    plus: tuple[int, ...]
    minus: tuple[int, ...]
    slot: int

    def __post_init__(self) -> None:
        for name in ("plus", "minus"):
            if sorted(getattr(self, name)) != list(range(len(self.plus))):
                allowed = f"each of 0 to {len(self.plus) - 1} once, as many as plus has"
                raise ParameterError(f"pattern.{name}", getattr(self, name), "is no permutation", allowed=allowed)

    @property
    def rank(self) -> int:
        """Independent slots that are left: all, less one for each cycle of the permutation from plus to minus."""
        return len(self.plus) - self._cycles()

    @property
    def dead_slots(self) -> tuple[int, ...]:
        """Slots of the core that are always zero."""
        return tuple(i for i, (plus, minus) in enumerate(zip(self.plus, self.minus, strict=True)) if plus == minus)

    @property
    def dead_lines(self) -> int:
        """Lines of a core that are always zero."""
        return len(self.dead_slots) * self.slot

    def _cycles(self) -> int:
        following = dict(zip(self.plus, self.minus, strict=True))
        count = 0
        while following:
            count += 1
            at = next(iter(following))
            while at in following:
                at = following.pop(at)
        return count


#: What networks are told: a name, two permutations, or a pattern that is used as it is.
Pattern = str | tuple[tuple[int, ...], tuple[int, ...]] | SlotPattern


def slot_pattern(chip: ChipSpec, pattern: Pattern = "cycle", seed: int = 0, name: str = "") -> SlotPattern | None:
    """How the slots of a block are wired to a core.

    Args:
        chip: The chip.
        pattern: ``"cycle"``: a random order, less itself moved by one, which loses one slot of the block only (their
            sum, as every difference of permutations does); ``"random"``: two random orders that agree nowhere;
            ``"none"``: every slot as it is; two permutations; or a `SlotPattern`, which may have dead lines.
        seed: Of the random orders.
        name: Of what is wired; other names have other orders.

    Returns:
        The pattern; None for ``"none"``.

    Raises:
        UnknownNameError: there is no such pattern.
        ParameterError: the permutations agree somewhere, or are none; or a core of one slot has no differences.
    """
    if isinstance(pattern, SlotPattern) or pattern == "none":
        return pattern if isinstance(pattern, SlotPattern) else None
    if isinstance(pattern, tuple) and len(pattern) == 2:
        return _without_dead_lines(SlotPattern(tuple(pattern[0]), tuple(pattern[1]), chip.slot))
    if pattern not in PATTERNS:
        raise unknown("permute", pattern, PATTERNS, "slot pattern")
    if chip.slots == 1:
        raise ParameterError(
            "permute", pattern, f"a core has one slot (core_in = slot = {chip.slot}), less itself it is zero",
            allowed='"none"', remedy="Or choose a smaller slot",
        )  # fmt: skip
    bits = chip_rng(seed, "wiring", name).bit_generator
    plus = _order(bits, chip.slots)
    minus = np.roll(plus, -1) if pattern == "cycle" else plus
    while (minus == plus).any():  # one in e draws agrees nowhere
        minus = _order(bits, chip.slots)
    return SlotPattern(tuple(map(int, plus)), tuple(map(int, minus)), chip.slot)


def _order(bits: np.random.BitGenerator, count: int) -> np.ndarray:
    """A random order; of raw bits, which for one seed are the same in every version of NumPy: models outlive it."""
    return np.argsort(bits.random_raw(count))


def _without_dead_lines(pattern: SlotPattern) -> SlotPattern:
    if pattern.dead_slots:
        raise ParameterError(
            "permute", (pattern.plus, pattern.minus), f"both permutations agree in slots {list(pattern.dead_slots)}, "
            f"whose {pattern.dead_lines} lines would be dead", allowed="two permutations that agree nowhere",
            remedy="Give a SlotPattern to have them all the same",
        )  # fmt: skip
    return pattern
