"""`AnalogLinear`: a linear layer on simulated arrays."""

from __future__ import annotations

from typing import Any, final

import jax.numpy as jnp
from flax import nnx

from crossohm.errors import ShapeError
from crossohm.flax.layers.layer import AnalogLayer
from crossohm.layers.array_layer import BiasRows
from crossohm.layers.layout import Layout
from crossohm.layers.layouts import dense


@final
class AnalogLinear(BiasRows, AnalogLayer, nnx.Linear):
    """`flax.nnx.Linear` whose product runs on analog arrays; see `AnalogLayer` for what it takes beyond it.

    Shape:
        ``(*, in_features)`` to ``(*, out_features)``.
    """

    digital_type = nnx.Linear

    def layout(self, bias_columns: int) -> Layout:
        """Where kernel and bias lie in the matrix, with so many columns for the bias."""
        return dense(self.out_features, self.in_features, bias_columns, weight="kernel", inputs_first=True)

    def __call__(self, inputs: Any) -> Any:
        """Multiply all vectors along the last axis.

        Raises:
            ShapeError: the inputs have another number of features.
        """
        x = jnp.asarray(inputs, self.dtype)
        if not x.ndim or x.shape[-1] != self.in_features:
            raise ShapeError(
                f"input of shape {x.shape} does not fit AnalogLinear(in_features={self.in_features}); expected "
                f"(*, {self.in_features})"
            )
        y = self._through_arrays(jnp.reshape(x, (-1, self.in_features)))
        return self._finished(jnp.reshape(y, (*x.shape[:-1], self.out_features)))
