"""Objects without state, equal to others of their class with the same attributes."""

from __future__ import annotations


class ByContent:
    """Base of models: two built alike are equal, so that what is worked out for one holds for the other."""

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if type(self) is not type(other):
            return NotImplemented
        mine, others = vars(self), vars(other)
        return mine.keys() == others.keys() and all(_same(mine[name], others[name]) for name in mine)

    def __hash__(self) -> int:
        return hash(type(self))


def _same(one: object, other: object) -> bool:
    """True if both are one object, or compare equal; what compares element by element is not taken to be equal."""
    return one is other or (one == other) is True
