"""Folding BatchNorm into the layer before it, where the model shows that this changes nothing."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from crossohm.flax.conversion.dataflow import DataFlow
from crossohm.flax.conversion.places import places, replace
from crossohm.flax.layers.layer import AnalogLayer
from crossohm.layers.batches import Call
from crossohm.layers.given import users_level
from crossohm.layers.normalisation import folded_bias, folding_factors

#: Layers whose kernels have their outputs along the last axis.
_FOLDABLE = (nnx.Linear, nnx.Conv)


@final
class FoldedNorm(nnx.Module):
    """In the place of a BatchNorm that was folded into the layer before it: passes on what it gets."""

    def __call__(self, x: Any, use_running_average: bool | None = None, *, mask: Any = None) -> Any:
        """Return ``x``."""
        return x


def fold_batchnorm(model: Any, example: Call | None = None, wanted: Callable[[Any], str] = lambda layer: "") -> Any:
    """A copy of ``model`` in which every BatchNorm that can be is folded.

    Running statistics are folded, so the copy answers as the model at inference. What stays digital although it is
    wanted is named in a RuntimeWarning with the reason.

    Args:
        model: The model; it is not changed.
        example: Arguments of its call. Without them only what `nnx.Sequential` says is known.
        wanted: What speaks against folding into a layer, by its name; empty: nothing.
    """
    twin = nnx.clone(model)
    modules, kept, folded = dict(places(twin)), dict[str, str](), set[int]()
    for name, (layer, obstacle) in norms_of(model, example).items():
        obstacle = obstacle or wanted(layer)
        if obstacle:
            kept[name] = obstacle
        else:
            _fold(modules[layer], modules[name])
            folded.add(id(modules[name]))
    if kept:
        reasons = "; ".join(f"{name or 'model'}: {reason}" for name, reason in kept.items())
        message = f"BatchNorm stays digital where folding might change the model: {reasons}"
        warnings.warn(message, RuntimeWarning, stacklevel=users_level())
    return replace(twin, lambda module: FoldedNorm() if id(module) in folded else module)


def norms_of(model: Any, example: Call | None = None) -> dict[str, tuple[str, str]]:
    """Every BatchNorm by name, with the layer it can be folded into, or what speaks against that."""
    modules = dict(places(model))
    norms = [name for name, module in modules.items() if isinstance(module, nnx.BatchNorm)]
    if not norms:
        return {}
    before = _following(model, modules) if example is None else _traced(model, example)
    uses = Counter(id(value) for _, module in nnx.iter_modules(model) for value in _variables(module))
    found = {}
    for name in norms:
        layer, obstacle, axes = before(name)
        obstacle = obstacle or _obstacle(layer, modules[layer], modules[name], axes, uses)
        found[name] = layer, obstacle
    return found


def _traced(model: Any, example: Call) -> Callable[[str], tuple[str, str, int]]:
    flow = DataFlow(model, example)

    def before(name: str) -> tuple[str, str, int]:
        return ("", "it is told which statistics to use", 0) if name in flow.told else flow.before(name)

    return before


def _following(model: Any, modules: dict[str, Any]) -> Callable[[str], tuple[str, str, int]]:
    """As `DataFlow.before`, as far as chains of layers say it by themselves."""
    names = {id(module): name for name, module in modules.items()}
    holders = Counter(id(part) for _, module in nnx.iter_modules(model) for part in _parts(module))
    chains = [list(module.layers) for module in modules.values() if type(module) is nnx.Sequential]
    pairs = {id(after): layer for chain in chains for layer, after in pairwise(chain)}

    def before(name: str) -> tuple[str, str, int]:
        norm = modules[name]
        if id(norm) not in pairs:
            return "", "what it follows is shown by an example only: give one", 0
        layer = pairs[id(norm)]
        if not isinstance(layer, _FOLDABLE):
            return "", "does not directly follow a layer it can be folded into", 0
        if holders[id(norm)] > 1 or holders[id(layer)] > 1:
            return "", f"{names[id(layer)]} or its output is also used elsewhere", 0
        return names[id(layer)], "", 0

    return before


def _obstacle(name: str, layer: Any, norm: Any, axes: int, uses: Counter[int]) -> str:
    if type(norm) is not nnx.BatchNorm:
        return "it is of a class of its own"
    if isinstance(layer, AnalogLayer):
        return f"{name} is on arrays already: convert the digital model with fuse_batchnorm=True"
    if type(layer) not in _FOLDABLE:
        return "does not directly follow a layer it can be folded into"
    if norm.axis not in (-1, axes - 1 or -1):
        return f"it normalises axis {norm.axis}, which is not that of the outputs of {name}"
    if any(uses[id(value)] > 1 for value in (*_variables(layer), *_variables(norm))):
        return f"{name} or it shares parameters"
    return ""


def _fold(layer: Any, norm: Any) -> None:
    """``W' = s W``, ``b' = s (b - mean) + beta``, ``s = gamma / sqrt(var + eps)``, in place."""
    inverse = 1 / np.sqrt(_double(norm.var) + norm.epsilon)
    gamma, beta = (None if one is None else _double(one) for one in (norm.scale, norm.bias))
    scale, shift = folding_factors(inverse, _double(norm.mean), gamma, beta)
    bias = folded_bias(None if layer.bias is None else _double(layer.bias), scale, shift)
    kernel = layer.kernel.get_value()
    layer.kernel.set_value(jnp.asarray(_double(layer.kernel) * scale, kernel.dtype))
    layer.bias = nnx.Param(jnp.asarray(bias, kernel.dtype))
    layer.use_bias = layer.batchnorm_folded = True


def _double(variable: Any) -> np.ndarray:
    return np.asarray(variable.get_value(), np.float64)


def _variables(module: Any) -> Iterator[Any]:
    return (value for value in vars(module).values() if isinstance(value, nnx.Variable))


def _parts(module: Any) -> Iterator[Any]:
    """Modules directly inside of a module or of its containers."""
    for value in vars(module).values():
        yield from (part for part in jax.tree.leaves(value, is_leaf=_is_module) if _is_module(part))


def _is_module(value: Any) -> bool:
    return isinstance(value, nnx.Module)
