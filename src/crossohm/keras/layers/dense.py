"""`AnalogDense`: a dense layer on simulated arrays."""

from __future__ import annotations

from typing import Any, final

import keras

from crossohm.keras.layers.weighted import WeightedLayer
from crossohm.layers.layout import Layout
from crossohm.layers.layouts import dense


@final
@keras.saving.register_keras_serializable("crossohm")
class AnalogDense(WeightedLayer, keras.layers.Dense):
    """`keras.layers.Dense` whose product runs on analog arrays; see `AnalogLayer` for what it takes beyond it.

    Shape:
        As `keras.layers.Dense`: ``(*, inputs)`` to ``(*, units)``.
    """

    digital_type = keras.layers.Dense

    def layout(self, bias_columns: int) -> Layout:
        """Where kernel and bias lie in the matrix, with so many columns for the bias."""
        return dense(self.units, self.kernel.shape[0], bias_columns, weight="kernel", inputs_first=True)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Multiply all vectors along the last axis."""
        if not self._has_values():
            return super().call(inputs)
        x = keras.ops.reshape(inputs, (-1, self.kernel.shape[0])) if len(inputs.shape) != 2 else inputs
        y = self._through_arrays(x)
        if len(inputs.shape) != 2:
            y = keras.ops.reshape(y, (*keras.ops.shape(inputs)[:-1], self.units))
        return self._finished(y)
