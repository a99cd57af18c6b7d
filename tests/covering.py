"""Fewer combinations that still try every two values together: for tests with several parameters."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any


def every_pair(*axes: Iterable[Any]) -> list[tuple[Any, ...]]:
    """Combinations of one value of each axis, such that any two values of any two axes meet in one of them.

    Nearly as few as there are: about the product of the two longest axes instead of that of all. Faults come from one
    setting or from two that do not agree; three that are wrong only together are for the laws that try all.

    Args:
        axes: The values of each parameter, in the order of the combinations.

    Returns:
        The combinations; the same in every run.
    """
    values = [list(axis) for axis in axes]
    places = range(len(values))
    left = {
        (one, i, other, j)
        for one, other in itertools.combinations(places, 2)
        for i, j in itertools.product(range(len(values[one])), range(len(values[other])))
    }
    found = []
    while left:
        one, i, other, j = min(left)
        chosen = {one: i, other: j}
        for place in sorted(set(places) - chosen.keys(), key=lambda place: -len(values[place])):
            chosen[place] = max(range(len(values[place])), key=lambda k: len(_pairs({**chosen, place: k}) & left))
        left -= _pairs(chosen)
        found.append(tuple(values[place][chosen[place]] for place in places))
    return found


def _pairs(chosen: dict[int, int]) -> set[tuple[int, int, int, int]]:
    return {(*one, *other) for one, other in itertools.combinations(sorted(chosen.items()), 2)}
