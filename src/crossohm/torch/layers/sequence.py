"""Recurrence over time, directions and layers: digital bookkeeping around one step function per matrix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from crossohm.layers.recurrence.cell import Step
from crossohm.layers.recurrence.gates import State

#: Makes the step function of a cell for its inputs at every time step, in the order in which they come.
Start = Callable[[Sequence[Tensor]], Step]


@final
@dataclass(frozen=True)
class Steps:
    """Vectors of a batch of sequences, time step after time step.

    Attributes:
        data: ``(vectors, features)``.
        sizes: How many sequences reach each time step; never increases.
    """

    data: Tensor
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, sequences: Tensor | PackedSequence) -> Steps:
        """From ``(time, batch, features)`` or packed sequences."""
        if isinstance(sequences, PackedSequence):
            return cls(sequences.data, tuple(sequences.batch_sizes.tolist()))
        return cls(sequences.flatten(0, 1), (sequences.shape[1],) * sequences.shape[0])

    def inputs(self) -> list[Tensor]:
        """The vectors of every time step, ``(sequences that reach it, features)``."""
        return list(self.data.split(self.sizes))


def run_layers(
    steps: Steps, initial: Sequence[State], layers: Sequence[Sequence[Start]], dropout: float
) -> tuple[Steps, list[State]]:
    """Feed sequences through stacked layers.

    Args:
        steps: The sequences.
        initial: State of every layer and direction before the first step, layers outermost, ``(batch, size)`` each.
        layers: Per layer what makes its step function, or two: forward in time and backward.
        dropout: Share of the outputs of each layer but the last that are set to zero; the others are scaled up.

    Returns:
        Outputs of the last layer, directions side by side, and the state of every layer and direction at the end.
    """
    states, final = iter(initial), []
    for number, directions in enumerate(layers):
        outputs = []
        for run, start in zip((_run_forward, _run_backward), directions, strict=False):
            hidden, state = run(steps.inputs(), next(states), start)
            outputs.append(torch.cat(hidden))
            final.append(state)
        data = torch.cat(outputs, dim=-1) if len(outputs) > 1 else outputs[0]
        if dropout and number < len(layers) - 1:
            data = F.dropout(data, dropout)
        steps = Steps(data, steps.sizes)
    return steps, final


def _run_forward(inputs: list[Tensor], state: State, start: Start) -> tuple[list[Tensor], State]:
    """First time step to last; sequences that have ended keep their state."""
    outputs, ended, step = [], [], start(inputs)
    for x in inputs:
        size = x.shape[0]
        if size < state[0].shape[0]:
            ended.append(tuple(part[size:] for part in state))
            state = tuple(part[:size] for part in state)
        state = step(x, state)
        outputs.append(state[0])
    # The longest sequences come first in a batch and end last.
    return outputs, _stacked([state, *reversed(ended)])


def _run_backward(inputs: list[Tensor], initial: State, start: Start) -> tuple[list[Tensor], State]:
    """Last time step to first; shorter sequences join with their initial state at their own end."""
    backward = inputs[::-1]
    outputs, step = [], start(backward)
    state = tuple(part[:0] for part in initial)
    for x in backward:
        present, size = state[0].shape[0], x.shape[0]
        if size > present:
            state = _stacked([state, tuple(part[present:size] for part in initial)])
        state = step(x, state)
        outputs.append(state[0])
    return outputs[::-1], state


def _stacked(parts: list[State]) -> State:
    return parts[0] if len(parts) == 1 else tuple(torch.cat(part) for part in zip(*parts, strict=True))
