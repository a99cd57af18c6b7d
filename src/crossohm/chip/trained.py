"""Trained networks that come with the package: 1024-2048-256 for MNIST padded to 32x32."""

from __future__ import annotations

from pathlib import Path

from crossohm._names import unknown

#: Their names: grey inputs, and inputs of one bit.
TRAINED = ("eic_mnist", "eic_mnist_1bit")


def trained_weights(name: str) -> Path:
    """The file of a network of `TRAINED`, which `crossohm.flax.load_network` reads.

    Raises:
        UnknownNameError: no such network.
    """
    if name not in TRAINED:
        raise unknown("model", name, TRAINED, "network of cores")
    return Path(__file__).with_name("weights") / f"{name}.safetensors"
