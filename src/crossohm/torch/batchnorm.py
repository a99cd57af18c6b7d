"""Folding BatchNorm into the layer before it, where the data flow proves that this changes nothing.

A trace of the model shows which normalisations are computed directly from the output of a linear or convolution layer
that nothing else uses. Order of definition would not do: a functional activation between the two is invisible to it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvTransposeNd

from crossohm.torch.layer import AnalogLayer

#: Which normalisation sees the outputs of which layer along its channel axis.
FOLDABLE: dict[type[nn.Module], type[nn.Module]] = {
    nn.Linear: nn.BatchNorm1d,
    nn.Conv1d: nn.BatchNorm1d,
    nn.Conv2d: nn.BatchNorm2d,
    nn.Conv3d: nn.BatchNorm3d,
    nn.ConvTranspose1d: nn.BatchNorm1d,
    nn.ConvTranspose2d: nn.BatchNorm2d,
    nn.ConvTranspose3d: nn.BatchNorm3d,
}


def fold_batchnorm(model: nn.Module) -> None:
    """Fold every BatchNorm of ``model`` that can be, in place, and put `torch.nn.Identity` where it was.

    Running statistics are folded, so the result equals the model in eval mode. A BatchNorm1d after a linear layer is
    taken to see vectors, ``(batch, features)``. What stays digital is named in a RuntimeWarning with the reason.
    """
    norms = {name: module for name, module in model.named_modules() if isinstance(module, _BatchNorm)}
    if not norms:
        return
    kept = {}
    try:
        flow = _DataFlow(model)
    except Exception as error:  # tracing runs the user's forward; whatever it raises means: unknown data flow
        kept = dict.fromkeys(norms, f"the model cannot be traced: {type(error).__name__}: {error}")
    else:
        for name, norm in norms.items():
            layer, obstacle = flow.layer_before(norm)
            if obstacle:
                kept[name] = obstacle
                continue
            _fold(layer, norm)
            _replace(model, norm, nn.Identity().train(norm.training))
    if kept:
        reasons = "; ".join(f"{name or 'model'}: {reason}" for name, reason in kept.items())
        message = f"BatchNorm stays digital where folding might change the model: {reasons}"
        warnings.warn(message, RuntimeWarning, stacklevel=3)


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, AnalogLayer) or super().is_leaf_module(m, module_qualified_name)


class _DataFlow:
    """Which module feeds which, in eval mode."""

    def __init__(self, model: nn.Module) -> None:
        with _evaluating(model):
            graph = _Tracer().trace(model)
        self._model = model
        self._attributes = [str(node.target) for node in graph.nodes if node.op == "get_attr"]
        self._calls: dict[int, list[fx.Node]] = {}
        self._modules: dict[fx.Node, nn.Module] = {}
        for node in graph.nodes:
            if node.op == "call_module":
                module = model.get_submodule(str(node.target))
                self._modules[node] = module
                self._calls.setdefault(id(module), []).append(node)

    def layer_before(self, norm: nn.Module) -> tuple[Any, str]:
        """The layer a normalisation can be folded into, or what speaks against it."""
        calls = self._calls.get(id(norm), [])
        if len(calls) != 1:
            return None, f"used {len(calls)} times"
        source: Any = calls[0].args[0] if calls[0].args else None
        layer = self._modules.get(source)
        if layer is None or type(norm) is not FOLDABLE.get(type(layer)):
            return None, "does not directly follow a layer it can be folded into"
        if len(self._calls[id(layer)]) != 1 or len(source.users) != 1:
            return None, f"{source.target} or its output is also used elsewhere"
        return layer, self._obstacle(layer, norm)

    def _obstacle(self, layer: Any, norm: Any) -> str:
        if norm.running_mean is None or norm.running_var is None:
            return "it has no running statistics"
        outputs = layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels
        if norm.num_features != outputs:
            return f"it normalises {norm.num_features} channels, the layer before has {outputs}"
        if any(module._forward_hooks or module._forward_pre_hooks for module in (layer, norm)):
            return "hooks may change what passes"
        if layer._parameters.get("weight") is None or self._is_shared(layer):
            return "the layer before has shared or computed weights"
        return ""

    def _is_shared(self, layer: nn.Module) -> bool:
        """True if another module, or the model's own code, uses a parameter of ``layer``."""
        own = {id(p) for p in layer.parameters()}
        owners = sum(bool(own & {id(p) for p in m.parameters(recurse=False)}) for m in self._model.modules())
        paths = [name for name, m in self._model.named_modules(remove_duplicate=False) if m is layer]
        return owners > 1 or any(a.startswith(path + ".") for path in paths for a in self._attributes)


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode inside the block, every module's own mode again afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@torch.no_grad()
def _fold(layer: Any, norm: Any) -> None:
    """``W' = s W``, ``b' = s (b - mean) + beta`` with ``s = gamma / sqrt(var + eps)``, computed in double precision."""
    weight = layer.weight
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.double()
    bias = -norm.running_mean.double() if layer.bias is None else layer.bias.double() - norm.running_mean.double()
    bias = bias * scale
    if norm.bias is not None:
        bias = bias + norm.bias.double()
    weight.copy_(weight.double() * _along_outputs(scale, layer))
    if layer.bias is None:
        layer.bias = nn.Parameter(bias.to(weight.dtype), requires_grad=weight.requires_grad)
    else:
        layer.bias.copy_(bias)


def _along_outputs(scale: torch.Tensor, layer: Any) -> torch.Tensor:
    """A number per output channel, shaped to multiply the weight of ``layer``."""
    rest = (1,) * (layer.weight.ndim - 2)
    if not isinstance(layer, _ConvTransposeNd):
        return scale.reshape(-1, 1, *rest)
    rows = scale.reshape(layer.groups, -1).repeat_interleave(layer.in_channels // layer.groups, dim=0)
    return rows.reshape(*rows.shape, *rest)


def _replace(model: nn.Module, old: nn.Module, new: nn.Module) -> None:
    """Put ``new`` wherever ``old`` is registered."""
    for parent in model.modules():
        for name, child in list(parent._modules.items()):
            if child is old:
                setattr(parent, name, new)
