"""Recurrent cells in every framework: the blocks of rows of their matrices, and how outputs become the next state.

The mathematics of a cell is the same everywhere; frameworks order its gates differently. A kind of cell is made by one
of the functions here from the framework's activations and order of gates; its matrix has its blocks in one order in
every framework, so that equal cells are equal chips.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

from crossohm.backends import Array, backend_of
from crossohm.layers.layouts import Blocks

#: Hidden state, and for an LSTM the cell state, each ``(batch, units)``.
State = tuple[Array, ...]

#: Acts on every element.
Activation = Callable[[Array], Array]

#: Pre-activations ``(batch, rows)``: a matrix times the present inputs and what is given in the place of the state.
Drive = Callable[[Array, Array], Array]


@final
@dataclass(frozen=True)
class Gates:
    """One kind of recurrent cell.

    Attributes:
        matrices: Its matrices, each multiplied once per time step.
        advance: Next state for a `Drive` per matrix, the present inputs and the present state.
        memories: How many states follow the hidden one: an LSTM's cell state.
    """

    matrices: tuple[Blocks, ...]
    advance: Callable[[Sequence[Drive], Array, State], State]
    memories: int = 0


def rnn_gates(activation: Activation, residual: bool = False) -> Gates:
    """A simple recurrent cell: the next state is the activated product, to which a ``residual`` one adds the state."""

    def advance(drives: Sequence[Drive], x: Array, state: State) -> State:
        sums = drives[0](x, state[0])
        return (activation(sums + state[0] if residual else sums),)

    return Gates((Blocks(1, (0,), (0,)),), advance)


def lstm_gates(activation: Activation, gate: Activation) -> Gates:
    """An LSTM cell; its gates are input, forget, cell, output, as PyTorch and Keras have them.

    Args:
        activation: Of new and of shown memories.
        gate: Of the gates.
    """

    def advance(drives: Sequence[Drive], x: Array, state: State) -> State:
        admit, keep, new, show = _parted(drives[0](x, state[0]), 4)
        cell = gate(keep) * state[1] + gate(admit) * activation(new)
        return gate(show) * activation(cell), cell

    every = (0, 1, 2, 3)
    return Gates((Blocks(4, every, every),), advance, memories=1)


def gru_gates(activation: Activation, gate: Activation, order: tuple[int, int, int] = (0, 1, 2)) -> Gates:
    """A GRU cell whose reset gate acts on the product with the state.

    Its matrix has four blocks: reset, update, and the new state's parts of the inputs and of the state, which the reset
    gate keeps apart.

    Args:
        activation: Of the new state.
        gate: Of the gates.
        order: Which of reset, update and new (0, 1, 2) each gate of the parameters is.
    """

    def advance(drives: Sequence[Drive], x: Array, state: State) -> State:
        reset, keep, new_of_input, new_of_hidden = _parted(drives[0](x, state[0]), 4)
        new = activation(new_of_input + gate(reset) * new_of_hidden)
        return (new + gate(keep) * (state[0] - new),)

    of_hidden = tuple(3 if which == 2 else which for which in order)
    return Gates((Blocks(4, order, of_hidden),), advance)


def early_reset_gru_gates(activation: Activation, gate: Activation, order: tuple[int, int, int] = (0, 1, 2)) -> Gates:
    """A GRU cell whose reset gate acts on the state before it is multiplied for the new state.

    That product has to wait for the gates, so there are two matrices: reset above update, driven with the state; and
    the new state, driven with what the reset gate leaves of it. Together they have as many cells as the parameters have
    numbers, and each is used once per time step.

    Args:
        activation: Of the new state.
        gate: Of the gates.
        order: Which of reset, update and new (0, 1, 2) each gate of the parameters is.
    """

    def advance(drives: Sequence[Drive], x: Array, state: State) -> State:
        reset, keep = _parted(drives[0](x, state[0]), 2)
        new = activation(drives[1](x, gate(reset) * state[0]))
        return (new + gate(keep) * (state[0] - new),)

    deciding = tuple(which if which < 2 else None for which in order)
    candidate = tuple(0 if which == 2 else None for which in order)
    return Gates((Blocks(2, deciding, deciding), Blocks(1, candidate, candidate)), advance)


def _parted(sums: Array, count: int) -> Sequence[Array]:
    """The blocks of pre-activations ``(batch, rows)``."""
    return backend_of(sums).parted(sums, count)
