"""Which products of a model run on arrays, which stay digital, and why."""

from __future__ import annotations

from collections.abc import Iterator, Set
from typing import Any

import torch
from torch import nn

from crossohm.layers.report import ConversionReport, ReportedLayer, ReportedProduct, reported
from crossohm.torch.conversion.batchnorm import reported_norms, see
from crossohm.torch.conversion.kinds import is_convertible
from crossohm.torch.conversion.obstacles import multiplies, obstacle_of
from crossohm.torch.conversion.products import with_products
from crossohm.torch.conversion.trial import Trial, is_layer, try_out
from crossohm.torch.layers.layer import AnalogLayer


def conversion_report(model: nn.Module, example: Any = None) -> ConversionReport:
    """Find out what of ``model`` runs on arrays, before or after conversion.

    Args:
        model: Digital or analog.
        example: An input of the model: a tensor, a tuple of positional inputs or a dictionary of keyword inputs. The
            model answers it, in eval mode, and the report says which layers its data reach, and which products other
            code computes digitally from the parameters of layers. Layers in arrays that are only read like that
            count as digital. Multiplications with weights are counted, and the report says which share of them is on
            arrays, and where the others are; parameters that meet no product are left out. It also says which
            BatchNorms ``fuse_batchnorm=True`` folds, and why not the others.

    Raises:
        ParameterError: ``example`` is no input.
    """
    layers = tuple(_layers(model, set(), with_products(model)))
    if example is None:
        return ConversionReport(layers)
    trial = try_out(model, example)
    others = tuple(
        f"{product}, shape {shape}" for shape, products in trial.strangers.items() for product in sorted(products)
    )
    norms = reported_norms(model, see(model, example))
    products = tuple(ReportedProduct(where, count) for where, count in trial.digital.most_common())
    tried = (_tried(layer, model, trial) for layer in layers)
    return ConversionReport(tuple(layer for layer in tried if not _is_harmless(layer, model)), others, norms, products)


def _is_harmless(layer: ReportedLayer, model: nn.Module) -> bool:
    """True for parameters that meet no product in the example: embeddings of positions, scales, normalisations."""
    module = model.get_submodule(layer.name)
    return bool(layer.reason) and not (layer.readers or is_layer(module) or multiplies(module))


def _tried(layer: ReportedLayer, model: nn.Module, trial: Trial) -> ReportedLayer:
    """The entry with what a pass did with the layer."""
    module = model.get_submodule(layer.name)
    readers = tuple(sorted(trial.readers_of(layer.name, module)))
    driven = layer.name in trial.reached if is_layer(module) else None
    return layer.tried(driven, readers, trial.analog.get(layer.name))


def _layers(module: nn.Module, seen: set[int], multiplied: Set[int], name: str = "") -> Iterator[ReportedLayer]:
    """Every place of a digital layer, as each gets arrays of its own, and every analog layer once."""
    if isinstance(module, AnalogLayer):
        if id(module) in seen:
            return
        seen.add(id(module))
    convertible = is_convertible(module) and id(module) not in multiplied
    if id(module) not in multiplied or isinstance(module, AnalogLayer):
        yield from reported(name, module, convertible, obstacle_of)
    if convertible or isinstance(module, AnalogLayer | nn.MultiheadAttention | torch.jit.ScriptModule):
        return
    for key, child in module._modules.items():
        if child is not None:
            yield from _layers(child, seen, multiplied, f"{name}.{key}" if name else key)
