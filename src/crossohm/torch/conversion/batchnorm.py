"""Folding BatchNorm into the layer before it, where the data flow proves that this changes nothing.

A trace of the model shows which normalisations are computed directly from the output of a linear or convolution layer
that nothing else uses. Order of definition would not do: a functional activation between the two is invisible to it.
A model that cannot be traced is observed while it answers an example. What no trace shows, how many axes the inputs
have, is looked up in an example, too, or decided at every input by `FoldedNorm`, which stays where a normalisation was.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import fx, nn
from torch.nn.modules.conv import _ConvTransposeNd

from crossohm.layers.given import users_level
from crossohm.layers.normalisation import folded_bias, folding_factors
from crossohm.layers.report import ReportedNorm
from crossohm.torch.conversion.dataflow import DataFlow, is_step, traced_flows, users_of
from crossohm.torch.conversion.folded import FoldedNorm, is_norm, proper_axes
from crossohm.torch.conversion.normalisations import kind_of_norm, steps_behind
from crossohm.torch.conversion.observed import observed
from crossohm.torch.layers.derived import inherits_forward
from crossohm.torch.layers.layer import AnalogLayer

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


@final
@dataclass(frozen=True)
class Seen:
    """What an example shows of a model.

    Attributes:
        axes: How many axes the input of each BatchNorm1d has, by name. The other kinds take one number of axes each.
        graph: The data flow.
    """

    axes: Mapping[str, int]
    graph: fx.Graph


def see(model: nn.Module, run: Callable[[nn.Module], object]) -> Seen | None:
    """What ``run(model)`` shows, in eval mode and without gradients; None for a model without BatchNorm."""
    axes: dict[str, int] = {}
    norms = {name: module for name, module in model.named_modules() if is_norm(module)}
    if not norms:
        return None
    with ExitStack() as hooks:
        for name, module in norms.items():
            if isinstance(module, nn.BatchNorm1d):
                hooks.enter_context(module.register_forward_pre_hook(_note_axes(axes, name)))
        return Seen(axes, observed(model, run, is_step))


def _note_axes(found: dict[str, int], name: str) -> Any:
    return lambda norm, inputs: found.__setitem__(name, inputs[0].ndim)


def fold_batchnorm(
    model: nn.Module, seen: Seen | None = None, wanted: Callable[[nn.Module], str] = lambda layer: ""
) -> None:
    """Fold every BatchNorm of ``model`` that can be, in place, and put a `FoldedNorm` where it was.

    Running statistics are folded, so the result equals the model in eval mode. What stays digital although it is wanted
    is named in a RuntimeWarning with the reason.

    Args:
        model: The model.
        seen: What an example showed of it.
        wanted: What speaks against folding into a layer; empty: nothing.
    """
    kept = {}
    for name, (norm, layer, obstacle) in _layers_before(model, seen).items():
        obstacle = obstacle or wanted(layer)
        if obstacle:
            kept[name] = obstacle
        else:
            _replace(model, norm, _folded(layer, norm, name, certain=seen is not None and name in seen.axes))
    if kept:
        reasons = "; ".join(f"{name or 'model'}: {reason}" for name, reason in kept.items())
        message = f"BatchNorm stays digital where folding might change the model: {reasons}"
        warnings.warn(message, RuntimeWarning, stacklevel=users_level())


def reported_norms(model: nn.Module, seen: Seen | None) -> tuple[ReportedNorm, ...]:
    """Every BatchNorm of ``model``, and what speaks against folding it; see `fold_batchnorm`."""
    return tuple(ReportedNorm(name, reason) for name, (_, _, reason) in _layers_before(model, seen).items())


def _layers_before(model: nn.Module, seen: Seen | None) -> dict[str, tuple[nn.Module, Any, str]]:
    """Every BatchNorm by name, and the layer it can be folded into, or what speaks against it."""
    norms = {name: module for name, module in model.named_modules() if is_norm(module)}
    if not norms:
        return {}
    flows, untraced = _flows(model, seen)
    found: dict[str, tuple[nn.Module, Any, str]] = {}
    for name, norm in norms.items():
        layer, obstacle = (None, untraced) if untraced else _layer_before(flows, model, norm)
        if not obstacle and seen and name in seen.axes:
            obstacle = _wrong_axis(seen.axes[name], layer, norm)
        found[name] = (norm, layer, obstacle)
    return found


def _flows(model: nn.Module, seen: Seen | None) -> tuple[list[DataFlow], str]:
    """Every way of calling the model, as far as that is known, or why none is."""
    try:
        return traced_flows(model), ""
    except Exception as error:  # tracing runs the user's forward; whatever it raises means: no trace
        if seen is not None:
            return [DataFlow(seen.graph, model)], ""
        return [], f"the model cannot be traced, and no example was given: {type(error).__name__}: {error}"


def _folded(layer: nn.Module, norm: nn.Module, name: str, *, certain: bool) -> nn.Module:
    """Fold ``norm`` into ``layer``; what stands in its place."""
    kind, behind = kind_of_norm(norm), steps_behind(norm)
    assert kind is not None
    folded = FoldedNorm(norm, kind, layer, name, *_fold(layer, norm), certain=certain)
    if not behind:
        return folded
    chain = nn.Sequential(OrderedDict([("norm", folded), *behind.items()]))
    chain.training = norm.training
    return chain


def _foldable_before(flow: DataFlow, model: nn.Module, norm: nn.Module) -> tuple[Any, str]:
    """The layer a normalisation can be folded into, or what speaks against it."""
    calls = flow.calls(norm)
    if len(calls) != 1:
        return None, f"used {len(calls)} times"
    source: Any = calls[0].args[0] if calls[0].args else None
    layer = flow.called(source)
    if isinstance(layer, AnalogLayer):
        return None, f"{source.target} is in arrays already; convert the digital model with fuse_batchnorm=True"
    if layer is None or kind_of_norm(norm) is not _norm_behind(layer):
        return None, f"does not directly follow a layer it can be folded into, but {_told(source, layer)}"
    if len(flow.calls(layer)) != 1 or len(users_of(source)) != 1:
        return None, f"{source.target} or its output is also used elsewhere"
    return layer, _obstacle(flow, model, layer, norm)


def _norm_behind(layer: nn.Module) -> type[nn.Module] | None:
    """Which normalisation sees the outputs of a layer along its channel axis, if it works as one of torch's does."""
    kinds = (kind for kind in FOLDABLE if isinstance(layer, kind) and inherits_forward(type(layer), kind))
    return FOLDABLE.get(next(kinds, type(layer)))


def _told(source: Any, module: nn.Module | None) -> str:
    """What a normalisation follows, in words."""
    if module is not None:
        return f"{source.target} ({type(module).__name__})"
    if isinstance(source, fx.Node) and source.op != "placeholder":
        return str(getattr(source.target, "__name__", source.target))
    return "an input of the model" if source is not None else "something that was not seen"


def _obstacle(flow: DataFlow, model: nn.Module, layer: Any, norm: Any) -> str:
    if norm.running_mean is None or norm.running_var is None:
        return "it has no running statistics"
    if steps_behind(norm) is None:
        return f"the forward of {type(norm).__name__} does more than normalise and call modules of its own"
    outputs = layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels
    if len(norm.running_var) != outputs:
        return f"it normalises {len(norm.running_var)} channels, the layer before has {outputs}"
    if any(module._forward_hooks or module._forward_pre_hooks for module in (layer, norm)):
        return "hooks may change what passes"
    if layer._parameters.get("weight") is None or _is_shared(flow, model, layer):
        return "the layer before has shared or computed weights"
    return ""


def _is_shared(flow: DataFlow, model: nn.Module, layer: nn.Module) -> bool:
    """True if another module, or the model's own code, uses a parameter of ``layer``."""
    own = {id(p) for p in layer.parameters()}
    owners = sum(bool(own & {id(p) for p in m.parameters(recurse=False)}) for m in model.modules())
    paths = [name for name, m in model.named_modules(remove_duplicate=False) if m is layer]
    return owners > 1 or any(map(flow.reads_inside, paths))


def _layer_before(flows: list[DataFlow], model: nn.Module, norm: nn.Module) -> tuple[Any, str]:
    """The layer a normalisation can be folded into however the model is called, or what speaks against it."""
    found = [_foldable_before(flow, model, norm) for flow in flows]
    obstacle = next((reason for _, reason in found if reason), "")
    return found[0][0], obstacle


def _wrong_axis(axes: int, layer: nn.Module, norm: nn.Module) -> str:
    kind = kind_of_norm(norm)
    assert kind is not None
    proper = proper_axes(layer, kind)
    return "" if axes == proper else f"it normalises axis 1 of {axes}, which is not that of the channels of its layer"


@torch.no_grad()
def _fold(layer: Any, norm: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """``W' = s W``, ``b' = s (b - mean) + beta`` with ``s = gamma / sqrt(var + eps)``, computed in double precision.

    Returns:
        ``s``, and ``beta - s mean``.
    """
    weight = layer.weight
    inverse = (norm.running_var.double() + norm.eps).rsqrt()
    scale, shift = folding_factors(inverse, norm.running_mean.double(), _double(norm.weight), _double(norm.bias))
    bias = folded_bias(_double(layer.bias), scale, shift)
    weight.copy_(weight.double() * _along_outputs(scale, layer))
    if layer.bias is None:
        layer.bias = nn.Parameter(bias.to(weight.dtype), requires_grad=weight.requires_grad)
    else:
        layer.bias.copy_(bias)
    layer.batchnorm_folded = True
    return scale, shift


def _double(value: torch.Tensor | None) -> torch.Tensor | None:
    return None if value is None else value.double()


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
