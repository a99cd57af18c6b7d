"""Which products of a model run on arrays, which stay digital, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from crossohm.layers.report import CONVERTIBLE, ConversionReport, ReportedLayer, ReportedProduct, reported
from crossohm.torch.conversion.batchnorm import reported_norms, see
from crossohm.torch.conversion.kinds import is_convertible
from crossohm.torch.conversion.obstacles import multiplies, obstacle_of
from crossohm.torch.conversion.places import analog_places, separated
from crossohm.torch.conversion.places import sites as convertible_places
from crossohm.torch.conversion.products import ProductSite, digital_products, passed_by, product_sites, with_products
from crossohm.torch.conversion.trial import Trial, is_layer, try_out
from crossohm.torch.layers.layer import AnalogLayer
from crossohm.torch.products.derivation import Expression
from crossohm.torch.products.layer import AnalogProduct


def conversion_report(model: nn.Module, example: Any = None) -> ConversionReport:
    """Find out what of ``model`` runs on arrays, before or after conversion.

    Args:
        model: Digital or analog.
        example: An input of the model: a tensor, a tuple of positional inputs or a dictionary of keyword inputs. The
            model answers it, in eval mode, and the report says which layers its data reach, and which products other
            code computes digitally from the parameters of layers. Layers in arrays that are only read like that
            count as digital. Multiplications with weights are counted, and the report says which share of them is on
            arrays, or would be after a conversion with this example, where the others are, and why; parameters that
            meet no product are left out. Products that such a conversion puts on arrays have the names that they will
            have there. It also says which BatchNorms ``fuse_batchnorm=True`` folds, and why not the others.

    Raises:
        ParameterError: ``example`` is no input.
    """
    if example is None:
        return ConversionReport(tuple(_layers(model, set(), with_products(model), {})))
    model = separated(model)
    trial = try_out(model, example)
    # What is half on arrays is converted from its beginning.
    coming = [] if analog_places(model) else product_sites(model, trial)
    multiplied = with_products(model) | _multiplied(model, trial, coming)
    layers = _layers(model, set(), multiplied, _by_home(coming))
    passed = passed_by(model, trial)
    tried = [_tried(layer, model, trial, layer.name in passed) for layer in layers]
    shared = _shared(tried, model, coming)
    kept = (replace(layer, also=shared[layer.name]) for layer in tried if not _is_harmless(layer, model))
    others = tuple(
        f"{product}, shape {shape}" for shape, products in trial.strangers.items() for product in sorted(products)
    )
    norms = reported_norms(model, see(model, example))
    products = tuple(
        ReportedProduct(where, count, reason or CONVERTIBLE, not reason)
        for (where, reason), count in digital_products(model, trial).most_common()
    )
    return ConversionReport(tuple(kept), others, norms, products)


def _multiplied(model: nn.Module, trial: Trial, sites: Iterable[ProductSite]) -> set[int]:
    """Identities of the modules that products are to stand for, as `with_products` finds them after a conversion."""
    owners = {id(leaf.owner) for site in sites for leaf in site.expression.leaves()}
    homes = {id(model.get_submodule(site.name.rpartition(".")[0])) for site in sites}
    driven = {id(module) for name, module in convertible_places(model) if name in trial.reached}
    return (owners | homes) - driven


def _by_home(sites: Iterable[ProductSite]) -> dict[str, list[ReportedLayer]]:
    """Entries of products that a conversion puts on arrays, in their order, by the module they are to stand in."""
    found: dict[str, list[ReportedLayer]] = {}
    for site in sites:
        entry = ReportedLayer(site.name, AnalogProduct.__name__, (), 0, CONVERTIBLE, True, driven=True)
        found.setdefault(site.name.rpartition(".")[0], []).append(entry)
    return found


def _shared(
    layers: Iterable[ReportedLayer], model: nn.Module, sites: Iterable[ProductSite]
) -> dict[str, tuple[str, ...]]:
    """By name of a layer, the others that have the same weights in arrays, or would have them."""
    weights = {site.name: _weights_of(site.expression) for site in sites}
    for layer in layers:
        if layer.name in weights:
            continue
        module = model.get_submodule(layer.name)
        if isinstance(module, AnalogProduct):
            weights[layer.name] = _weights_of(module.expression)
        elif layer.convertible or isinstance(module, AnalogLayer):
            weights[layer.name] = {id(value) for value in module.parameters() if value.ndim > 1}
    names = [layer.name for layer in layers]
    return {
        name: tuple(o for o in names if o != name and weights.get(name, set()) & weights.get(o, set()))
        for name in names
    }


def _weights_of(expression: Expression) -> set[int]:
    return {id(leaf.value()) for leaf in expression.leaves() if leaf.is_parameter and leaf.value().ndim > 1}


def _is_harmless(layer: ReportedLayer, model: nn.Module) -> bool:
    """True for parameters that meet no product in the example: embeddings of positions, scales, normalisations."""
    if layer.convertible or not layer.reason or layer.readers:
        return False
    module = model.get_submodule(layer.name)
    return not (is_layer(module) or multiplies(module))


def _tried(layer: ReportedLayer, model: nn.Module, trial: Trial, is_passed: bool) -> ReportedLayer:
    """The entry with what a pass did with the layer; one that was passed by a conversion with this example leaves."""
    if layer.driven:
        return layer  # a product
    module = model.get_submodule(layer.name)
    readers = tuple(sorted(trial.readers_of(layer.name, module)))
    driven = layer.name in trial.reached if is_layer(module) else None
    if is_passed:
        layer = replace(layer, reason="no data reach it, its weights are used past it", convertible=False)
    elif readers and layer.reason and not (is_layer(module) or multiplies(module)):
        layer = replace(layer, reason="products of code with its parameters are digital, see below")
    return layer.tried(driven, readers, trial.analog.get(layer.name))


def _layers(
    module: nn.Module,
    seen: set[int],
    multiplied: Set[int],
    products: Mapping[str, Iterable[ReportedLayer]],
    name: str = "",
) -> Iterator[ReportedLayer]:
    """Every place of a digital layer, as each gets arrays of its own, every analog layer once, and products to come."""
    if isinstance(module, AnalogLayer):
        if id(module) in seen:
            return
        seen.add(id(module))
    convertible = is_convertible(module) and id(module) not in multiplied
    if id(module) not in multiplied or isinstance(module, AnalogLayer):
        yield from reported(name, module, convertible, obstacle_of)
    yield from products.get(name, ())
    whole = isinstance(module, nn.MultiheadAttention) and id(module) not in multiplied
    if convertible or whole or isinstance(module, AnalogLayer | torch.jit.ScriptModule):
        return
    for key, child in module._modules.items():
        if child is not None:
            yield from _layers(child, seen, multiplied, products, f"{name}.{key}" if name else key)
