"""Folding BatchNorm into the layer before it, where the graph of the model proves that this changes nothing."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from crossohm.keras.conversion.copies import copy_of
from crossohm.keras.conversion.dataflow import DataFlow
from crossohm.keras.conversion.places import is_layer, places
from crossohm.keras.layers.layer import AnalogLayer
from crossohm.layers.given import users_level
from crossohm.layers.normalisation import folded_bias, folding_factors

layers = keras.layers
#: How a number per output channel is shaped to multiply the kernel of a layer.
_ALONG_OUTPUTS: dict[type, Callable[[np.ndarray, Any], np.ndarray]] = {
    **dict.fromkeys((layers.Dense, layers.Conv1D, layers.Conv2D, layers.Conv3D), lambda scale, layer: scale),
    **dict.fromkeys(
        (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose),
        lambda scale, layer: scale.reshape(-1, 1),
    ),
    **dict.fromkeys(
        (layers.DepthwiseConv1D, layers.DepthwiseConv2D),
        lambda scale, layer: scale.reshape(-1, layer.depth_multiplier),
    ),
}


def fold_batchnorm(model: Any, wanted: Callable[[Any], str] = lambda layer: "") -> Any:
    """A copy of ``model`` in which every BatchNorm that can be is folded; an identity of its name takes its place.

    Moving statistics are folded, so the copy answers as the model at inference. What stays digital although it is
    wanted is named in a RuntimeWarning with the reason.

    Args:
        model: The model; it is not changed.
        wanted: What speaks against folding into a layer; empty: nothing.
    """
    kept, others = dict[str, str](), dict[int, Any]()
    for name, norm, layer, obstacle in _norms(model):
        obstacle = obstacle or wanted(layer)
        if obstacle:
            kept[name] = obstacle
        else:
            others[id(layer)] = _folded(layer, norm)
            others[id(norm)] = layers.Identity(name=norm.name, dtype=norm.dtype_policy.name)
    if kept:
        reasons = "; ".join(f"{name or 'model'}: {reason}" for name, reason in kept.items())
        message = f"BatchNorm stays digital where folding might change the model: {reasons}"
        warnings.warn(message, RuntimeWarning, stacklevel=users_level())
    return copy_of(model, lambda layer: others.get(id(layer)))


def digital_norms(model: Any) -> dict[str, str]:
    """Every BatchNorm of ``model`` by name, and what speaks against folding it; empty: nothing."""
    return {name: obstacle for name, _, _, obstacle in _norms(model)}


def _norms(model: Any) -> Iterator[tuple[str, Any, Any, str]]:
    """Every BatchNorm with its name, the layer it can be folded into, or what speaks against it."""
    norms = {name: one for name, one in places(model, is_layer) if isinstance(one, layers.BatchNormalization)}
    flow = DataFlow(model)
    for name, norm in norms.items():
        yield name, norm, *_layer_before(flow, norm)


def _layer_before(flow: DataFlow, norm: Any) -> tuple[Any, str]:
    """The layer a normalisation can be folded into, or what speaks against it."""
    calls = flow.calls(norm)
    if len(calls) != 1:
        return None, f"used {len(calls)} times in graphs that can be seen"
    if calls[0].arguments.kwargs.get("training") or type(norm) is not layers.BatchNormalization:
        return None, "it uses the statistics of batches, or is of a class of its own"
    tensor = calls[0].input_tensors[0]
    layer = tensor._keras_history.operation
    kind = layer.digital_type if isinstance(layer, AnalogLayer) else type(layer)
    if kind not in _ALONG_OUTPUTS or layer.activation not in (None, keras.activations.linear):
        return None, "does not directly follow a layer it can be folded into"
    before = flow.calls(layer)
    if len(before) != 1 or flow.users(before[0]) != calls:
        return None, f"{layer.name} or its output is also used elsewhere"
    return layer, _obstacle(layer, norm, len(tensor.shape))


def _obstacle(layer: Any, norm: Any, axes: int) -> str:
    first = getattr(layer, "data_format", "channels_last") == "channels_first"
    if norm.axis % axes != (1 if first else axes - 1):
        return f"it normalises axis {norm.axis}, which is not that of the channels of {layer.name}"
    if layer.trainable != norm.trainable:
        return f"either it or {layer.name} is frozen"
    if getattr(layer, "quantization_mode", None) is not None:
        return f"{layer.name} is quantised"
    if isinstance(layer, AnalogLayer):
        return f"{layer.name} is on arrays already: convert the digital model with fuse_batchnorm=True"
    return ""


def _folded(layer: Any, norm: Any) -> Any:
    """A copy of ``layer`` with ``W' = s W``, ``b' = s (b - mean) + beta``, ``s = gamma / sqrt(var + eps)``."""
    inverse = 1 / np.sqrt(_double(norm.moving_variance) + norm.epsilon)
    gamma = _double(norm.gamma) if norm.scale else None
    beta = _double(norm.beta) if norm.center else None
    scale, shift = folding_factors(inverse, _double(norm.moving_mean), gamma, beta)
    bias = folded_bias(_double(layer.bias) if layer.use_bias else None, scale, shift)
    own = {name: value for name, value in layer.get_config().items() if name != "use_bias"}
    twin = type(layer)(**own, use_bias=True)
    twin.build_from_config(layer.get_build_config())
    twin.kernel.assign(_double(layer.kernel) * _ALONG_OUTPUTS[type(layer)](scale, layer))
    twin.bias.assign(bias)
    twin.batchnorm_folded = True
    return twin


def _double(value: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(value).astype(np.float64)
