"""Recurrent cells: where the matrix holds their parameters, and how its outputs become the next state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

#: Hidden state, and for an LSTM the cell state, each ``(batch, size)``.
State = tuple[Tensor, ...]


@final
@dataclass(frozen=True)
class Gates:
    """One kind of recurrent cell.

    The matrix has ``blocks`` blocks of ``hidden_size`` rows. Torch's weights have their gates one below the other in
    the same way, but need not have all blocks: the others hold programmed zeros.

    Attributes:
        blocks: Row blocks of the matrix.
        of_input: The blocks of ``weight_ih`` and ``bias_ih``, in torch's order of gates.
        of_hidden: The blocks of ``weight_hh`` and ``bias_hh``.
        advance: Next state for pre-activations ``(batch, rows)`` and the present state.
        memories: How many states follow the hidden one: an LSTM's cell state.
    """

    blocks: int
    of_input: tuple[int, ...]
    of_hidden: tuple[int, ...]
    advance: Callable[[Tensor, State], State]
    memories: int = 0

    def place_input(self, values: Tensor) -> Tensor:
        """Rows of ``weight_ih`` or entries of ``bias_ih`` at their places in the matrix."""
        return self._placed(values, self.of_input)

    def place_hidden(self, values: Tensor) -> Tensor:
        """Rows of ``weight_hh`` or entries of ``bias_hh`` at their places in the matrix."""
        return self._placed(values, self.of_hidden)

    def _placed(self, values: Tensor, places: tuple[int, ...]) -> Tensor:
        if len(places) == self.blocks:
            return values
        gates = dict(zip(places, values.chunk(len(places)), strict=True))
        nothing = torch.zeros_like(gates[places[0]])
        return torch.cat([gates.get(block, nothing) for block in range(self.blocks)])


def _rnn(nonlinearity: Callable[[Tensor], Tensor]) -> Gates:
    return Gates(1, (0,), (0,), lambda pre, state: (nonlinearity(pre),))


def _advance_lstm(pre: Tensor, state: State) -> State:
    admit, keep, new, show = pre.chunk(4, dim=-1)
    cell = keep.sigmoid() * state[1] + admit.sigmoid() * new.tanh()
    return show.sigmoid() * cell.tanh(), cell


def _advance_gru(pre: Tensor, state: State) -> State:
    reset, keep, new_of_input, new_of_hidden = pre.chunk(4, dim=-1)
    new = (new_of_input + reset.sigmoid() * new_of_hidden).tanh()
    return (new + keep.sigmoid() * (state[0] - new),)


#: By the nonlinearity of the cell.
RNN_GATES = {"tanh": _rnn(torch.tanh), "relu": _rnn(torch.relu)}
#: Input, forget, cell, output.
LSTM_GATES = Gates(4, (0, 1, 2, 3), (0, 1, 2, 3), _advance_lstm, memories=1)
#: Reset, update, and the new state's parts of the input and of the hidden state, which the reset gate keeps apart.
GRU_GATES = Gates(4, (0, 1, 2), (0, 1, 3), _advance_gru)
