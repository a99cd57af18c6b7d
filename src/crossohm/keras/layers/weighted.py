"""Layers with one matrix, formed of a kernel and perhaps a bias: dense layers and convolutions."""

from __future__ import annotations

from typing import Any

import keras

from crossohm.backends import Array
from crossohm.keras.arrays.compiled import tensor_of
from crossohm.keras.layers.biased import BiasedLayer, dtype_of
from crossohm.layers.layout import Layout
from crossohm.layers.product import with_ones


class WeightedLayer(BiasedLayer):
    """Base of the layers with a ``kernel`` and a ``bias``; a kind supplies what raises NotImplementedError here."""

    bias: Any
    activation: Any

    def layouts(self, rows: int) -> dict[str, Layout]:
        """The one matrix, with kernel and bias."""
        return {"": self.layout(rows if self.use_bias else 0)}

    def layout(self, bias_columns: int) -> Layout:
        """Where kernel and bias lie in the matrix, with so many columns for the bias."""
        raise NotImplementedError

    def _through_arrays(self, x: Array, number: int = 0) -> Array:
        """What a matrix returns for ``(batch, features, *positions)``, in the dtype that Keras computes in."""
        matrix = self.matrices[number]
        contraction = self.contraction(matrix.layout)
        return self._cast(matrix.product(with_ones(x, contraction.constants), contraction))

    def _finished(self, y: Array, channels: int = -1) -> Array:
        """``y`` with what is digital: a bias that arrays do not hold, along axis ``channels``, and the activation."""
        if self.use_bias and not self.analog_bias:
            shape = [1] * len(y.shape)
            shape[channels] = -1
            bias = keras.ops.reshape(tensor_of(self.bias), shape)
            y = keras.ops.add(y, keras.ops.cast(bias, dtype_of(y)))
        return y if self.activation is None else self.activation(y)
