"""Recurrent layers of Keras on simulated arrays: whole sequences."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, final

import keras

from crossohm.backends import Array
from crossohm.keras.layers.recurrent import CELL_GATES, AnalogRecurrent


class AnalogSequenceLayer(AnalogRecurrent):
    """Base of the recurrent layers: a mixin before the Keras layer, whose cell has the variables."""

    _where = "cell."

    cell: Any
    stateful: bool
    go_backwards: bool
    unroll: bool
    zero_output_for_mask: bool
    return_sequences: bool

    def __init__(self, **layer: Any) -> None:
        super().__init__(**layer)
        self.use_cudnn = False  # fused kernels would multiply without arrays

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        """Make the variables."""
        super().build(sequences_shape, initial_state_shape)  # type: ignore[misc]
        for variable in self.cell.weights:
            variable._autocast = False  # arrays hold the values of variables, whatever Keras computes in

    @property
    def _variables(self) -> Any:
        return self.cell

    def inner_loop(self, sequences: Any, initial_state: Any, mask: Any, training: bool = False) -> Any:
        """All time steps; parameters are looked at, and arrays written, once before them."""
        if not self._has_values():
            return super().inner_loop(sequences, initial_state, mask, training=training)  # type: ignore[misc]
        state = list(initial_state) if isinstance(initial_state, list | tuple) else [initial_state]
        step = self._stepping(self._dropped(sequences[:, 0], tuple(state), training))
        counted = keras.backend.backend() != "torch"
        once = None if counted else step(None)

        def advance(x: Array, states: Any) -> tuple[Array, list[Array]]:
            if once is not None:
                found = once(x, tuple(states))
                return found[0], list(found)
            *present, count = states
            number = keras.ops.max(count)  # sequences that pause keep theirs
            found = step(number)(x, tuple(present))
            return found[0], [*found, keras.ops.zeros_like(count) + number + 1]

        counts = [keras.ops.zeros_like(state[0][:, :1], dtype="int32")] if counted else []
        last, outputs, states = keras.layers.RNN.inner_loop(
            self._loop(advance), sequences, state + counts, mask, training
        )
        return last, outputs, list(states)[: len(state)]

    def _loop(self, advance: Any) -> Any:
        """What Keras' loop asks a layer for."""
        return SimpleNamespace(
            cell=advance,
            stateful=self.stateful,
            go_backwards=self.go_backwards,
            unroll=self.unroll,
            zero_output_for_mask=self.zero_output_for_mask,
            return_sequences=self.return_sequences,
        )


@final
@keras.saving.register_keras_serializable("crossohm")
class AnalogRNN(AnalogSequenceLayer, keras.layers.RNN):
    """`keras.layers.RNN` with a cell of Keras, whose products run on analog arrays; see `AnalogRecurrent`."""

    digital_type = keras.layers.RNN
    convertible = staticmethod(lambda layer: type(layer.cell) in CELL_GATES)

    def __init__(self, cell: Any, **layer: Any) -> None:
        if isinstance(cell, dict):  # of a configuration
            cell = keras.saving.deserialize_keras_object(cell)
        super().__init__(cell=cell, **layer)

    @property
    def use_bias(self) -> bool:  # type: ignore[override]
        """True if the cell has a bias."""
        return bool(self.cell.use_bias)


@final
@keras.saving.register_keras_serializable("crossohm")
class AnalogSimpleRNN(AnalogSequenceLayer, keras.layers.SimpleRNN):
    """`keras.layers.SimpleRNN` whose products run on analog arrays; see `AnalogRecurrent` for the matrix."""

    digital_type = keras.layers.SimpleRNN


@final
@keras.saving.register_keras_serializable("crossohm")
class AnalogLSTM(AnalogSequenceLayer, keras.layers.LSTM):
    """`keras.layers.LSTM` whose products run on analog arrays; see `AnalogRecurrent` for the matrix."""

    digital_type = keras.layers.LSTM


@final
@keras.saving.register_keras_serializable("crossohm")
class AnalogGRU(AnalogSequenceLayer, keras.layers.GRU):
    """`keras.layers.GRU` whose products run on analog arrays; see `AnalogRecurrent` for the matrices."""

    digital_type = keras.layers.GRU
