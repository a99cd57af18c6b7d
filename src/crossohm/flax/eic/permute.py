"""Slots of a vector wired to slots of cores: the difference of two permutations."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from crossohm.chip import SlotPattern


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _ordered(order: tuple[int, ...], slots: jax.Array) -> jax.Array:
    return jnp.take(slots, np.asarray(order), axis=-2)


def _backward(order: tuple[int, ...], _: None, gradient: jax.Array) -> tuple[jax.Array]:
    return (_ordered(tuple(np.argsort(order)), gradient),)  # a gather; JAX itself would scatter, which is slow


_ordered.defvjp(lambda order, slots: (_ordered(order, slots), None), _backward)


class PermuteBlock(nnx.Module):
    """In every block of lines, slot ``i`` becomes slot ``plus[i]`` less slot ``minus[i]``.

    Args:
        pattern: The wiring.
    """

    def __init__(self, pattern: SlotPattern) -> None:
        self.pattern = pattern

    @property
    def rank(self) -> int:
        """Slots of a block that are independent."""
        return self.pattern.rank

    @property
    def dead_lines(self) -> int:
        """Lines of a block that are always zero."""
        return self.pattern.dead_lines

    def __call__(self, x: jax.Array) -> jax.Array:
        """``x (..., lines)``, of a block each; the shape stays."""
        slots = x.reshape(*x.shape[:-1], len(self.pattern.plus), self.pattern.slot)
        return (_ordered(self.pattern.plus, slots) - _ordered(self.pattern.minus, slots)).reshape(x.shape)
