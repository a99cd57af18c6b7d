"""Which products of a model run on arrays, which stay digital, and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

from torch import nn
from torch.nn.utils.parametrize import ParametrizationList, is_parametrized

from crossohm.torch.kinds import ANALOG_KINDS, is_convertible
from crossohm.torch.layer import AnalogLayer

#: Modules with matrix products.
MULTIPLYING = (nn.Linear, nn.modules.conv._ConvNd, nn.RNNBase, nn.RNNCellBase, nn.Bilinear, nn.MultiheadAttention)
_LOOKUPS = (nn.Embedding, nn.EmbeddingBag, ParametrizationList)


@final
@dataclass(frozen=True)
class ReportedLayer:
    """A layer with weights.

    Attributes:
        name: Place in the model.
        kind: Its class.
        shapes: Matrices it holds in arrays, ``(outputs, inputs with bias columns)`` each; empty if it is digital.
        arrays: Physical arrays they occupy.
        reason: Why it is digital; empty if it is analog.
        convertible: True if `from_torch` can convert it.
    """

    name: str
    kind: str
    shapes: tuple[tuple[int, int], ...]
    arrays: int
    reason: str
    convertible: bool


@final
@dataclass(frozen=True)
class ConversionReport:
    """The layers with weights of a model, in order of definition; prints as a table.

    Attributes:
        layers: All of them.
    """

    layers: tuple[ReportedLayer, ...]

    @property
    def analog(self) -> tuple[ReportedLayer, ...]:
        """Layers in arrays."""
        return tuple(layer for layer in self.layers if not layer.reason)

    @property
    def digital(self) -> tuple[ReportedLayer, ...]:
        """Layers that stay digital."""
        return tuple(layer for layer in self.layers if layer.reason)

    def __str__(self) -> str:
        lines = [f"{len(self.analog)} layers in arrays, {len(self.digital)} digital"]
        for layer in self.layers:
            shapes = ", ".join(f"{rows} x {columns}" for rows, columns in layer.shapes)
            where = layer.reason or f"{shapes} in {layer.arrays} arrays"
            lines.append(f"  {layer.name or '(model)'} ({layer.kind}): {where}")
        return "\n".join(lines)


def conversion_report(model: nn.Module) -> ConversionReport:
    """Find out what of ``model`` runs on arrays, before or after conversion."""
    return ConversionReport(tuple(_layers(model, set())))


def _layers(module: nn.Module, seen: set[int], name: str = "") -> Iterator[ReportedLayer]:
    """Every place of a digital layer, as each gets arrays of its own, and every analog layer once."""
    if isinstance(module, AnalogLayer):
        if id(module) in seen:
            return
        seen.add(id(module))
        cores = [matrix.built for matrix in module.matrices]
        shapes = tuple((core.shape[0], core.shape[1]) for core in cores)
        yield ReportedLayer(name, type(module).__name__, shapes, sum(len(core.arrays) for core in cores), "", False)
        return
    convertible = is_convertible(module)
    reason = "it can be converted" if convertible else _obstacle(module)
    if reason:
        yield ReportedLayer(name, type(module).__name__, (), 0, reason, convertible)
    if convertible or isinstance(module, nn.MultiheadAttention):
        return
    for key, child in module._modules.items():
        if child is not None:
            yield from _layers(child, seen, f"{name}.{key}" if name else key)


def _obstacle(module: nn.Module) -> str:
    """Why a layer that is not convertible stays digital; empty if it has no weights."""
    if isinstance(module, MULTIPLYING):
        if is_parametrized(module) or type(module) in ANALOG_KINDS:
            return "its weights are computed, not parameters: remove the parametrization first"
        base = next((kind.__name__ for kind in type(module).__mro__ if kind in ANALOG_KINDS), None)
        if base is not None:
            return f"only {base} itself is converted: register an analog kind for this subclass"
        return "no analog kind stands for it: register one"
    own = [key for key, parameter in module.named_parameters(recurse=False) if parameter.ndim > 1]
    if own and not isinstance(module, _LOOKUPS):
        return f"unknown what it does with its {', '.join(own)}: register an analog kind if it multiplies"
    return ""
