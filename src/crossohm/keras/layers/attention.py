"""Attention of Keras, its projections on simulated arrays."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, final

import keras

from crossohm.keras.layers.einsum import EquationLayer
from crossohm.layers.layout import Layout

#: Attributes of the attention layers that project; what follows the name of the layer in those of their matrices.
_PROJECTIONS = {
    "_query_dense": ".query",
    "_key_dense": ".key",
    "_value_dense": ".value",
    "_gate_dense": ".gate",
    "_output_dense": ".attention_output",
}


class AnalogAttention(EquationLayer):
    """Base of the attention layers: a mixin before the Keras layer.

    Queries, keys, values and outputs have a matrix each, and so has the gate if there is one. The scores, their softmax
    and the sums of values multiply two signals and stay digital.
    """

    _names_seed = False

    @property
    def seed(self) -> int:
        """The chip; while Keras builds the layer, what it calls ``seed``."""
        return self.__dict__["dropout_seed"] if self._names_seed else super().seed

    def build(self, query_shape: Any, value_shape: Any, key_shape: Any = None) -> None:
        """Make the variables."""
        self._names_seed = True
        super().build(query_shape, value_shape, key_shape)  # type: ignore[misc]
        self._names_seed = False
        for name in self._projections():
            for variable in getattr(self, name).weights:
                variable._autocast = False  # arrays hold the values of variables, whatever Keras computes in

    def _projections(self) -> dict[str, str]:
        return {name: suffix for name, suffix in _PROJECTIONS.items() if hasattr(self, name)}

    def layouts(self, rows: int) -> dict[str, Layout]:
        """A matrix for each projection."""
        return {
            suffix: self._layout(getattr(self, name), f"{name}.", rows) for name, suffix in self._projections().items()
        }

    def call(
        self,
        query: Any,
        value: Any,
        key: Any = None,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        attention_mask: Any = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
    ) -> Any:
        """Keras' own attention with its arguments, projected by arrays."""
        masks = (query_mask, value_mask, key_mask, attention_mask)
        call: Callable[..., Any] = self.digital_type.call
        layer = _Projecting(self) if self._has_values() else self
        return call(layer, query, value, key, *masks, return_attention_scores, training, use_causal_mask)


class _Projecting:
    """An attention layer whose projections are products with its arrays; all else it has is the layer's."""

    def __init__(self, layer: AnalogAttention) -> None:
        own = {
            name: partial(layer._through_equation, getattr(layer, name), number)
            for number, name in enumerate(layer._projections())
        }
        object.__setattr__(self, "_layer", layer)
        self.__dict__.update(own)

    @property
    def _compute_attention(self) -> Any:  # Keras looks for it in the class
        return self._layer._compute_attention

    def __getattr__(self, name: str) -> Any:
        return getattr(self._layer, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._layer, name, value)


@final
@keras.saving.register_keras_serializable("crossohm")
class AnalogMultiHeadAttention(AnalogAttention, keras.layers.MultiHeadAttention):
    """`keras.layers.MultiHeadAttention` whose projections run on analog arrays; see `AnalogAttention`."""

    digital_type = keras.layers.MultiHeadAttention


@final
@keras.saving.register_keras_serializable("crossohm")
class AnalogGroupQueryAttention(AnalogAttention, keras.layers.GroupQueryAttention):
    """`keras.layers.GroupQueryAttention` whose projections run on analog arrays; see `AnalogAttention`."""

    digital_type = keras.layers.GroupQueryAttention
