"""Keras as `crossohm.layers.network.FrontEnd`."""

from __future__ import annotations

from typing import Any

import keras

from crossohm.errors import ParameterError
from crossohm.keras.network import KerasNetwork


def network(
    model: Any, batch_size: int = 250, *, fold_batchnorm: bool = True, device: str | None = None
) -> KerasNetwork:
    """A model as a network."""
    return KerasNetwork(model, batch_size, fold_batchnorm=fold_batchnorm, device=device)


def use_threads(count: int) -> None:
    """Limit the backend to a number of CPU threads, in the whole process, where it lets a program do that."""
    if keras.backend.backend() == "torch":
        import torch

        torch.set_num_threads(count)
    elif keras.backend.backend() == "tensorflow":
        import tensorflow

        tensorflow.config.threading.set_intra_op_parallelism_threads(count)


def require_device(name: str, path: str, *, here: bool = True) -> None:
    """Refuse a device that is not there.

    Args:
        name: As Keras names devices, e.g. ``"gpu:0"``.
        path: Setting that holds the name, for messages.
        here: False: the device is on another machine; it is not looked at.

    Raises:
        ParameterError: there is no such device, or no numbers come back from it.
    """
    if not here:
        return
    try:
        with keras.device(name):
            keras.ops.convert_to_numpy(keras.ops.zeros(1))
    except Exception as error:  # each backend fails in its own way
        said = (str(error).strip() or type(error).__name__).splitlines()[0][:100]
        raise ParameterError(
            path, name, f"Keras cannot compute there with {keras.backend.backend()} ({said})",
            allowed="cpu, or a device of the backend",
        ) from None  # fmt: skip
