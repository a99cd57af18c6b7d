"""The chip of a layer as state: arrays of JAX that `nnx.split`, `nnx.jit` and checkpoints hand in and out.

The state is the truth; what lies on the host is a cache of the arrays that were last worked on. Writing is a function
of the state and the parameters, so that clones and restored states of a layer have chips of their own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Self, final

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from crossohm.backends import Array, backend_of
from crossohm.layers.given import Given
from crossohm.layers.hardware import LayerHardware
from crossohm.layers.held_matrix import HeldArrays
from crossohm.layers.saved_chip import SavedChip

#: Sizes of saved chips are multiples of this: numbers in them get longer.
_PAGE = 4096


class Programmed(nnx.Variable):
    """What belongs to one chip: no parameters, but part of the state.

    Networks of cores keep arrays in it. The value of a layer's is a dictionary: ``leaves`` of the plan; ``stamp``,
    digests of the parameters they belong to; ``chip``, the arrays as bytes; ``serial``, a digest of these.
    """


@final
class Description:
    """What a layer is put on, and the matrices it last had on the host; equal only to itself.

    Args:
        params: The hardware.
        given: What the user gave for it.
        rows: Matrix columns per bias.
        core_name: Of the layer's cores.
    """

    def __init__(self, params: LayerHardware, given: Given, rows: Any, core_name: str) -> None:
        self.params, self.given, self.rows, self.core_name = params, given, rows, core_name
        self.matrices: tuple[HeldArrays, ...] = ()
        self.serial: bytes = b""

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        """Itself: what is on the host is a cache that copies share, until the state of one of them changes."""
        return self


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
    return found, np.frombuffer(hashlib.blake2b(data, digest_size=16).digest(), np.uint32)


def unpacked(data: np.ndarray, source: str) -> SavedChip:
    """Inverse of `packed`."""
    length = int.from_bytes(data[:8].tobytes(), "little")
    return SavedChip.from_bytes(data[8 : 8 + length].tobytes(), source)


def stamp_of(values: Sequence[Array]) -> Array:
    """Tells values of parameters apart, ``(2 * parameters,)``."""
    backend = backend_of(values[0])
    return jnp.concatenate([backend.digest(backend.detached(value)) for value in values])


def renewed(
    state: dict[str, Any], stamp: Array, work: Callable[..., tuple[np.ndarray, ...]], values: Sequence[Array]
) -> dict[str, Any]:
    """The state for parameters with this stamp, in a function that is being traced.

    Args:
        state: Before.
        stamp: Of the parameters.
        work: Gets the chip and the parameters; returns leaves, chip and serial.
        values: The parameters.
    """
    backend = backend_of(stamp)
    kept = (*state["leaves"], state["chip"], state["serial"])
    stale = jnp.any(stamp != state["stamp"])
    inputs = [state["chip"], *(backend.detached(value) for value in values)]
    *leaves, chip, serial = backend.renewed(stale, kept, work, inputs)
    return {"leaves": tuple(leaves), "stamp": stamp, "chip": chip, "serial": serial}


def on_device(leaves: Sequence[np.ndarray]) -> tuple[jax.Array, ...]:
    """Leaves in memory of their own."""
    return tuple(jnp.array(leaf) for leaf in leaves)
