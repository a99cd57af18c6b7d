"""How a network is run: with or without noise, and where its normal numbers come from."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, Literal, get_args

import jax

from crossohm._names import unknown
from crossohm.errors import ParameterError, ShapeError

#: Numbers of comparators' noise stay below; those of cores' read noise start here.
CORES = 1 << 16

#: Without noise; with noise of the comparators; on programmed cores, with theirs as well.
Mode = Literal["ideal", "noisy", "device"]


@partial(jax.tree_util.register_dataclass, data_fields=["sd", "key", "pool"], meta_fields=["mode"])
class Execution:
    """What every call of a network of cores is told; a pytree, the mode is static.

    Args:
        mode: ``"ideal"``, ``"noisy"`` or ``"device"``.
        sd: Noise of the comparators, in units of the calibrated standard deviation of what they compare.
        key: Of the noise; the same key draws the same numbers. Not needed by ``"ideal"``.
        pool: Normal numbers that were drawn before, ``(n,)``: every comparator reads a stretch of them at a random
            place, which is much faster than to draw. For training only, since the stretches overlap. None: draw.

    Raises:
        UnknownNameError: there is no such mode.
        ParameterError: noise without a key.
    """

    def __init__(self, mode: Mode = "ideal", sd: Any = 0.1, key: Any = None, pool: Any = None) -> None:
        if mode not in get_args(Mode):
            raise unknown("execution.mode", mode, get_args(Mode), "mode")
        if mode != "ideal" and key is None:
            raise ParameterError(
                "execution.key", key, f"mode {mode!r} draws noise", allowed="a key", remedy="Give jax.random.key(seed)"
            )
        self.mode, self.sd, self.key, self.pool = mode, sd, key, pool

    def normal(self, number: int, shape: tuple[int, ...]) -> jax.Array:
        """Standard normal numbers for the stage of this number.

        Raises:
            ShapeError: the pool holds fewer.
        """
        key = jax.random.fold_in(self.key, number)
        if self.pool is None:
            return jax.random.normal(key, shape)
        size = math.prod(shape)
        if size > self.pool.size:
            raise ShapeError(f"a pool of {self.pool.size} normal numbers for {size} comparators {shape}; draw more")
        start = jax.random.randint(key, (), 0, self.pool.size - size + 1)
        return jax.lax.dynamic_slice(self.pool, (start,), (size,)).reshape(shape)
