"""Which layers' results all go to a ReLU: a trace of the model shows it, order of definition would not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from crossohm.torch.conversion.batchnorm import _evaluating, _Tracer
from crossohm.torch.conversion.folded import FoldedNorm
from crossohm.torch.layers.conv import AnalogConv1d, AnalogConv2d, AnalogConv3d
from crossohm.torch.layers.layer import AnalogLayer
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
    with _evaluating(model):
        try:
            graph = _Tracer().trace(model)
        except Exception:  # tracing runs the user's forward; whatever it raises means: unknown data flow
            return {}
    modules = dict(model.named_modules(remove_duplicate=False))
    calls: dict[int, list[fx.Node]] = {}
    for node in graph.nodes:
        if node.op == "call_module" and isinstance(modules[str(node.target)], AnalogLayer):
            calls.setdefault(id(modules[str(node.target)]), []).append(node)
    layers = {id(module): module for module in modules.values()}
    return {
        key: _floor(layers[key])
        for key, nodes in calls.items()
        if isinstance(layers[key], _KINDS)
        and not layers[key]._forward_hooks
        and all(_is_rectified(node, modules) for node in nodes)
    }


def _floor(layer: Any) -> Tensor:
    if layer.bias is None or layer.analog_bias:
        return layer.weight.new_zeros(layer.weight.shape[0])
    return -layer.bias.detach()


def _is_rectified(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    """True if every use of a value is a ReLU."""
    users = list(_users(node, modules))
    return bool(users) and all(_is_relu(user, modules) for user in users)


def _users(node: fx.Node, modules: dict[str, nn.Module]) -> Iterator[fx.Node]:
    """Who uses a value, behind modules that pass it on."""
    for user in node.users:
        if user.op == "call_module" and _passes_on(modules[str(user.target)]):
            yield from _users(user, modules)
        else:
            yield user


def _passes_on(module: nn.Module) -> bool:
    """True if a module's output is its input, whatever that is."""
    return isinstance(module, _TRANSPARENT) and not (isinstance(module, FoldedNorm) and not module.certain)


def _is_relu(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    if node.op == "call_module":
        return isinstance(modules[str(node.target)], _RELU_MODULES)
    return node.op in ("call_function", "call_method") and node.target in _RELU_CALLS
