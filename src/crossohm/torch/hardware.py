"""Hardware of a layer: one description for all its arrays, one per array, or a list for each of its matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crossohm.errors import ParameterError
from crossohm.params import CrossSimParameters

#: What users give: one description, a list with one per array (of every matrix), or a list with such a list for each
#: matrix of the layer; None: ideal.
Hardware = CrossSimParameters | Sequence[CrossSimParameters | Sequence[CrossSimParameters]] | None
#: Of one matrix: one description, or one per array.
MatrixHardware = CrossSimParameters | list[CrossSimParameters]
#: What a layer keeps.
LayerHardware = MatrixHardware | list[MatrixHardware]


def own_hardware(params: Any, depth: int = 2) -> Any:
    """A copy of the description, if a layer can run on it.

    Args:
        params: See `Hardware`.
        depth: How many lists may be inside one another.
    """
    if params is None:
        return CrossSimParameters()
    if isinstance(params, list | tuple) and depth:
        return [own_hardware(item, depth - 1) for item in params]
    _require_real_hardware(params)
    return params.copy()


def hardware_of_matrices(params: Any, count: int) -> list[MatrixHardware]:
    """The part of a layer's hardware that each of its ``count`` matrices has.

    Raises:
        ParameterError: there are lists for another number of matrices.
    """
    if not isinstance(params, list) or not any(isinstance(item, list) for item in params):
        return [params] * count
    if len(params) != count:
        problem = f"the layer has {count} matrices" if count > 1 else "the layer has one matrix"
        allowed = f"one description, a list with one per array, or {count} of them, one for each matrix"
        raise ParameterError("params", f"list of {len(params)} lists", problem, allowed=allowed)
    return params


def calibrated_foldings(params: Any) -> set[bool]:
    """Whether BatchNorm was folded when the ranges of a description were found; empty where that is not known."""
    if isinstance(params, list | tuple):
        return {one for item in params for one in calibrated_foldings(item)}
    found = params.batchnorm_folded if isinstance(params, CrossSimParameters) else None
    return set() if found is None else {found}


def hardware_as_data(params: Any) -> Any:
    """The description as lists and dictionaries."""
    return [hardware_as_data(item) for item in params] if isinstance(params, list) else params.as_dict()


def hardware_from_data(data: Any) -> Any:
    """Inverse of `hardware_as_data`."""
    return [hardware_from_data(item) for item in data] if isinstance(data, list) else CrossSimParameters(**data)


def _require_real_hardware(params: Any) -> None:
    if not isinstance(params, CrossSimParameters):
        raise ParameterError(
            "params",
            type(params).__name__,
            "is no hardware description",
            allowed="CrossSimParameters, a list of them (one per array), or None for ideal hardware",
        )
    for path in ("core.complex_matrix", "core.complex_input"):
        if params.get(path):
            raise ParameterError(path, True, "weights and inputs of analog layers are real", allowed="False")
