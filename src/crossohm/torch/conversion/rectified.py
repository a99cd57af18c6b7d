"""Which layers' results all go to a ReLU: a trace of the model shows it, order of definition would not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from crossohm.torch.conversion.dataflow import DataFlow, trace
from crossohm.torch.conversion.folded import FoldedNorm
from crossohm.torch.layers.conv import AnalogConv1d, AnalogConv2d, AnalogConv3d
from crossohm.torch.layers.linear import AnalogLinear

_KINDS = (AnalogLinear, AnalogConv1d, AnalogConv2d, AnalogConv3d)
#: Modules that pass on what they get, in eval mode.
_TRANSPARENT = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)
_RELU_MODULES = (nn.ReLU, nn.ReLU6)
_RELU_CALLS = (torch.relu, torch.relu_, F.relu, F.relu_, F.relu6, "relu", "relu_")


def floors_of(model: nn.Module) -> dict[int, Tensor]:
    """Smallest core output that has an effect, ``(outputs,)``, by the identity of layers followed by a ReLU only.

    It is minus the bias that is added digitally. A model that cannot be traced has no such layers as far as is known.
    """
    try:
        flow = DataFlow(trace(model), model)
    except Exception:  # tracing runs the user's forward; whatever it raises means: unknown data flow
        return {}
    layers = [module for module in model.modules() if isinstance(module, _KINDS) and not module._forward_hooks]
    return {
        id(layer): _floor(layer)
        for layer in layers
        if flow.calls(layer) and all(_is_rectified(node, flow) for node in flow.calls(layer))
    }


def _floor(layer: Any) -> Tensor:
    if layer.bias is None or layer.analog_bias:
        return layer.weight.new_zeros(layer.weight.shape[0])
    return -layer.bias.detach()


def _is_rectified(node: fx.Node, flow: DataFlow) -> bool:
    """True if every use of a value is a ReLU."""
    users = list(_users(node, flow))
    return bool(users) and all(_is_relu(user, flow) for user in users)


def _users(node: fx.Node, flow: DataFlow) -> Iterator[fx.Node]:
    """Who uses a value, behind modules that pass it on."""
    for user in node.users:
        module = flow.called(user)
        if module is not None and _passes_on(module):
            yield from _users(user, flow)
        else:
            yield user


def _passes_on(module: nn.Module) -> bool:
    """True if a module's output is its input, whatever that is."""
    return isinstance(module, _TRANSPARENT) and not (isinstance(module, FoldedNorm) and not module.certain)


def _is_relu(node: fx.Node, flow: DataFlow) -> bool:
    module = flow.called(node)
    if module is not None:
        return isinstance(module, _RELU_MODULES)
    return node.op in ("call_function", "call_method") and node.target in _RELU_CALLS
