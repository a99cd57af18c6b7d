"""What loaders give, as the arguments of a network's forward."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from crossohm.backends import backend_of, is_array
from crossohm.errors import InputError
from crossohm.layers.batches import Call, Forward, in_parts


def forward_of(module: nn.Module) -> Forward:
    """How a network is shown batches."""
    return Forward(
        type(module).__name__, module.forward, "forward", lambda value: in_parts(value, lambda v: _converted(v, module))
    )


def only_tensor(call: Call) -> Tensor | None:
    """The input, if it is one tensor of inputs and there is nothing else."""
    alone = len(call.inputs) == 1 and not call.named and isinstance(call.inputs[0], Tensor) and call.inputs[0].ndim
    return call.inputs[0] if alone else None


def _converted(value: Any, module: nn.Module) -> Any:
    """An array as a tensor where the module is, and of its dtype if it is a measured quantity; others as they are."""
    like = next((p for p in module.parameters() if p.is_floating_point()), torch.zeros(0))
    if isinstance(value, nn.utils.rnn.PackedSequence):
        return value.to(like.device, like.dtype) if value.data.is_floating_point() else value.to(like.device)
    if not (isinstance(value, Tensor) or (is_array(value) and hasattr(value, "ndim"))):
        return value
    tensor = value if isinstance(value, Tensor) else _tensor(backend_of(value).to_numpy(value))
    measured = tensor.is_floating_point() or tensor.dtype is torch.uint8
    return tensor.to(like) if measured else tensor.to(like.device)


def _tensor(host: NDArray[Any]) -> Tensor:
    """A tensor, sharing memory where torch can."""
    try:
        return torch.from_numpy(np.require(host, requirements=["C", "W"]))
    except (TypeError, ValueError) as error:
        raise InputError(f"an input of dtype {host.dtype} is nothing torch can compute with: {error}") from None
