"""Layers of Flax with numbers of NumPy: to draw those of JAX is compiled for every shape."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

#: Arguments of layers and cells: parameters cost nothing until they get their numbers.
EMPTY = {"kernel_init": nnx.initializers.zeros}
EMPTY_CELL = {**EMPTY, "recurrent_kernel_init": nnx.initializers.zeros}


def numbered(model: Any, seed: int = 3) -> Any:
    """``model``, its parameters numbers in -1..1 that depend on the seed alone."""
    rng = np.random.default_rng(seed)
    for _, variable in nnx.to_flat_state(nnx.state(model, nnx.Param)):
        before = variable.get_value()
        variable.set_value(jnp.asarray(rng.uniform(-1, 1, before.shape), before.dtype))
    return model
