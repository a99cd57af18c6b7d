"""Trained networks of cores in files, and those that come with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from crossohm.chip import TRAINED, NetworkShape, trained_weights
from crossohm.errors import CrossOhmError, DataError
from crossohm.flax.eic.comparator import Gain
from crossohm.flax.eic.net import EICNet
from crossohm.flax.state import read_about, read_state, write_state

#: Steps of a stored weight from 0 to the largest.
STEPS = 127


def save_network(net: EICNet, path: Path, *, eight_bits: bool = False) -> None:
    """Write a network: shape, wiring, weights, thresholds, gains; no optimizer, and nothing that was programmed.

    Args:
        net: The network.
        path: A safetensors file; one of that name is replaced at once.
        eight_bits: Round weights to 1/127 of their range, which takes a quarter of the place.

    Raises:
        WriteError: the file cannot be written.
    """
    first = net.layers[0]
    about = {
        "shape": net.shape.as_dict(), "eight_bits": eight_bits, "bias": first.comparator.theta is not None,
        "surrogate": first.comparator.surrogate, "width": first.comparator.width, "kind": first.accumulator.kind,
    }  # fmt: skip
    state = _trained(net)
    write_state(path, _weights_mapped(_rounded, state) if eight_bits else state, about)


def load_network(path: Path) -> EICNet:
    """The network that `save_network` wrote.

    Raises:
        DataError: the file is missing, damaged, or no network.
    """
    about = read_about(path)
    try:
        shape, eight_bits = NetworkShape.from_dict(about.pop("shape")), about.pop("eight_bits")
        net = EICNet(shape, rngs=nnx.Rngs(0), strict=False, **about)
    except (KeyError, TypeError, AttributeError, CrossOhmError) as error:
        raise DataError(f"{path}: is no network of cores ({error}). Write it with save_network") from error
    state, _ = read_state(path, _trained(net))
    nnx.update(net, _weights_mapped(_restored, state) if eight_bits else state)
    return net


def shipped_network(name: str = TRAINED[0]) -> EICNet:
    """A trained network that comes with the package, by its name in `crossohm.chip.TRAINED`.

    Raises:
        UnknownNameError: no such network.
    """
    return load_network(trained_weights(name))


def _trained(net: EICNet) -> Any:
    return nnx.state(net, nnx.filterlib.Any(nnx.Param, Gain))


def _weights_mapped(function: Any, state: Any) -> Any:
    """The state with the weights of cores replaced, those of largest magnitude 1."""
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: function(leaf) if "'weights'" in jax.tree_util.keystr(path) else leaf, state
    )


def _rounded(weights: jax.Array) -> jax.Array:
    return jnp.round(weights * STEPS).astype(jnp.int8)


def _restored(codes: jax.Array) -> jax.Array:
    return codes.astype(jnp.float32) / STEPS
