"""From the outputs of a layer to a normalisation: steps that only give numbers another place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from crossohm.torch.conversion.dataflow import DataFlow, name_of_step

#: Functions and methods that give all numbers of a tensor other places, and change none.
_MOVING = frozenset(
    (
        *("view", "view_as", "reshape", "reshape_as", "flatten", "unflatten", "ravel", "squeeze", "unsqueeze"),
        *("t", "transpose", "permute", "swapaxes", "swapdims", "movedim", "moveaxis", "contiguous"),
    )
)
_MOVING_MODULES = (nn.Flatten, nn.Unflatten)
#: Notes in observed graphs: the shape of what a step returned, and what does the same with another tensor.
SHAPE, AGAIN = "shape", "again"


def moves_only(name: str) -> bool:
    """True if a function of torch, by name, only gives numbers other places."""
    return name in _MOVING


def again(function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Callable[[Tensor], Tensor]:
    """What a function that only moves numbers does with another tensor of the same shape."""
    others = [torch.empty(one.shape, device="meta") if isinstance(one, Tensor) else one for one in args[1:]]
    return lambda tensor: function(tensor, *others, **kwargs)


def path_to(flow: DataFlow, value: Any) -> tuple[Any, list[fx.Node]]:
    """Where a value was computed, and the steps that have moved its numbers since."""
    steps: list[fx.Node] = []
    while isinstance(value, fx.Node) and value.args and _is_moving(flow, value):
        steps.insert(0, value)
        value = value.args[0]
    return value, steps


def _is_moving(flow: DataFlow, node: fx.Node) -> bool:
    if node.op == "call_module":
        return isinstance(flow.called(node), _MOVING_MODULES)
    return node.op in ("call_function", "call_method") and moves_only(name_of_step(node))


def axes_behind(flow: DataFlow, source: fx.Node, axis: int, steps: Sequence[fx.Node]) -> int | None:
    """How many axes a value has after some observed steps, if what lay along ``axis`` lies along axis 1 then.

    Returns:
        None where it does not, as numbered channels show that are sent the same way.
    """
    shape = source.meta[SHAPE]
    sent = _numbered(shape, axis)
    for step in steps:
        move = flow.called(step) or step.meta.get(AGAIN)
        if move is None:
            return None
        sent = move(sent)
    if sent.ndim < 2 or sent.shape[1] != shape[axis] or sent.dtype != torch.int64:
        return None
    return sent.ndim if torch.equal(sent, _numbered(sent.shape, 1)) else None


def _numbered(shape: Sequence[int], axis: int) -> Tensor:
    """Numbers that count along one axis."""
    along = [1] * len(shape)
    along[axis] = -1
    return torch.arange(shape[axis]).reshape(along).expand(*shape)
