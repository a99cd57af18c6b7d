"""Cores of one chip that have one name: their errors are the same numbers, as those of no two arrays are."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any, final
from weakref import WeakSet, WeakValueDictionary

import numpy as np

from crossohm.chain.programming.parts import Block
from crossohm.devices import error_at_write, is_active
from crossohm.errors import warn_user

if TYPE_CHECKING:
    from crossohm.chain.core import AnalogCore

#: Relative error that storing a matrix in a narrower dtype may have made; other dtypes are exact.
ROUNDING = {"bfloat16": 2.0**-7, "float16": 2.0**-9, "float32": 2.0**-22, "complex64": 2.0**-22}


@final
class Siblings:
    """The living cores built with one seed and one name. It keeps none of them alive, and lives as long as they do."""

    def __init__(self, seed: int, name: str) -> None:
        self._key = (seed, name)
        self._cores: WeakSet[AnalogCore] = WeakSet()
        self._told: WeakSet[AnalogCore] = WeakSet()

    def join(self, core: AnalogCore) -> None:
        """Add a core just built; warns, once, if one with the same errors holds another matrix."""
        self._cores.add(core)
        if not _is_random(core.blocks) or not self._rivals(core):
            return
        gc.collect()  # layers and their cores refer to each other, so that those nobody uses may still seem alive
        rivals = self._rivals(core)
        if rivals and self._told.isdisjoint(rivals):
            warn_user(
                f"two cores are called {core.name!r} on chip {core.seed} and hold different matrices, of shapes "
                f"{rivals[0].shape} and {core.shape}: their random errors are the same numbers, as those of no two "
                "arrays are; give each a name of its own (name=...), or another seed"
            )
        self._told.update(rivals)

    def _rivals(self, core: AnalogCore) -> list[AnalogCore]:
        """Cores with the errors of ``core`` and another matrix."""
        return [other for other in list(self._cores) if other is not core and _is_rival(core, other)]

    def leave(self, core: AnalogCore) -> None:
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


def replace_soon(core: AnalogCore) -> None:
    """Leave ``core`` out of account from now on: the one built next takes its place."""
    siblings_of(core.seed, core.name).leave(core)


def _is_rival(core: AnalogCore, other: AnalogCore) -> bool:
    return _is_random(other.blocks) and _is_first_write(other.blocks) and not _hold_the_same(core, other)


def _is_random(blocks: tuple[Block, ...]) -> bool:
    """True if errors are drawn for these arrays, when they are written or read."""
    return any(
        block.record.mismatch
        or error_at_write(block.params.xbar.device) is not None
        or is_active(block.params.xbar.device, "read_noise")
        for block in blocks
    )


def _is_first_write(blocks: tuple[Block, ...]) -> bool:
    """True if nothing was written since; every write draws other errors."""
    return all(block.record.writes == 1 for block in blocks)


def _hold_the_same(one: AnalogCore, other: AnalogCore) -> bool:
    """True if both were given one matrix, which their hardware may have clipped or their dtypes rounded."""
    if one.nrow != other.nrow or one.ncol != other.ncol:
        return False
    low, high = max(one.min, other.min), min(one.max, other.max)
    rounding = max(ROUNDING.get(core._dtype, 0.0) for core in (one, other))
    first, second = (np.clip(_written(core), low, high) for core in (one, other))
    return bool(np.allclose(first, second, rtol=0.0, atol=rounding * max(abs(low), abs(high))))


def _written(core: AnalogCore) -> np.ndarray:
    """The matrix as it was written, errors not included."""
    matrix = np.empty((core.nrow, core.ncol))
    for block in core.blocks:
        matrix[block.rows, block.columns] = block.record.matrix
    return matrix
