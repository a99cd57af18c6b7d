"""The places of a model's layers: the names of the models and layers around each, and its own, joined by dots.

A layer that is used several times is one layer, with one set of arrays, under the name of its first place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras

from crossohm.keras.conversion.kinds import is_convertible
from crossohm.keras.layers.layer import AnalogLayer


def children(layer: Any) -> dict[str, Any]:
    """The layers directly inside of a layer or model, by name; a number follows names that are there already."""
    inside = layer.layers if isinstance(layer, keras.Model) else layer._flatten_layers(False, recursive=False)
    found: dict[str, Any] = {}
    for child in inside:
        name, number = child.name, 1
        while name in found:
            number += 1
            name = f"{child.name}_{number}"
        found[name] = child
    return found


def places(model: Any, is_whole: Callable[[Any], bool]) -> Iterator[tuple[str, Any]]:
    """Every layer of ``model`` once, itself included, by name, parents first; the inside of some is left out."""
    seen: set[int] = set()

    def visit(layer: Any, name: str) -> Iterator[tuple[str, Any]]:
        if id(layer) in seen:
            return
        seen.add(id(layer))
        yield name, layer
        if not is_whole(layer):
            for key, child in children(layer).items():
                yield from visit(child, f"{name}.{key}" if name else key)

    yield from visit(model, "")


def is_layer(layer: Any) -> bool:
    """True if a layer is, or can be, on arrays as a whole."""
    return isinstance(layer, AnalogLayer) or is_convertible(layer)


def sites(model: Any) -> dict[str, Any]:
    """Everything convertible, by name, in order of definition."""
    return {name: layer for name, layer in places(model, is_layer) if is_convertible(layer)}


def analog_places(model: Any) -> dict[str, AnalogLayer]:
    """The analog layers by name, in order of definition."""
    return {name: layer for name, layer in places(model, is_layer) if isinstance(layer, AnalogLayer)}
