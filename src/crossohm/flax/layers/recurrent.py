"""Recurrent cells of Flax on simulated arrays, for `flax.nnx.RNN`."""

from __future__ import annotations

from functools import partial
from typing import Any, final

import jax.numpy as jnp
from flax import nnx

from crossohm.backends import Array
from crossohm.errors import ShapeError
from crossohm.flax.layers.layer import AnalogLayer, Product
from crossohm.layers.array_layer import BiasRows
from crossohm.layers.layout import Layout
from crossohm.layers.layouts import CellParameters
from crossohm.layers.recurrence.cell import RecurrentCell
from crossohm.layers.recurrence.gates import Gates, gru_gates, lstm_gates, rnn_gates

#: Linear layers of `flax.nnx.LSTMCell` for its inputs, and for its state.
_OF_INPUT, _OF_HIDDEN = ("ii", "if_", "ig", "io"), ("hi", "hf", "hg", "ho")


class AnalogCell(BiasRows, AnalogLayer):
    """Base of the recurrent cells: a mixin before the Flax cell.

    The matrix is ``(rows, inputs + hidden + bias columns)``: the kernels of inputs and state side by side, then the
    columns of the bias. Its rows are those of the cells of other frameworks: equal cells are equal chips. One product
    per time step multiplies ``[x_t, h_(t-1), 1...]``; nonlinearities and gates are digital. A GRU has four blocks of
    rows: reset, update, and the new state's parts of the inputs and of the state.

    In `flax.nnx.RNN` all time steps have one chip, and each has noise of its own.
    """

    use_bias = True

    in_features: int
    hidden_features: int
    gate_fn: Any
    activation_fn: Any

    # --- what a kind supplies -----------------------------------------------------------------------------------------

    def _gates(self) -> Gates:
        raise NotImplementedError

    def _parameters(self) -> CellParameters:
        """Names of the parameters."""
        raise NotImplementedError

    # --- the matrix ---------------------------------------------------------------------------------------------------

    def layouts(self, rows: int) -> dict[str, Layout]:
        """The one matrix, with kernels and bias."""
        return self._recurrent_cell(rows).layouts()

    def _recurrent_cell(self, rows: int) -> RecurrentCell:
        sizes = (self.hidden_features, self.in_features, self.hidden_features)
        return RecurrentCell(self._gates(), sizes, self._parameters(), (rows, rows))

    # --- the product --------------------------------------------------------------------------------------------------

    def __call__(self, carry: Any, inputs: Any) -> tuple[Any, Any]:
        """Carry and output after one time step.

        Args:
            carry: The present state, as the Flax cell has it: ``(*, hidden_features)``; of an LSTM, memory and state.
            inputs: ``(*, in_features)``.

        Raises:
            ShapeError: the inputs have another number of features.
        """
        x = jnp.asarray(inputs, self.dtype)
        if not x.ndim or x.shape[-1] != self.in_features:
            raise ShapeError(
                f"input of shape {x.shape} does not fit {type(self).__name__}(in_features={self.in_features}); "
                f"expected (*, {self.in_features})"
            )
        hidden, *memories = reversed(carry) if isinstance(carry, tuple | list) else (carry,)
        state = tuple(_vectors(part, x.shape[:-1]) for part in (hidden, *memories))
        products = [partial(self._cast, product) for product in self._products()]
        cell = self._recurrent_cell(self._rows)
        found = cell.stepping(products, self.parameter_values(cell.digital_biases))(_vectors(x, x.shape[:-1]), state)
        parts = [jnp.reshape(part, (*x.shape[:-1], part.shape[-1])) for part in found]
        return (tuple(reversed(parts)) if memories else parts[0]), parts[0]

    def _cast(self, product: Product, vectors: Array) -> Array:
        return product(vectors) if self.dtype is None else product(vectors.astype(self.dtype)).astype(self.dtype)


def _vectors(x: Any, leading: tuple[int, ...]) -> Array:
    """``(batch, features)`` of what has these axes, or fits them, before its features."""
    x = jnp.asarray(x)
    return jnp.reshape(jnp.broadcast_to(x, (*leading, x.shape[-1])), (-1, x.shape[-1]))


def _joint(of_input: bool) -> CellParameters:
    """One linear layer for the inputs and one for the state, one of which has the bias."""
    biases = ("dense_i.bias", None) if of_input else (None, "dense_h.bias")
    return CellParameters(("dense_i.kernel", "dense_h.kernel"), biases, inputs_first=True)


@final
class AnalogSimpleCell(AnalogCell, nnx.SimpleCell):
    """`flax.nnx.SimpleCell` whose product runs on analog arrays; see `AnalogCell` for the matrix."""

    digital_type = nnx.SimpleCell

    def _gates(self) -> Gates:
        return rnn_gates(self.activation_fn, self.residual)

    def _parameters(self) -> CellParameters:
        return _joint(of_input=True)


@final
class AnalogLSTMCell(AnalogCell, nnx.LSTMCell):
    """`flax.nnx.LSTMCell` whose product runs on analog arrays; see `AnalogCell` for the matrix."""

    digital_type = nnx.LSTMCell

    def _gates(self) -> Gates:
        return lstm_gates(self.activation_fn, self.gate_fn)

    def _parameters(self) -> CellParameters:
        of_input, of_hidden, biases = (
            tuple(f"{layer}.{name}" for layer in layers)
            for layers, name in ((_OF_INPUT, "kernel"), (_OF_HIDDEN, "kernel"), (_OF_HIDDEN, "bias"))
        )
        return CellParameters((of_input, of_hidden), (None, biases), inputs_first=True)


@final
class AnalogOptimizedLSTMCell(AnalogCell, nnx.OptimizedLSTMCell):
    """`flax.nnx.OptimizedLSTMCell` whose product runs on analog arrays; see `AnalogCell` for the matrix."""

    digital_type = nnx.OptimizedLSTMCell

    def _gates(self) -> Gates:
        return lstm_gates(self.activation_fn, self.gate_fn)

    def _parameters(self) -> CellParameters:
        return _joint(of_input=False)


@final
class AnalogGRUCell(AnalogCell, nnx.GRUCell):
    """`flax.nnx.GRUCell` whose product runs on analog arrays; see `AnalogCell` for the matrix."""

    digital_type = nnx.GRUCell

    def _gates(self) -> Gates:
        return gru_gates(self.activation_fn, self.gate_fn)

    def _parameters(self) -> CellParameters:
        return _joint(of_input=True)
