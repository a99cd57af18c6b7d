"""Layers with one matrix, formed of a kernel and perhaps a bias: dense layers and convolutions."""

from __future__ import annotations

from typing import Any

import keras

from crossohm.backends import Array, backend_of
from crossohm.keras.arrays.compiled import tensor_of
from crossohm.keras.layers.layer import AnalogLayer
from crossohm.layers.layout import Layout


class WeightedLayer(AnalogLayer):
    """Base of the layers with a ``kernel`` and a ``bias``; a kind supplies what raises NotImplementedError here."""

    use_bias: bool
    bias: Any
    activation: Any
    _rows: int

    @property
    def bias_rows(self) -> int:
        """Matrix columns that hold the bias; 0: it is added digitally. Assignment rebuilds the arrays."""
        return self._rows

    @bias_rows.setter
    def bias_rows(self, value: int) -> None:
        self.install(self._params, value, self.seed, self._core_name)

    @property
    def analog_bias(self) -> bool:
        """True if the arrays hold the bias."""
        return self.use_bias and self._rows > 0

    def layouts(self, rows: int) -> dict[str, Layout]:
        """The one matrix, with kernel and bias."""
        return {"": self.layout(rows if self.use_bias else 0)}

    def layout(self, bias_columns: int) -> Layout:
        """Where kernel and bias lie in the matrix, with so many columns for the bias."""
        raise NotImplementedError

    def _through_arrays(self, x: Array) -> Array:
        """What the arrays return for ``(batch, features, *positions)``, in the dtype that Keras computes in."""
        matrix, xp = self.matrices[0], backend_of(x).xp
        contraction = self.contraction(matrix.layout)
        if contraction.constants:
            one = xp.ones_like(x[:, :1])
            x = xp.concat([x, *[one] * contraction.constants], axis=1)
        y = matrix.product(x, contraction)
        return keras.ops.cast(y, self.compute_dtype) if keras.backend.is_float_dtype(_dtype(y)) else y

    def _finished(self, y: Array, channels: int = -1) -> Array:
        """``y`` with what is digital: a bias that arrays do not hold, along axis ``channels``, and the activation."""
        if self.use_bias and not self.analog_bias:
            shape = [1] * len(y.shape)
            shape[channels] = -1
            bias = keras.ops.reshape(tensor_of(self.bias), shape)
            y = keras.ops.add(y, keras.ops.cast(bias, _dtype(y)))
        return y if self.activation is None else self.activation(y)


def _dtype(y: Array) -> str:
    return str(keras.backend.standardize_dtype(y.dtype))
