"""A plan as structure and leaves: what was decided, and the numbers that follow from weights and chip.

The structure of a plan is hashable, and equal for equal hardware and geometry whatever the weights; the leaves are its
arrays, in a fixed order. Frameworks keep the leaves as their own state (buffers, variables, a pytree) and trace the
structure as a constant::

    structure, leaves = split(plan)
    y = multiply(join(structure, leaves), x)

Frozen dataclasses, tuples and slices are taken apart; arrays are leaves; everything else is structure. Two decisions
depend on the weights, and with them the structure: read noise by moments needs all conductances far from the limits of
a cell, and converters that look up thresholds search as deep as the nearest thresholds of a chip demand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, final

import numpy as np

from crossohm.backends import Array, is_array


@final
@dataclass(frozen=True)
class Structure:
    """A frozen dataclass, a tuple or a slice, whose arrays have been taken out.

    Attributes:
        kind: Its class.
        parts: Its fields in order; arrays as `Slot`, what has parts of its own as `Structure`.
    """

    kind: type
    parts: tuple[Any, ...]


@final
@dataclass(frozen=True)
class Slot:
    """The place of a leaf.

    Attributes:
        index: Its number among the leaves.
    """

    index: int


def split(value: Any) -> tuple[Structure, tuple[Array, ...]]:
    """The structure of a plan (or any frozen dataclass or tuple), and its leaves."""
    leaves: list[Array] = []
    kind, parts = _parts(value)
    return Structure(kind, tuple(_without(part, leaves) for part in parts)), tuple(leaves)


def join(structure: Structure, leaves: Sequence[Array]) -> Any:
    """The value with this structure and these leaves; inverse of `split`."""
    parts = tuple(_with(part, leaves) for part in structure.parts)
    if structure.kind is tuple:
        return parts
    if structure.kind is slice:
        return slice(*parts)
    whole: Any = object.__new__(structure.kind)  # fields as they were: nothing is worked out or checked again
    for item, part in zip(fields(structure.kind), parts, strict=True):
        object.__setattr__(whole, item.name, part)
    return whole


def _parts(value: Any) -> tuple[type, tuple[Any, ...]]:
    """What a value consists of."""
    if isinstance(value, slice):
        return slice, (value.start, value.stop, value.step)
    if isinstance(value, tuple):
        return tuple, value
    return type(value), tuple(getattr(value, item.name) for item in fields(value))


def _without(value: Any, leaves: list[Array]) -> Any:
    if is_array(value) and not isinstance(value, np.generic):
        leaves.append(value)
        return Slot(len(leaves) - 1)
    if not isinstance(value, slice | tuple) and (isinstance(value, type) or not is_dataclass(value)):
        return value
    kind, parts = _parts(value)
    return Structure(kind, tuple(_without(part, leaves) for part in parts))


def _with(part: Any, leaves: Sequence[Array]) -> Any:
    if isinstance(part, Slot):
        return leaves[part.index]
    return join(part, leaves) if isinstance(part, Structure) else part
