"""Recurrent cells of Keras on simulated arrays: one time step of a recurrent layer."""

from __future__ import annotations

from typing import Any, final

import keras

from crossohm.errors import UnsupportedError
from crossohm.keras.layers.recurrent import AnalogRecurrent


class AnalogCell(AnalogRecurrent):
    """Base of the recurrent cells: a mixin before the Keras cell."""

    @property
    def _variables(self) -> Any:
        return self

    def get_dropout_mask(self, step_input: Any) -> Any:
        """What Keras asks for before its loop over time; this class does so by another way.

        Raises:
            UnsupportedError: the loop would be compiled, where no arrays can be looked after.
        """
        if keras.backend.backend() != "torch":
            raise UnsupportedError(
                f"{type(self).__name__} {self.name!r} in a loop of {keras.backend.backend()}: a cell looks at its "
                "arrays in every step, which compiled loops do not allow. Convert a keras.layers.RNN of one cell, or "
                f"use {type(self).__name__.removesuffix('Cell')}"
            )
        return super().get_dropout_mask(step_input)  # type: ignore[misc]

    def call(self, inputs: Any, states: Any, training: bool = False) -> tuple[Any, Any]:
        """Output and state after one time step.

        Args:
            inputs: ``(batch, features)``.
            states: The present states, as Keras has them.
            training: If True, inputs and state are dropped as the cell says.
        """
        if not self._has_values():
            return super().call(inputs, states, training=training)  # type: ignore[misc]
        several = isinstance(states, list | tuple)
        present = tuple(states) if several else (states,)
        found = self._stepping(self._dropped(inputs, present, training))(None)(inputs, present)
        return found[0], list(found) if several else found[0]


@final
@keras.saving.register_keras_serializable("crossohm")
class AnalogSimpleRNNCell(AnalogCell, keras.layers.SimpleRNNCell):
    """`keras.layers.SimpleRNNCell` whose product runs on analog arrays; see `AnalogRecurrent` for the matrix."""

    digital_type = keras.layers.SimpleRNNCell


@final
@keras.saving.register_keras_serializable("crossohm")
class AnalogLSTMCell(AnalogCell, keras.layers.LSTMCell):
    """`keras.layers.LSTMCell` whose product runs on analog arrays; see `AnalogRecurrent` for the matrix."""

    digital_type = keras.layers.LSTMCell


@final
@keras.saving.register_keras_serializable("crossohm")
class AnalogGRUCell(AnalogCell, keras.layers.GRUCell):
    """`keras.layers.GRUCell` whose products run on analog arrays; see `AnalogRecurrent` for the matrices."""

    digital_type = keras.layers.GRUCell
