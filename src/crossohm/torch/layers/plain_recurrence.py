"""Recurrent layers whose matrices alone act: torch's own kernels with the weights that the arrays hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, final

import torch
from torch import Tensor

from crossohm.layers.recurrence.cell import RecurrentCell
from crossohm.layers.recurrence.gates import State
from crossohm.torch.layers.sequence import Steps


@final
class CellWeights(NamedTuple):
    """A matrix of a cell as torch's kernels want it.

    Attributes:
        sides: ``(gates * units, inputs)`` and ``(gates * units, hidden)``.
        constant: What the bias columns add to each row, ``(blocks, units)``.
    """

    sides: tuple[Tensor, Tensor]
    constant: Tensor


def cell_weights(cell: RecurrentCell, matrix: Tensor) -> CellWeights | None:
    """The weights of torch's cell that is one product with ``matrix``; None if there is no such cell."""
    (blocks,), (_, inputs, hidden) = cell.gates.matrices, cell.sizes
    rows = matrix.unflatten(0, (blocks.count, -1))
    of_input, of_hidden, ones = rows.split([inputs, hidden, cell.ones], dim=2)
    sides = _held(of_input, blocks.of_input), _held(of_hidden, blocks.of_hidden)
    return None if sides[0] is None or sides[1] is None else CellWeights((sides[0], sides[1]), ones.sum(dim=2))


def _held(rows: Tensor, gates: tuple[int | None, ...]) -> Tensor | None:
    """The rows of gates; None if others hold more than rounding of zeros: torch's cell has no place for errors."""
    others = rows[[block for block in range(len(rows)) if block not in gates]].abs().sum()
    return None if others > torch.finfo(rows.dtype).eps * rows.abs().sum() else rows[list(gates)].flatten(0, 1)


def cell_biases(cell: RecurrentCell, weights: CellWeights, values: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Torch's two biases for all that is added to each row; the second where it is kept apart.

    Args:
        cell: The cell.
        weights: Its matrix.
        values: The parameters that are added digitally, by name.
    """
    (blocks,) = cell.gates.matrices
    digital = cell.digital_bias(blocks, values)
    total = weights.constant if digital is None else weights.constant + digital.reshape(weights.constant.shape)
    apart = total.clone()
    apart[list(blocks.of_input)] = 0
    return total[list(blocks.of_input)].flatten(), apart[list(blocks.of_hidden)].flatten()


def run_plain(
    kernel: Any, steps: Steps, states: State, weights: list[Tensor], layers: int, *, bidirectional: bool
) -> tuple[Tensor, State]:
    """Outputs ``(vectors, features)`` and final states ``(runs, batch, size)``.

    Args:
        kernel: ``torch.lstm`` or its like.
        steps: The sequences.
        states: The initial states.
        weights: Of all layers and directions, each with two biases.
        layers: How many.
        bidirectional: Each has two directions.
    """
    given = states if len(states) > 1 else states[0]
    options = (weights, True, layers, 0.0, False, bidirectional)
    count, batch = len(steps.sizes), steps.sizes[0]
    if count * batch == len(steps.data):
        y, *final = kernel(steps.data.unflatten(0, (count, batch)), given, *options, False)
        return y.flatten(0, 1), tuple(final)
    y, *final = kernel(steps.data, torch.tensor(steps.sizes), given, *options)
    return y, tuple(final)
