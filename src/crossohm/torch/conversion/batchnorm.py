"""Folding BatchNorm into the layer before it, where the data flow proves that this changes nothing.

A trace of the model shows which normalisations are computed directly from the output of a linear or convolution layer
that nothing else uses. Order of definition would not do: a functional activation between the two is invisible to it.
A model that cannot be traced is observed while it answers an example. What no trace shows is looked up in an example,
too: which products a module's own code computes, where reshaping takes the channels, and how many axes inputs have; the
latter is else decided at every input by `FoldedNorm`, which stays where a normalisation was.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, final

import torch
from torch import Tensor, fx, nn

from crossohm.layers.given import users_level
from crossohm.layers.normalisation import folding_factors
from crossohm.layers.report import ReportedNorm
from crossohm.torch.conversion.dataflow import DataFlow, traced_flows, users_of
from crossohm.torch.conversion.folded import FoldedNorm, ShiftingNorm, is_norm, proper_axes
from crossohm.torch.conversion.normalisations import kind_of_norm, steps_behind
from crossohm.torch.conversion.observed import observed_on
from crossohm.torch.conversion.paths import SHAPE, axes_behind, path_to
from crossohm.torch.conversion.products import ProductSite, places_of
from crossohm.torch.conversion.receivers import LayerReceiver, Receiver, norm_behind, receiver_at
from crossohm.torch.layers.layer import AnalogLayer


@final
@dataclass(frozen=True)
class Seen:
    """What an example shows of a model.

    Attributes:
        model: The model.
        axes: How many axes the input of each BatchNorm1d has, by name. The other kinds take one number of axes each.
        graph: The data flow.
        names: Of the layers and products that can be put on arrays, in the order of a list of hardware.
        sites: The products of modules' own code.
    """

    model: nn.Module
    axes: Mapping[str, int]
    graph: fx.Graph
    names: tuple[str, ...]
    sites: tuple[ProductSite, ...]

    def sites_in(self, model: nn.Module) -> tuple[ProductSite, ...]:
        """The products of ``model``, whose modules have the same names."""
        table = {id(own): model.get_submodule(name) for name, own in self.model.named_modules()}
        return tuple(replace(site, expression=site.expression.moved(table)) for site in self.sites)


def see(model: nn.Module, example: Any) -> Seen | None:
    """What an example shows, in eval mode and without gradients; None for a model without BatchNorm.

    Args:
        model: The model.
        example: An input, see `try_out`.
    """
    axes: dict[str, int] = {}
    norms = {name: module for name, module in model.named_modules() if is_norm(module)}
    if not norms:
        return None
    with ExitStack() as hooks:
        for name, module in norms.items():
            if isinstance(module, nn.BatchNorm1d):
                hooks.enter_context(module.register_forward_pre_hook(_note_axes(axes, name)))
        graph = observed_on(model, example)
    places = places_of(model, example)
    return Seen(model, axes, graph, places.names, places.products)


def _note_axes(found: dict[str, int], name: str) -> Any:
    return lambda norm, inputs: found.__setitem__(name, inputs[0].ndim)


def fold_batchnorm(
    model: nn.Module, seen: Seen | None = None, wanted: Callable[[str], str] = lambda receiver: ""
) -> None:
    """Fold every BatchNorm of ``model`` that can be, in place, and put something there that checks its inputs.

    Running statistics are folded, so the result equals the model in eval mode. What stays digital although it is wanted
    is named in a RuntimeWarning with the reason.

    Args:
        model: The model.
        seen: What an example showed of it, or of another with the same names.
        wanted: What speaks against folding into a layer or product, by name; empty: nothing.
    """
    kept = {}
    for name, (norm, before, obstacle) in _all_before(model, seen).items():
        obstacle = obstacle if before is None else wanted(before.receiver.name)
        if before is None or obstacle:
            kept[name] = obstacle
        else:
            _replace(model, norm, _folded(before, norm, name, certain=seen is not None and name in seen.axes))
    if kept:
        reasons = "; ".join(f"{name or 'model'}: {reason}" for name, reason in kept.items())
        message = f"BatchNorm stays digital where folding might change the model: {reasons}"
        warnings.warn(message, RuntimeWarning, stacklevel=users_level())


def reported_norms(model: nn.Module, seen: Seen | None) -> tuple[ReportedNorm, ...]:
    """Every BatchNorm of ``model``, and what speaks against folding it; see `fold_batchnorm`."""
    return tuple(ReportedNorm(name, reason) for name, (_, _, reason) in _all_before(model, seen).items())


# --- what a normalisation follows -------------------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class _Before:
    """What a normalisation can be folded into.

    Attributes:
        receiver: Takes the factors.
        axes: How many axes the input of the normalisation has, where an example has to show which one is normalised;
            None: the receiver is a layer right before it.
    """

    receiver: Receiver
    axes: int | None


@final
@dataclass(frozen=True)
class _Way:
    """From what a normalisation can be folded into to the normalisation, in one data flow.

    Attributes:
        receiver: Takes the factors.
        source: Where it put out what is normalised.
        steps: What has moved the numbers since.
    """

    receiver: Receiver
    source: fx.Node
    steps: Sequence[fx.Node]


@final
@dataclass(frozen=True)
class _View:
    """What an example showed of a model.

    Attributes:
        flow: The data flow.
        sites: The products of modules' own code.
    """

    flow: DataFlow
    sites: tuple[ProductSite, ...]


def _all_before(model: nn.Module, seen: Seen | None) -> dict[str, tuple[nn.Module, _Before | None, str]]:
    """Every BatchNorm by name, and what it can be folded into, or what speaks against it."""
    norms = {name: module for name, module in model.named_modules() if is_norm(module)}
    if not norms:
        return {}
    view = None if seen is None else _View(DataFlow(seen.graph, model), seen.sites_in(model))
    flows, untraced = _flows(model, view)
    found: dict[str, tuple[nn.Module, _Before | None, str]] = {}
    for name, norm in norms.items():
        before, obstacle = (None, untraced) if untraced else _before(flows, view, model, norm)
        if before is not None and before.axes is None and seen and name in seen.axes:
            obstacle = _wrong_axis(seen.axes[name], before.receiver, norm)
        found[name] = (norm, None if obstacle else before, obstacle)
    return found


def _flows(model: nn.Module, view: _View | None) -> tuple[list[DataFlow], str]:
    """Every way of calling the model, as far as that is known, or why none is."""
    try:
        return traced_flows(model), ""
    except Exception as error:  # tracing runs the user's forward; whatever it raises means: no trace
        if view is not None:
            return [view.flow], ""
        return [], f"the model cannot be traced, and no example was given: {type(error).__name__}: {error}"


def _before(flows: list[DataFlow], view: _View | None, model: nn.Module, norm: Any) -> tuple[_Before | None, str]:
    """What a normalisation can be folded into however the model is called, or what speaks against it."""
    sites = None if view is None else view.sites
    ways = [_way(flow, model, norm, sites) for flow in flows]
    direct = all(isinstance(way, _Way) and _is_direct(way) for way in ways)
    if not direct and view is not None and view.flow not in flows:
        ways.append(_way(view.flow, model, norm, sites))
    obstacle = next((way for way in ways if isinstance(way, str)), "")
    if obstacle:
        return None, obstacle
    *_, last = found = [way for way in ways if isinstance(way, _Way)]
    if any(way.receiver.name != last.receiver.name for way in found):
        return None, "what it follows depends on how the model is called"
    if direct:
        return _Before(last.receiver, None), ""
    if view is None:
        return None, f"an example has to show where {last.steps[0].name} takes the outputs of {last.receiver.name}"
    axes = axes_behind(view.flow, last.source, last.receiver.axis(len(last.source.meta[SHAPE])), last.steps)
    if axes is None:
        return None, f"axis 1 of what it normalises is not that of the outputs of {last.receiver.name}"
    return _Before(last.receiver, axes), last.receiver.obstacle(_factors(norm)[0])


def _is_direct(way: _Way) -> bool:
    """True if a layer is right before the normalisation."""
    return isinstance(way.receiver, LayerReceiver) and not way.steps


def _way(flow: DataFlow, model: nn.Module, norm: Any, sites: tuple[ProductSite, ...] | None) -> _Way | str:
    """What a normalisation can be folded into in one data flow, or what speaks against it."""
    calls = flow.calls(norm)
    if len(calls) != 1:
        return f"used {len(calls)} times"
    source, steps = path_to(flow, calls[0].args[0] if calls[0].args else None)
    layer = flow.called(source)
    if isinstance(layer, AnalogLayer):
        return f"{source.target} is in arrays already; convert the digital model with fuse_batchnorm=True"
    receiver, obstacle = receiver_at(flow, model, source, sites)
    fits = steps or not isinstance(receiver, LayerReceiver) or kind_of_norm(norm) is norm_behind(receiver.layer)
    if not obstacle and (receiver is None or not fits):
        return f"does not directly follow a layer it can be folded into, but {_told(source, layer)}"
    if any(len(users_of(node)) != 1 for node in (source, *steps)) or (layer and len(flow.calls(layer)) != 1):
        return f"{source.target} or its output is also used elsewhere"
    if receiver is None or obstacle or _obstacle(norm):
        return _obstacle(norm) or obstacle
    return _channels_obstacle(receiver, norm) or _Way(receiver, source, steps)


def _told(source: Any, module: nn.Module | None) -> str:
    """What a normalisation follows, in words."""
    if module is not None:
        return f"{source.target} ({type(module).__name__})"
    if isinstance(source, fx.Node) and source.op != "placeholder":
        return str(getattr(source.target, "__name__", source.target))
    return "an input of the model" if source is not None else "something that was not seen"


def _obstacle(norm: Any) -> str:
    """What about a normalisation itself speaks against folding it."""
    if norm.running_mean is None or norm.running_var is None:
        return "it has no running statistics"
    if steps_behind(norm) is None:
        return f"the forward of {type(norm).__name__} does more than normalise and call modules of its own"
    return "hooks may change what passes" if norm._forward_hooks or norm._forward_pre_hooks else ""


def _channels_obstacle(receiver: Receiver, norm: Any) -> str:
    if len(norm.running_var) == receiver.channels:
        return ""
    return f"it normalises {len(norm.running_var)} channels, the layer before has {receiver.channels}"


def _wrong_axis(axes: int, receiver: Any, norm: nn.Module) -> str:
    kind = kind_of_norm(norm)
    assert kind is not None
    proper = proper_axes(receiver.layer, kind)
    return "" if axes == proper else f"it normalises axis 1 of {axes}, which is not that of the channels of its layer"


# --- folding ----------------------------------------------------------------------------------------------------------


def _folded(before: _Before, norm: Any, name: str, *, certain: bool) -> nn.Module:
    """Fold ``norm``; what stands in its place."""
    kind, behind, receiver = kind_of_norm(norm), steps_behind(norm), before.receiver
    assert kind is not None
    scale, shift = _factors(norm)
    left = receiver.take(scale, shift)
    if isinstance(receiver, LayerReceiver) and before.axes is None:
        folded: nn.Module = FoldedNorm(norm, kind, receiver.layer, name, scale, shift, certain=certain)
    else:
        folded = ShiftingNorm(norm, name, before.axes or 0, left)
    if not behind:
        return folded
    chain = nn.Sequential(OrderedDict([("norm", folded), *behind.items()]))
    chain.training = norm.training
    return chain


@torch.no_grad()
def _factors(norm: Any) -> tuple[Tensor, Tensor]:
    """What a normalisation multiplies each channel by, and what it adds then, ``(channels,)``, in double precision."""
    inverse = (norm.running_var.double() + norm.eps).rsqrt()
    return folding_factors(inverse, norm.running_mean.double(), _double(norm.weight), _double(norm.bias))


def _double(value: Tensor | None) -> Tensor | None:
    return None if value is None else value.double()


def _replace(model: nn.Module, old: nn.Module, new: nn.Module) -> None:
    """Put ``new`` wherever ``old`` is registered."""
    for parent in model.modules():
        for name, child in list(parent._modules.items()):
            if child is old:
                setattr(parent, name, new)
