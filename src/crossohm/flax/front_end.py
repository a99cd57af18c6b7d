"""Flax NNX as `crossohm.layers.network.FrontEnd`."""

from __future__ import annotations

import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from crossohm.errors import ParameterError
from crossohm.flax.network import FlaxNetwork, device_of


def network(
    model: Any, batch_size: int = 250, *, fold_batchnorm: bool = True, device: str | None = None
) -> FlaxNetwork:
    """A model as a network."""
    return FlaxNetwork(model, batch_size, fold_batchnorm=fold_batchnorm, device=device)


def use_threads(count: int) -> None:
    """Limit JAX to a number of CPU threads, in the whole process: heard only before it computes for the first time."""
    os.environ["NPROC"] = str(count)


def require_device(name: str, path: str, *, here: bool = True) -> None:
    """Refuse a device that is not there.

    Args:
        name: As JAX names platforms, with a number, e.g. ``"gpu:0"``.
        path: Setting that holds the name, for messages.
        here: False: the device is on another machine; it is not looked at.

    Raises:
        ParameterError: there is no such device, or no numbers come back from it.
    """
    if not here:
        return
    try:
        np.asarray(jax.device_put(jnp.zeros(1), device_of(name)))
    except Exception as error:  # each platform fails in its own way
        said = (str(error).strip() or type(error).__name__).splitlines()[0][:100]
        allowed = ", ".join(f"{device.platform}:{number}" for number, device in enumerate(jax.devices()))
        raise ParameterError(path, name, f"JAX cannot compute there ({said})", allowed=allowed) from None
