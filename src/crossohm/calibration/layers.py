"""Hardware descriptions of layers, and of the matrices that layers have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from crossohm.errors import ShapeError, UnknownNameError, UnsupportedError
from crossohm.layers.hardware import Hardware, LayerHardware, PerArray, PerMatrix, layer_hardware
from crossohm.layers.patterns import choice_of_layers
from crossohm.params import CrossSimParameters

#: One description for all layers, one per layer, or a table of name patterns in which the first match decides.
Described = CrossSimParameters | Sequence[Hardware] | Mapping[str, Hardware]


def by_layer(params: Described, names: Sequence[str]) -> dict[str, LayerHardware]:
    """The description of every layer.

    Raises:
        ParameterError: something else than a description is given.
        ShapeError: a list is not one description per layer.
        UnknownNameError: a pattern of a table matches no layer, or a layer has none that matches.
    """
    described = _decoded(params)
    if isinstance(described, list) and len(described) != len(names):
        raise ShapeError(f"{len(described)} hardware descriptions for {len(names)} layers: {', '.join(names)}")
    found = choice_of_layers("params", described, names)
    for name in names:
        if name not in found:
            raise UnknownNameError("params", name, "is not described", allowed=", ".join(names))
    return found


def _decoded(params: Described) -> LayerHardware | list[LayerHardware] | dict[str, LayerHardware]:
    if isinstance(params, Mapping):
        return {pattern: layer_hardware(given, f"params[{pattern!r}]") for pattern, given in params.items()}
    if isinstance(params, list | tuple):
        return [layer_hardware(given, f"params[{index}]") for index, given in enumerate(params)]
    return layer_hardware(params)


def matrices_of(layer: str, cores: Iterable[str]) -> list[str]:
    """Which of the cores belong to a layer, by their names."""
    return [name for name in cores if name == layer or name.startswith(f"{layer}.")]


def by_matrix(layer: str, given: LayerHardware, matrices: Sequence[str]) -> dict[str, CrossSimParameters]:
    """The description of every matrix of a layer.

    Raises:
        UnsupportedError: there is one for each array.
    """
    if isinstance(given, CrossSimParameters):
        return dict.fromkeys(matrices, given)
    several = [one if isinstance(one, PerArray) else [one] for one in given]
    if len(several) != len(matrices) or any(len(one) != 1 for one in several):
        raise UnsupportedError(
            f"layer {layer!r} has descriptions for single arrays; ranges are found for matrices, so give one "
            "description per layer, or a list of one for each of its matrices"
        )
    return dict(zip(matrices, (one[0] for one in several), strict=True))


def of_layer(matrices: Iterable[CrossSimParameters]) -> LayerHardware:
    """The description of a layer from those of its matrices."""
    own = list(matrices)
    return own[0] if len(own) == 1 else PerMatrix(PerArray([params]) for params in own)
