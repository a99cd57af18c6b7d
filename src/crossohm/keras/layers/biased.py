"""Layers with biases, which matrix columns may hold: how many do is one number for all of them."""

from __future__ import annotations

import keras

from crossohm.backends import Array
from crossohm.keras.layers.layer import AnalogLayer
from crossohm.layers.array_layer import BiasRows


class BiasedLayer(BiasRows, AnalogLayer):
    """Base of the layers that may have biases."""

    use_bias: bool

    @property
    def analog_bias(self) -> bool:
        """True if the arrays hold the biases."""
        return self.use_bias and self._rows > 0

    def _cast(self, y: Array) -> Array:
        """What arrays return, in the dtype that Keras computes in."""
        return keras.ops.cast(y, self.compute_dtype) if keras.backend.is_float_dtype(dtype_of(y)) else y


def dtype_of(y: Array) -> str:
    """As Keras spells it."""
    return str(keras.backend.standardize_dtype(y.dtype))
