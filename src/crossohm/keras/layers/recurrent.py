"""What recurrent layers and cells of Keras have in common: arrays that multiply input and state at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras

from crossohm.backends import Array, backend_of
from crossohm.keras.layers.biased import BiasedLayer
from crossohm.layers.layout import Layout
from crossohm.layers.layouts import CellParameters
from crossohm.layers.recurrence.cell import RecurrentCell, Step
from crossohm.layers.recurrence.gates import Gates, State, early_reset_gru_gates, gru_gates, lstm_gates, rnn_gates

#: Which of reset, update and new each gate of a GRU's parameters is.
_GRU_ORDER = (1, 0, 2)


def _gates_of_gru(cell: Any) -> Gates:
    kind = gru_gates if cell.reset_after else early_reset_gru_gates
    return kind(cell.activation, cell.recurrent_activation, _GRU_ORDER)


#: By the cell of Keras.
CELL_GATES: dict[type[Any], Callable[[Any], Gates]] = {
    keras.layers.SimpleRNNCell: lambda cell: rnn_gates(cell.activation),
    keras.layers.LSTMCell: lambda cell: lstm_gates(cell.activation, cell.recurrent_activation),
    keras.layers.GRUCell: _gates_of_gru,
}


class AnalogRecurrent(BiasedLayer):
    """Base of recurrent layers and cells: a mixin before the Keras layer.

    The matrix is ``(rows, inputs + units + bias columns)``: kernel and recurrent kernel side by side, then the columns
    of the bias; a GRU with ``reset_after`` has a bias for the inputs and one for the state, with ``bias_rows`` columns
    each. Its rows are those of PyTorch's cells: equal cells are equal chips. One product per time step multiplies
    ``[x_t, h_(t-1), 1...]``; nonlinearities and gates are digital. A GRU without ``reset_after`` has a second matrix,
    for the new state, which is driven with what the reset gate leaves of the state.

    Keras can draw dropout for each gate alone (``implementation=1``, ``recurrent_dropout``); an array has one input for
    all gates, so that they share what is dropped.
    """

    #: Where the variables are, as their names begin.
    _where: str = ""

    @property
    def _variables(self) -> Any:
        """The cell of Keras that has the variables."""
        raise NotImplementedError

    @property
    def _cell_type(self) -> Any:
        """What kind of cell it is."""
        own = type(self._variables)
        return getattr(own, "digital_type", own)

    # --- matrices -----------------------------------------------------------------------------------------------------

    def layouts(self, rows: int) -> dict[str, Layout]:
        """One matrix; two for a GRU that resets the state before it is multiplied."""
        return self._recurrent_cell(rows).layouts()

    def _recurrent_cell(self, rows: int) -> RecurrentCell:
        own, bias = self._variables, f"{self._where}bias" if self.use_bias else None
        names = (f"{self._where}kernel", f"{self._where}recurrent_kernel")
        of_state = bias if getattr(own, "reset_after", False) else None
        parameters = CellParameters(names, (bias, of_state), inputs_first=True)
        sizes = (own.units, own.kernel.shape[0], own.recurrent_kernel.shape[0])
        return RecurrentCell(CELL_GATES[self._cell_type](own), sizes, parameters, (rows, rows))

    # --- the product --------------------------------------------------------------------------------------------------

    def _stepping(self, dropped: Array | None) -> Callable[[Array | None], Step]:
        """Step functions for parameters as they are now, which are looked at only here.

        Args:
            dropped: Factors of inputs, state and ones, ``(batch, columns)``.

        Returns:
            Makes a step function of its number, ``()``, which decides about its noise; None: it is drawn anew.
        """
        cell = self._recurrent_cell(self._rows)
        biases = {name: self._cast(value) for name, value in self.parameter_values(cell.digital_biases).items()}
        multipliers = [matrix.multiplier(self.contraction(matrix.layout)) for matrix in self.matrices]
        seeds = [self.noise_seed() for _ in multipliers]

        def product(multiply: Any, seed: Array | None, number: Array | None, vectors: Array) -> Array:
            draws = None if seed is None or number is None else _of_step(seed, number)
            return self._cast(multiply(vectors if dropped is None else vectors * dropped, draws))

        def step(number: Array | None) -> Step:
            pairs = zip(multipliers, seeds, strict=True)
            return cell.stepping([partial(product, *pair, number) for pair in pairs], biases)

        return step

    def _dropped(self, x: Array, state: State, training: bool) -> Array | None:
        """Factors of inputs, state and ones, if some are dropped."""
        own = self._variables
        if not training or not (own.dropout or own.recurrent_dropout):
            return None
        kind = self._cell_type
        masks = kind.get_dropout_mask(own, x), kind.get_recurrent_dropout_mask(own, state[0])
        factors = [_first(mask, like) for mask, like in zip(masks, (x, state[0]), strict=True)]
        ones = self._recurrent_cell(self._rows).ones
        return keras.ops.concatenate([*factors, *[keras.ops.ones_like(x[:, :1])] * ones], axis=1)


def _first(mask: Any, like: Array) -> Array:
    """The mask all gates share, where Keras may have one for each, or none."""
    if mask is None:
        return keras.ops.ones_like(like)
    return mask[0] if isinstance(mask, list) else mask


def _of_step(seed: Array, number: Array) -> Array:
    """A seed for one time step; other calls of the layer have another second number."""
    xp = backend_of(seed).xp
    first = seed[:1] + keras.ops.cast(keras.ops.reshape(number, (1,)), seed.dtype)
    return xp.concat([first, seed[1:]], axis=0)
