"""The places of a model's layers: which there are, and modules that stand in several of them.

A module registered under two names is two layers on hardware, each with arrays of its own. So every place gets a module
of its own before it is converted, and its containers as well; parameters stay common. On the way back they are one
module again.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from crossohm.torch.conversion.aliases import follow
from crossohm.torch.conversion.kinds import is_convertible
from crossohm.torch.layers.layer import AnalogLayer

#: Attribute of modules that were one: a number they have in common.
_ORIGIN = "_crossohm_origin"


def sites(module: nn.Module, name: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Name and module of everything convertible, depth first. Unlike torch's iterators, repeats are kept."""
    if is_convertible(module):
        yield name, module
        return
    for key, child in module._modules.items():
        if child is not None:
            yield from sites(child, f"{name}.{key}" if name else key)


def analog_places(model: nn.Module) -> dict[str, AnalogLayer]:
    """The analog layers by name, in order of definition. One that is registered under several names is one layer."""
    return {name: module for name, module in model.named_modules() if isinstance(module, AnalogLayer)}


def copy_of(model: nn.Module, memo: dict[int, Any] | None = None) -> Any:
    """A deep copy, also of models that hold tensors computed from parameters, as pruned layers do."""
    found = {} if memo is None else memo
    seen: set[int] = set()
    for module in model.modules():
        for value in (*vars(module).values(), *module._buffers.values()):
            found.update(
                (id(tensor), tensor.detach().clone()) for tensor in _computed(value, seen) if id(tensor) not in found
            )
    return copy.deepcopy(model, found)


def _computed(value: Any, seen: set[int]) -> Iterator[Tensor]:
    """Tensors that autograd knows as results, in nested lists, tuples and dictionaries that were not ``seen``."""
    if isinstance(value, Tensor) and not value.is_leaf:
        yield value
    elif (type(value) is dict or isinstance(value, list | tuple)) and id(value) not in seen:
        seen.add(id(value))
        for item in value.values() if isinstance(value, dict) else value:
            yield from _computed(item, seen)


def separate(model: nn.Module) -> None:
    """Give every place of a convertible module, and of what contains one, a module of its own, in place.

    Parameters, and modules without anything convertible inside (normalisations, say), stay common.
    """
    holding = {id(module) for module in model.modules() if next(sites(module), None) is not None}
    holding |= {id(part) for _, module in sites(model) for part in module.modules()}
    seen: set[int] = set()

    def visit(parent: nn.Module) -> None:
        for key, child in parent._modules.items():
            if child is None or id(child) not in holding:
                continue
            if id(child) in seen:
                child = parent._modules[key] = _twin(child, model, holding)
            seen.add(id(child))
            if not is_convertible(child):
                visit(child)

    visit(model)


def separated(model: nn.Module) -> nn.Module:
    """``model``, or a copy of it that is `separate` if layers have several places."""
    places = [id(module) for _, module in sites(model)]
    if len(set(places)) == len(places):
        return model
    twin: nn.Module = copy_of(model)
    separate(twin)
    return twin


def is_twin(layer: nn.Module, other: nn.Module) -> bool:
    """True if two layers were one module in two places, see `separate`."""
    origin = vars(layer).get(_ORIGIN)
    return origin is not None and origin == vars(other).get(_ORIGIN)


def _twin(module: nn.Module, model: nn.Module, holding: set[int]) -> nn.Module:
    """A copy of ``module`` in which only what holds something convertible is new."""
    inside = {id(part) for part in module.modules()} & holding
    kept = [*module.parameters(), *module.buffers(), *(part for part in model.modules() if id(part) not in inside)]
    twin = copy_of(module, {id(value): value for value in kept})
    for old, new in zip(list(module.modules()), list(twin.modules()), strict=True):
        if new is not old:
            holding.add(id(new))
            vars(new)[_ORIGIN] = vars(old).setdefault(_ORIGIN, id(old))
    return twin


def merge(model: nn.Module) -> None:
    """Undo `separate`, in place, where modules that were one still are the same."""
    merged: dict[int, nn.Module] = {}
    firsts: dict[int, list[nn.Module]] = {}

    def visit(parent: nn.Module) -> None:
        for key, child in parent._modules.items():
            if child is None:
                continue
            if id(child) not in merged:
                visit(child)
                origin = vars(child).get(_ORIGIN)
                twins = firsts.setdefault(origin, []) if origin is not None else []
                merged[id(child)] = next((twin for twin in twins if _same(twin, child)), child)
                twins.append(child)
            parent._modules[key] = merged[id(child)]

    visit(model)
    follow(model, {key: module for key, module in merged.items() if id(module) != key})
    for module in model.modules():
        vars(module).pop(_ORIGIN, None)


def _same(left: nn.Module, right: nn.Module) -> bool:
    """True if two modules that were one can be one again: nothing of them differs that a layer computes with."""
    return (
        type(left) is type(right)
        and left.training == right.training
        and left._modules == right._modules
        and left._parameters.keys() == right._parameters.keys()
        and all(value is right._parameters[key] for key, value in left._parameters.items())
        and left._buffers.keys() == right._buffers.keys()
        and all(_equal(value, right._buffers[key]) for key, value in left._buffers.items())
    )


def _equal(left: Tensor | None, right: Tensor | None) -> bool:
    return left is right or (left is not None and right is not None and torch.equal(left, right))
