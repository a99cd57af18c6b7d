"""Recurrent cells of Keras on simulated arrays: one time step of a recurrent layer."""

from __future__ import annotations

from typing import Any, final

import keras

from crossohm.keras.layers.recurrent import GRU_ORDER, AnalogRecurrent
from crossohm.layers.gates import Gates, early_reset_gru_gates, gru_gates, lstm_gates, rnn_gates


class AnalogCell(AnalogRecurrent):
    """Base of the recurrent cells: a mixin before the Keras cell."""

    @property
    def _variables(self) -> Any:
        return self

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

    def _gates(self) -> Gates:
        return rnn_gates(self.activation)


@final
@keras.saving.register_keras_serializable("crossohm")
class AnalogLSTMCell(AnalogCell, keras.layers.LSTMCell):
    """`keras.layers.LSTMCell` whose product runs on analog arrays; see `AnalogRecurrent` for the matrix."""

    digital_type = keras.layers.LSTMCell

    def _gates(self) -> Gates:
        return lstm_gates(self.activation, self.recurrent_activation)


@final
@keras.saving.register_keras_serializable("crossohm")
class AnalogGRUCell(AnalogCell, keras.layers.GRUCell):
    """`keras.layers.GRUCell` whose products run on analog arrays; see `AnalogRecurrent` for the matrices."""

    digital_type = keras.layers.GRUCell

    def _gates(self) -> Gates:
        kind = gru_gates if self.reset_after else early_reset_gru_gates
        return kind(self.activation, self.recurrent_activation, GRU_ORDER)

    @property
    def _two_biases(self) -> bool:  # type: ignore[override]
        return bool(self.reset_after)
