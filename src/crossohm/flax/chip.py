"""The chip of a layer as state: arrays of JAX that `nnx.split`, `nnx.jit` and checkpoints hand in and out.

The state is the truth; what lies on the host is a cache of the arrays that were last worked on. Writing is a function
of the state and the parameters, so that clones and restored states of a layer have chips of their own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self, final

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from crossohm.backends import Array, backend_of
from crossohm.layers.given import Given
from crossohm.layers.hardware import LayerHardware, hardware_as_data
from crossohm.layers.held_matrix import HeldArrays
from crossohm.layers.saved_chip import SavedChip
from crossohm.params import CrossSimParameters

#: Sizes of saved chips are multiples of this: numbers in them get longer.
_PAGE = 4096


class Programmed(nnx.Variable):
    """What belongs to one chip: no parameters, but part of the state.

    Networks of cores keep arrays in it. The value of a layer's is a dictionary: ``leaves`` of the plan of each
    matrix; ``stamp``, digests of the parameters and the hardware they belong to; ``chip``, the arrays as bytes;
    ``serial``, a digest of these.
    """


@final
@dataclass(frozen=True)
class OnHost:
    """A chip of a layer on the host.

    Attributes:
        params: The hardware.
        rows: Matrix columns per bias.
        core_name: Of the layer's cores.
        matrices: The arrays.
    """

    params: LayerHardware
    rows: Any
    core_name: str
    matrices: tuple[HeldArrays, ...]


@final
class Description:
    """What a layer is put on, how it multiplies, and the matrices it last had on the host; equal only to itself.

    Args:
        host: The matrices, and what they are put on.
        given: What the user gave as hardware.
    """

    def __init__(self, host: OnHost, given: Given) -> None:
        self.host, self.given = host, given
        self.forms: tuple[Any, ...] = ()
        self.mark, self.serial = np.zeros(4, np.uint32), b""

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        """Itself: what is on the host is a cache that copies share, until the state of one of them changes."""
        return self


@final
@dataclass(frozen=True)
class _Alike:
    """What layers that multiply alike have in common."""

    forms: tuple[Any, ...]
    rows: Any
    core_name: str

    def __hash__(self) -> int:
        return hash((tuple(form.structure for form in self.forms), self.core_name))  # slices of layouts have no hash


def of_any_chip(known: Description) -> Description:
    """A description without a chip: one object for all layers that multiply alike, whatever their cells hold."""
    return _of_any_chip(_Alike(known.forms, known.host.rows, known.host.core_name))


@lru_cache(maxsize=1024)
def _of_any_chip(alike: _Alike) -> Description:
    made = Description(OnHost(CrossSimParameters(), alike.rows, alike.core_name, ()), Given(None))
    made.forms = alike.forms
    return made


def packed(chip: SavedChip, size: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A chip as bytes of fixed size, and their digest ``(4,)``.

    Args:
        chip: The chip.
        size: Of the bytes; 0: as needed, with room for longer numbers.
    """
    data = chip.to_bytes()
    found = np.zeros(size or -(-(len(data) + _PAGE) // _PAGE) * _PAGE, np.uint8)
    found[:8] = np.frombuffer(len(data).to_bytes(8, "little"), np.uint8)
    found[8 : 8 + len(data)] = np.frombuffer(data, np.uint8)
    return found, _digest(data)


def unpacked(data: np.ndarray, source: str) -> SavedChip:
    """Inverse of `packed`."""
    length = int.from_bytes(data[:8].tobytes(), "little")
    return SavedChip.from_bytes(data[8 : 8 + length].tobytes(), source)


def mark_of(host: OnHost, *choices: str) -> np.ndarray:
    """Tells hardware, names, bias rows and choices of a layer apart, ``(4,)``."""
    text = json.dumps([hardware_as_data(host.params), host.rows, host.core_name, *choices], default=int)
    return _digest(text.encode())


def stamp_of(values: Sequence[Array | None], mark: np.ndarray) -> Array:
    """Tells values of parameters apart, and what a layer is put on, ``(2 * parameters + 4,)``.

    Args:
        values: What matrices hold of each parameter; None: something else than any value.
        mark: See `mark_of`.
    """
    return jnp.concatenate([*map(_digest_of, values), jnp.asarray(mark)])


def renewed(
    state: dict[str, Any], stamp: Array, work: Callable[..., tuple[np.ndarray, ...]], values: Sequence[Array]
) -> dict[str, Any]:
    """The state for parameters with this stamp, in a function that is being traced.

    Args:
        state: Before.
        stamp: Of the parameters.
        work: Gets the chip and the parameters; returns the leaves of all matrices, chip and serial.
        values: The parameters.
    """
    backend = backend_of(stamp)
    kept, form = jax.tree.flatten((state["leaves"], state["chip"], state["serial"]))
    stale = jnp.any(stamp != state["stamp"])
    inputs = [state["chip"], *(backend.detached(value) for value in values)]
    leaves, chip, serial = jax.tree.unflatten(form, backend.renewed(stale, tuple(kept), work, inputs))
    return {"leaves": leaves, "stamp": stamp, "chip": chip, "serial": serial}


def on_device(leaves: Sequence[np.ndarray]) -> tuple[jax.Array, ...]:
    """Leaves in memory of their own."""
    return tuple(jnp.array(leaf) for leaf in leaves)


def _digest(data: bytes) -> np.ndarray:
    return np.frombuffer(hashlib.blake2b(data, digest_size=16).digest(), np.uint32)


def _digest_of(value: Array | None) -> Array:
    if value is None:
        return jnp.zeros(2, jnp.uint32)
    backend = backend_of(value)
    return backend.digest(backend.detached(value))
