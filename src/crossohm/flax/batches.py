"""What loaders give, as the arguments of a model's call at inference."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from crossohm.backends import backend_of, is_array
from crossohm.errors import InputError
from crossohm.layers.batches import Call, Forward, in_parts

#: Arguments with which models are told to work as at inference, and their values that do.
_AT_INFERENCE = {
    "train": False,
    "training": False,
    "is_training": False,
    "deterministic": True,
    "use_running_average": True,
}
#: Images are turned if they have at most so many channels in front of more rows and columns.
_CHANNELS = 4


def forward_of(model: Any) -> Forward:
    """How a model is shown batches."""
    dtype = _dtype_of(model)

    def converted(value: Any) -> Any:
        return in_parts(value, lambda part: _converted(part, dtype))

    return Forward(type(model).__name__, model.__call__, "__call__", converted, tuple(_AT_INFERENCE))


def at_inference(model: Any) -> dict[str, bool]:
    """Let a model work as at inference, in place; the arguments that its call needs for that."""
    model.eval()
    known = {one.name for one in Forward("", model.__call__, "", lambda value: value).parameters}
    return {name: value for name, value in _AT_INFERENCE.items() if name in known}


def turned(call: Call) -> Call | None:
    """A call with images ``(images, channels, height, width)``, as data sets give them, with channels last.

    Returns:
        None if it has none.
    """
    if len(call.inputs) != 1 or call.named or not isinstance(call.inputs[0], jax.Array | np.ndarray):
        return None
    (x,) = call.inputs
    if x.ndim != 4 or not x.shape[1] <= _CHANNELS < min(x.shape[2:]):
        return None
    return Call((jnp.moveaxis(jnp.asarray(x), 1, -1),), {})


def _dtype_of(model: Any) -> Any:
    """That of the first floating parameter."""
    leaves = jax.tree.leaves(nnx.state(model, nnx.Param))
    return next((leaf.dtype for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.floating)), jnp.float32)


def _converted(value: Any, dtype: Any) -> Any:
    """An array of JAX, of ``dtype`` if it is a measured quantity; others as they are."""
    if not (is_array(value) and hasattr(value, "ndim")):
        return value
    host = value if isinstance(value, jax.Array) else backend_of(value).to_numpy(value)
    if not isinstance(host, jax.Array) and host.dtype.kind not in "fiubc":
        raise InputError(f"an input of dtype {host.dtype} is nothing JAX can compute with")
    measured = jnp.issubdtype(host.dtype, jnp.floating) or host.dtype == np.uint8
    return jnp.asarray(host, dtype if measured else None)
