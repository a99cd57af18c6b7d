"""Hardware of a layer: one description for all its arrays, one per array, or such for each of its matrices.

Users write nested lists; `layer_hardware` is the one place that says what a list means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, final

from crossohm.errors import ParameterError
from crossohm.params import CrossSimParameters


@final
class PerArray(list[CrossSimParameters]):
    """One description for each physical array of a matrix, output partitions outermost."""


@final
class PerMatrix(list[CrossSimParameters | PerArray]):
    """The hardware of each matrix of a layer."""


#: Of one matrix.
MatrixHardware = CrossSimParameters | PerArray
#: Of one layer.
LayerHardware = MatrixHardware | PerMatrix
#: What users give: one description, a list with one per array (of every matrix), or a list with such a list for each
#: matrix of the layer; None, where layers are made: ideal.
Hardware = CrossSimParameters | Sequence[CrossSimParameters | Sequence[CrossSimParameters]] | None


@final
class CalibratedHardware(dict[str, LayerHardware]):
    """The description of every layer of the network that was calibrated, by name.

    Front ends warn where a network has other layers; a plain ``dict`` of some of them is a choice.
    """


def layer_hardware(given: Any, place: str = "params") -> LayerHardware:
    """What a user means; descriptions are not copied.

    Args:
        given: See `Hardware`; something must be given.
        place: Where it was given, for messages.

    Raises:
        ParameterError: something in it is no description.
    """
    if not isinstance(given, list | tuple):
        return _description(given, place)
    parts = [_of_matrix(part, f"{place}[{index}]") for index, part in enumerate(given)]
    if any(isinstance(part, PerArray) for part in parts):
        return PerMatrix(parts)
    return PerArray(part for part in parts if isinstance(part, CrossSimParameters))


def own_hardware(given: Hardware) -> LayerHardware:
    """A copy of what a user means, if a layer can run on it; None means ideal hardware.

    Raises:
        ParameterError: something in it is no description, or describes complex weights or inputs.
    """
    hardware = layer_hardware(CrossSimParameters() if given is None else given)
    for params in descriptions(hardware):
        for path in ("core.complex_matrix", "core.complex_input"):
            if params.get(path):
                raise ParameterError(path, True, "weights and inputs of analog layers are real", allowed="False")
    return each(hardware, CrossSimParameters.copy)


def descriptions(given: Any) -> Iterator[CrossSimParameters]:
    """Every description in what a user gave, in order; whatever is none is left out."""
    if isinstance(given, CrossSimParameters):
        yield given
    elif isinstance(given, list | tuple):
        for part in given:
            yield from descriptions(part)


def numbered(name: str, hardware: LayerHardware) -> Iterator[tuple[str, CrossSimParameters]]:
    """Every description of a layer called ``name``, with numbers behind the name where there are several."""
    if isinstance(hardware, CrossSimParameters):
        yield name, hardware
        return
    for index, part in enumerate(hardware):
        yield from numbered(name if len(hardware) == 1 else f"{name}[{index}]", part)


def each(hardware: LayerHardware, change: Callable[[CrossSimParameters], CrossSimParameters]) -> LayerHardware:
    """The same hardware with every description changed."""
    if isinstance(hardware, PerMatrix):
        return PerMatrix(_each_array(part, change) for part in hardware)
    return _each_array(hardware, change)


def hardware_of_matrices(hardware: LayerHardware, count: int) -> list[MatrixHardware]:
    """The part of a layer's hardware that each of its ``count`` matrices has.

    Raises:
        ParameterError: there are lists for another number of matrices.
    """
    if not isinstance(hardware, PerMatrix):
        return [hardware] * count
    if len(hardware) != count:
        problem = f"the layer has {count} matrices" if count > 1 else "the layer has one matrix"
        allowed = f"one description, a list with one per array, or {count} of them, one for each matrix"
        raise ParameterError("params", f"list of {len(hardware)} lists", problem, allowed=allowed)
    return list(hardware)


def calibrated_foldings(given: Any) -> set[bool]:
    """Whether BatchNorm was folded when the ranges of descriptions were found; empty where that is not known."""
    found = (params.batchnorm_folded for params in descriptions(given))
    return {folded for folded in found if folded is not None}


def hardware_as_data(hardware: LayerHardware) -> Any:
    """The hardware as lists and dictionaries."""
    return [hardware_as_data(part) for part in hardware] if isinstance(hardware, list) else hardware.as_dict()


def hardware_from_data(data: Any) -> LayerHardware:
    """Inverse of `hardware_as_data`."""
    return layer_hardware(_read(data))


def _of_matrix(given: Any, place: str) -> MatrixHardware:
    if not isinstance(given, list | tuple):
        return _description(given, place)
    return PerArray(_description(part, f"{place}[{index}]") for index, part in enumerate(given))


def _description(given: Any, place: str) -> CrossSimParameters:
    if isinstance(given, CrossSimParameters):
        return given
    raise ParameterError(
        place,
        given,
        f"a {type(given).__name__} is no hardware description",
        allowed="CrossSimParameters, a list of them (one per array), or a list of such lists (one per matrix)",
        remedy="CrossSimParameters.from_json reads a file or a preset" if isinstance(given, str) else "",
    )


def _each_array(hardware: MatrixHardware, change: Callable[[CrossSimParameters], CrossSimParameters]) -> MatrixHardware:
    return PerArray(map(change, hardware)) if isinstance(hardware, PerArray) else change(hardware)


def _read(data: Any) -> Any:
    return [_read(part) for part in data] if isinstance(data, list) else CrossSimParameters(**data)
