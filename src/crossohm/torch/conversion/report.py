"""Which products of a model run on arrays, which stay digital, and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, final

import torch
from torch import nn

from crossohm.torch.conversion.kinds import is_convertible
from crossohm.torch.conversion.obstacles import obstacle_of
from crossohm.torch.conversion.trial import Trial, is_layer, try_out
from crossohm.torch.layers.layer import AnalogLayer


@final
@dataclass(frozen=True)
class ReportedLayer:
    """A layer with weights.

    Attributes:
        name: Place in the model.
        kind: Its class.
        shapes: Matrices it holds in arrays, ``(outputs, inputs with bias columns)`` each; empty if it has none.
        arrays: Physical arrays they occupy.
        reason: Why its products are digital; empty if they are analog.
        convertible: True if `from_torch` can convert it.
        driven: Whether data of the example reached it; None without an example, and for modules of unknown kinds.
        readers: Digital products that other code computed with its parameters for the example.
    """

    name: str
    kind: str
    shapes: tuple[tuple[int, int], ...]
    arrays: int
    reason: str
    convertible: bool
    driven: bool | None = None
    readers: tuple[str, ...] = ()

    def __str__(self) -> str:
        shapes = ", ".join(f"{rows} x {columns}" for rows, columns in self.shapes)
        where = [f"{shapes} in {self.arrays} arrays"] if self.shapes else []
        where += [self.reason] if self.reason else []
        if self.driven is False and not self.readers:
            where.append("not reached by the example")
        if self.readers and (self.driven or not self.shapes):
            where.append(_read_by(self.readers))
        return f"{self.name or '(model)'} ({self.kind}): {'; '.join(where)}"


@final
@dataclass(frozen=True)
class ConversionReport:
    """The layers with weights of a model, in order of definition; prints as a table.

    Attributes:
        layers: All of them.
        others: Digital products of the example with parameters that no module of the model has.
    """

    layers: tuple[ReportedLayer, ...]
    others: tuple[str, ...] = ()

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
        lines += [f"  {layer}" for layer in self.layers]
        lines += [f"  digital, with parameters of no module: {product}" for product in self.others]
        return "\n".join(lines)


def conversion_report(model: nn.Module, example: Any = None) -> ConversionReport:
    """Find out what of ``model`` runs on arrays, before or after conversion.

    Args:
        model: Digital or analog.
        example: An input of the model: a tensor, a tuple of positional inputs or a dictionary of keyword inputs. The
            model answers it, in eval mode, and the report says which layers its data reach, and which products other
            code computes digitally from the parameters of layers. Layers in arrays that are only read like that
            count as digital.

    Raises:
        ParameterError: ``example`` is no input.
    """
    layers = tuple(_layers(model, set()))
    if example is None:
        return ConversionReport(layers)
    trial = try_out(model, example)
    others = tuple(
        f"{product}, shape {shape}" for shape, products in trial.strangers.items() for product in sorted(products)
    )
    return ConversionReport(tuple(_tried(layer, model, trial) for layer in layers), others)


def _tried(layer: ReportedLayer, model: nn.Module, trial: Trial) -> ReportedLayer:
    """The entry with what a pass did with the layer."""
    module = model.get_submodule(layer.name)
    readers = tuple(sorted(trial.readers_of(layer.name, module)))
    driven = layer.name in trial.reached if is_layer(module) else None
    passed_by = bool(layer.shapes and readers and not driven)
    reason = f"its arrays are not used: {_read_by(readers)}" if passed_by else layer.reason
    return replace(layer, reason=reason, driven=driven, readers=readers)


def _read_by(readers: tuple[str, ...]) -> str:
    return f"read digitally by {', '.join(readers)}"


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
    reason = "it can be converted" if convertible else obstacle_of(module)
    if reason:
        yield ReportedLayer(name, type(module).__name__, (), 0, reason, convertible)
    if convertible or isinstance(module, nn.MultiheadAttention | torch.jit.ScriptModule):
        return
    for key, child in module._modules.items():
        if child is not None:
            yield from _layers(child, seen, f"{name}.{key}" if name else key)
