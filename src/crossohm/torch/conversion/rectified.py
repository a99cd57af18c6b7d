"""Which layers' results all go to a ReLU: the data flow shows it, order of definition would not."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from crossohm.torch.conversion.dataflow import DataFlow, trace, users_of
from crossohm.torch.conversion.folded import FoldedNorm
from crossohm.torch.layers.conv import AnalogConv1d, AnalogConv2d, AnalogConv3d
from crossohm.torch.layers.linear import AnalogLinear

_KINDS = (AnalogLinear, AnalogConv1d, AnalogConv2d, AnalogConv3d)
#: Modules that pass on what they get, in eval mode.
_TRANSPARENT = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)
_RELU_MODULES = (nn.ReLU, nn.ReLU6)
_RELU_CALLS = (torch.relu, torch.relu_, F.relu, F.relu_, F.relu6, "relu", "relu_")


def floors_of(model: nn.Module, observed: fx.Graph | None = None) -> dict[int, Tensor]:
    """Smallest core output that has an effect, ``(outputs,)``, by the identity of layers followed by a ReLU only.

    It is minus the bias that is added digitally.

    Args:
        model: The model.
        observed: What an example showed of it, or of the digital model it was made from, whose modules have the same
            names. Without it a trace shows the data flow; a model that cannot be traced then has no such layers as far
            as is known.
    """
    flow = _traced(model) if observed is None else DataFlow(observed, model)
    if flow is None:
        return {}
    layers = [module for module in model.modules() if isinstance(module, _KINDS) and not module._forward_hooks]
    return {
        id(layer): _floor(layer)
        for layer in layers
        if flow.calls(layer) and all(_is_rectified(node, flow) for node in flow.calls(layer))
    }


def _traced(model: nn.Module) -> DataFlow | None:
    try:
        return DataFlow(trace(model), model)
    except Exception:  # tracing runs the user's forward; whatever it raises means: unknown data flow
        return None


def _floor(layer: Any) -> Tensor:
    if layer.bias is None or layer.analog_bias:
        return layer.weight.new_zeros(layer.weight.shape[0])
    return -layer.bias.detach()


def _is_rectified(node: fx.Node, flow: DataFlow) -> bool:
    """True if every use of a value is a ReLU, behind modules that pass it on."""
    users = users_of(node)
    return bool(users) and all(_rectifies(user, flow) for user in users)


def _rectifies(user: fx.Node, flow: DataFlow) -> bool:
    module = flow.called(user)
    if module is None:
        return user.op in ("call_function", "call_method") and user.target in _RELU_CALLS
    # A normalisation that was folded may have left a chain where the graph has one module.
    parts = [*module.children()] if isinstance(module, nn.Sequential) else [module]
    rest = [part for part in parts if not _passes_on(part)]
    return isinstance(rest[0], _RELU_MODULES) if rest else _is_rectified(user, flow)


def _passes_on(module: nn.Module) -> bool:
    """True if a module's output is its input, whatever that is."""
    return isinstance(module, _TRANSPARENT) and not (isinstance(module, FoldedNorm) and not module.certain)
