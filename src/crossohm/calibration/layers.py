"""Hardware descriptions of layers, and of the matrices that layers have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from crossohm.calibration.network import LayerHardware
from crossohm.errors import ParameterError, ShapeError, UnknownNameError, UnsupportedError
from crossohm.layers.patterns import choice_of_layers
from crossohm.params import CrossSimParameters

#: One description for all layers, one per layer, or a table of name patterns in which the first match decides.
Described = CrossSimParameters | Sequence[LayerHardware] | Mapping[str, LayerHardware]


def by_layer(params: Described, names: Sequence[str]) -> dict[str, LayerHardware]:
    """The description of every layer.

    Raises:
        ParameterError: something else than a description is given.
        ShapeError: a list is not one description per layer.
        UnknownNameError: a pattern of a table matches no layer, or a layer has none that matches.
    """
    for place, given in params.items() if isinstance(params, Mapping) else [("", params)]:
        _require_descriptions(f"params[{place!r}]" if place else "params", given)
    if isinstance(params, list | tuple) and len(params) != len(names):
        raise ShapeError(f"{len(params)} hardware descriptions for {len(names)} layers: {', '.join(names)}")
    found = choice_of_layers("params", params, names)
    for name in names:
        if name not in found:
            raise UnknownNameError("params", name, "is not described", allowed=", ".join(names))
    return found


def _require_descriptions(place: str, given: object) -> None:
    """Refuse what is no description and no collection of such."""
    if isinstance(given, list | tuple):
        for index, part in enumerate(given):
            _require_descriptions(f"{place}[{index}]", part)
    elif not isinstance(given, CrossSimParameters):
        raise ParameterError(
            place, given, "is no hardware description", allowed="CrossSimParameters, one per layer, or a table",
            remedy="CrossSimParameters.from_json reads a file or a preset" if isinstance(given, str) else "",
        )  # fmt: skip


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
    several = [list(one) if isinstance(one, list | tuple) else [one] for one in given]
    if len(several) != len(matrices) or any(len(one) != 1 for one in several):
        raise UnsupportedError(
            f"layer {layer!r} has descriptions for single arrays; ranges are found for matrices, so give one "
            "description per layer, or a list of one for each of its matrices"
        )
    return dict(zip(matrices, (one[0] for one in several), strict=True))


def of_layer(matrices: Iterable[CrossSimParameters]) -> LayerHardware:
    """The description of a layer from those of its matrices."""
    own = list(matrices)
    return own[0] if len(own) == 1 else [[params] for params in own]
