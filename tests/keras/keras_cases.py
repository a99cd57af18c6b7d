"""The layer kinds of Keras that run on arrays, as the contract makes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np


@dataclass(frozen=True)
class Case:
    """A layer with fixed weights.

    Attributes:
        kind: The layer of Keras.
        options: How it is made.
        shapes: Of its inputs, batch first.
        choices: Of the conversion.
        rounding: Rounding errors of its outputs, in units of those of one product.
    """

    kind: type[Any]
    options: Mapping[str, Any]
    shapes: tuple[tuple[int, ...], ...]
    choices: Mapping[str, Any] = field(default_factory=dict)
    rounding: float = 1.0

    def digital(self, dtype: str = "float64") -> Any:
        layer = self.kind(**self.options, dtype=dtype)
        layer.build(*self.shapes)
        rng = np.random.default_rng(3)
        for variable in layer.weights:
            variable.assign(rng.uniform(-0.5, 0.5, variable.shape))
        return layer


_LAST, _FIRST = {"data_format": "channels_last"}, {"data_format": "channels_first"}
_PER_GROUP, _DENSE = {"grouping": "per_group"}, {"grouping": "dense"}
_ANY = {"recurrent_initializer": "zeros"}  # PyTorch makes no orthogonal matrices in half precision on CPUs
LAYERS = {
    "dense": Case(keras.layers.Dense, {"units": 4}, ((5, 3),)),
    "dense-activation": Case(keras.layers.Dense, {"units": 4, "activation": "tanh"}, ((5, 3),)),
    "dense-3d": Case(keras.layers.Dense, {"units": 2}, ((2, 4, 5),)),
    "dense-no-bias": Case(keras.layers.Dense, {"units": 4, "use_bias": False}, ((5, 6),)),
    "conv1d": Case(keras.layers.Conv1D, {"filters": 4, "kernel_size": 3, **_LAST}, ((2, 9, 3),)),
    "conv1d-causal": Case(
        keras.layers.Conv1D,
        {"filters": 4, "kernel_size": 3, "padding": "causal", "dilation_rate": 2, **_LAST},
        ((2, 9, 3),),
    ),
    "conv2d-same-stride": Case(
        keras.layers.Conv2D,
        {"filters": 4, "kernel_size": (3, 2), "strides": 2, "padding": "same", **_LAST},
        ((2, 7, 6, 3),),
    ),
    "conv2d-first": Case(keras.layers.Conv2D, {"filters": 4, "kernel_size": 2, **_FIRST}, ((2, 3, 5, 6),)),
    "conv2d-groups": Case(
        keras.layers.Conv2D, {"filters": 4, "kernel_size": 2, "groups": 2, **_LAST}, ((2, 5, 6, 4),), _DENSE
    ),
    "conv2d-per-group": Case(
        keras.layers.Conv2D, {"filters": 4, "kernel_size": 2, "groups": 2, **_LAST}, ((2, 5, 6, 4),), _PER_GROUP
    ),
    "conv2d-dilated": Case(
        keras.layers.Conv2D, {"filters": 3, "kernel_size": 2, "dilation_rate": 2, **_LAST}, ((2, 6, 5, 2),)
    ),
    "conv3d": Case(
        keras.layers.Conv3D, {"filters": 3, "kernel_size": 2, "padding": "same", **_LAST}, ((2, 3, 4, 3, 2),)
    ),
    "depthwise1d": Case(keras.layers.DepthwiseConv1D, {"kernel_size": 3, "depth_multiplier": 2, **_LAST}, ((2, 8, 3),)),
    "depthwise2d": Case(
        keras.layers.DepthwiseConv2D,
        {"kernel_size": 2, "depth_multiplier": 2, "padding": "same", **_LAST},
        ((2, 5, 4, 3),),
    ),
    "depthwise2d-per-group": Case(
        keras.layers.DepthwiseConv2D, {"kernel_size": 2, "strides": 2, **_LAST}, ((2, 6, 6, 3),), _PER_GROUP
    ),
    "conv1d-transpose": Case(
        keras.layers.Conv1DTranspose,
        {"filters": 4, "kernel_size": 4, "dilation_rate": 2, "padding": "same", **_LAST},
        ((2, 5, 3),),
    ),
    "conv2d-transpose": Case(
        keras.layers.Conv2DTranspose, {"filters": 4, "kernel_size": 3, "strides": 2, **_LAST}, ((2, 3, 4, 3),)
    ),
    "conv2d-transpose-far": Case(
        keras.layers.Conv2DTranspose,
        {"filters": 4, "kernel_size": 2, "strides": 3, "padding": "same", **_LAST},
        ((2, 3, 4, 3),),
    ),
    "conv2d-transpose-more": Case(
        keras.layers.Conv2DTranspose,
        {"filters": 4, "kernel_size": 3, "strides": 2, "output_padding": 1, "padding": "same", **_LAST},
        ((2, 3, 4, 3),),
    ),
    "conv3d-transpose": Case(
        keras.layers.Conv3DTranspose, {"filters": 2, "kernel_size": 2, **_LAST}, ((2, 2, 3, 2, 3),)
    ),
    "separable1d": Case(
        keras.layers.SeparableConv1D, {"filters": 3, "kernel_size": 3, "depth_multiplier": 2, **_LAST}, ((2, 7, 3),)
    ),
    "separable2d": Case(
        keras.layers.SeparableConv2D,
        {"filters": 3, "kernel_size": 2, "strides": 2, "padding": "same", **_LAST},
        ((2, 5, 6, 3),),
    ),
    "separable2d-per-group": Case(
        keras.layers.SeparableConv2D, {"filters": 3, "kernel_size": 2, **_LAST}, ((2, 5, 4, 3),), _PER_GROUP
    ),
    "simple-rnn": Case(keras.layers.SimpleRNN, {"units": 3, **_ANY}, ((2, 4, 5),), rounding=8),
    "simple-rnn-backwards": Case(
        keras.layers.SimpleRNN,
        {"units": 3, **_ANY, "go_backwards": True, "return_sequences": True, "use_bias": False},
        ((2, 4, 5),),
        rounding=8,
    ),
    "lstm": Case(
        keras.layers.LSTM,
        {"units": 3, **_ANY, "return_sequences": True, "return_state": True},
        ((2, 4, 5),),
        rounding=8,
    ),
    "lstm-unrolled": Case(keras.layers.LSTM, {"units": 3, **_ANY, "unroll": True}, ((2, 4, 5),), rounding=8),
    "gru": Case(keras.layers.GRU, {"units": 3, **_ANY, "return_sequences": True}, ((2, 4, 5),), rounding=8),
    "gru-early-reset": Case(keras.layers.GRU, {"units": 3, **_ANY, "reset_after": False}, ((2, 4, 5),), rounding=8),
    "einsum": Case(
        keras.layers.EinsumDense,
        {"equation": "abc,cde->abde", "output_shape": (None, 2, 3), "bias_axes": "de"},
        ((2, 4, 5),),
    ),
    "einsum-elided": Case(
        keras.layers.EinsumDense,
        {"equation": "...x,yx->...y", "output_shape": 3, "bias_axes": "y", "activation": "tanh"},
        ((2, 4, 5),),
    ),
    "einsum-no-bias": Case(keras.layers.EinsumDense, {"equation": "abc,bcd->ad", "output_shape": 3}, ((2, 4, 5),)),
    "attention": Case(
        keras.layers.MultiHeadAttention, {"num_heads": 2, "key_dim": 3}, ((2, 4, 5), (2, 3, 5)), rounding=16
    ),
    "attention-gate": Case(
        keras.layers.MultiHeadAttention,
        {"num_heads": 2, "key_dim": 3, "value_dim": 2, "output_shape": 4, "use_gate": True, "use_bias": False},
        ((2, 4, 5), (2, 3, 5)),
        rounding=16,
    ),
    "attention-groups": Case(
        keras.layers.GroupQueryAttention,
        {"num_query_heads": 4, "num_key_value_heads": 2, "head_dim": 3},
        ((2, 4, 5), (2, 3, 5)),
        rounding=16,
    ),
}


#: Kinds of each mechanism, where much is compiled; on JAX every operation on arrays of another shape is, and what
#: convolutions compute is tested by the files beside this one.
_ON_JAX = ("dense", "lstm")
_ON_TENSORFLOW = (
    *_ON_JAX,
    "conv2d-same-stride",
    "depthwise2d-per-group",
    "einsum",
)


#: Variants of other cases, whose numbers are those of the maps that they share (tests/layers) and of PyTorch's layers.
_VARIANTS = (
    "dense-activation",
    "dense-no-bias",
    "conv1d",
    "depthwise1d",
    "conv1d-transpose",
    "conv2d-transpose-far",
    "conv2d-per-group",
    "separable1d",
    "separable2d",
    "simple-rnn-backwards",
    "lstm-unrolled",
    "gru-early-reset",
    "einsum-elided",
    "einsum-no-bias",
    "attention-groups",
)


def of_backend() -> dict[str, Case]:
    """The cases that are tested on the backend of this process."""
    backend = keras.backend.backend()
    kinds = tuple(name for name in LAYERS if name not in _VARIANTS)
    chosen = {"jax": _ON_JAX, "tensorflow": _ON_TENSORFLOW}.get(backend, kinds)
    return {name: LAYERS[name] for name in chosen}
