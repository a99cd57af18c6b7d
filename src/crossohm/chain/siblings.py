"""Cores of one chip that have one name: their errors are the same numbers, as those of no two arrays are."""

from __future__ import annotations

import gc
from typing import Any, final
from weakref import WeakSet, WeakValueDictionary

import numpy as np

from crossohm.chain.programming.state import CoreState, HasState
from crossohm.devices import error_at_write, is_active
from crossohm.errors import warn_user

#: Relative error that storing a matrix in a narrower dtype may have made; other dtypes are exact.
ROUNDING = {"bfloat16": 2.0**-7, "float16": 2.0**-9, "float32": 2.0**-22, "complex64": 2.0**-22}


@final
class Siblings:
    """The living cores built with one seed and one name. It keeps none of them alive, and lives as long as they do."""

    def __init__(self, seed: int, name: str) -> None:
        self._key = (seed, name)
        self._cores: WeakSet[HasState] = WeakSet()
        self._told: WeakSet[HasState] = WeakSet()

    def join(self, core: HasState) -> None:
        """Add a core just built; warns, once, if one with the same errors holds another matrix."""
        self._cores.add(core)
        if not _is_random(core.state):
            return
        for generation in range(3):  # the youngest first: to look through all objects of a process takes 0.1 s
            if not self._rivals(core):  # not kept in a variable, which would keep them alive
                return
            gc.collect(generation)  # layers and cores refer to each other: those nobody uses may still seem alive
        rivals = self._rivals(core)
        if rivals and self._told.isdisjoint(rivals):
            warn_user(
                f"two cores are called {core.state.name!r} on chip {core.state.seed} and hold different matrices, of "
                f"shapes {rivals[0].state.shape} and {core.state.shape}: their random errors are the same numbers, as "
                "those of no two arrays are; give each a name of its own (name=...), or another seed"
            )
        self._told.update(rivals)

    def _rivals(self, core: HasState) -> list[HasState]:
        """Cores with the errors of ``core`` and another matrix."""
        return [other for other in list(self._cores) if other is not core and _is_rival(core.state, other.state)]

    def leave(self, core: HasState) -> None:
        """Take a core out."""
        self._cores.discard(core)

    def __deepcopy__(self, memo: Any) -> Siblings:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return siblings_of, self._key


_KNOWN: WeakValueDictionary[tuple[int, str], Siblings] = WeakValueDictionary()


def siblings_of(seed: int, name: str) -> Siblings:
    """The cores of chip ``seed`` called ``name``."""
    return _KNOWN.setdefault((seed, name), Siblings(seed, name))


def replace_soon(core: HasState) -> None:
    """Leave ``core`` out of account from now on: the one built next takes its place."""
    siblings_of(core.state.seed, core.state.name).leave(core)


def _is_rival(one: CoreState, other: CoreState) -> bool:
    return _is_random(other) and _is_first_write(other) and not _hold_the_same(one, other)


def _is_random(state: CoreState) -> bool:
    """True if errors are drawn for these arrays, when they are written or read."""
    return any(
        block.record.mismatch
        or error_at_write(block.params.xbar.device) is not None
        or is_active(block.params.xbar.device, "read_noise")
        for block in state.blocks
    )


def _is_first_write(state: CoreState) -> bool:
    """True if nothing was written since; every write draws other errors."""
    return all(block.record.writes == 1 for block in state.blocks)


def _hold_the_same(one: CoreState, other: CoreState) -> bool:
    """True if both were given one matrix, which their hardware may have clipped or their dtypes rounded."""
    if one.stored_shape != other.stored_shape:
        return False
    low, high = max(one.limits[0], other.limits[0]), min(one.limits[1], other.limits[1])
    rounding = max(ROUNDING.get(state.dtype, 0.0) for state in (one, other))
    first, second = (np.clip(_written(state), low, high) for state in (one, other))
    return bool(np.allclose(first, second, rtol=0.0, atol=rounding * max(abs(low), abs(high))))


def _written(state: CoreState) -> np.ndarray:
    """The matrix as it was written, errors not included."""
    matrix = np.empty(state.stored_shape)
    for block in state.blocks:
        matrix[block.rows, block.columns] = block.record.matrix
    return matrix
