"""What a conversion makes of each layer of a model, from what the user chose."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, final

from crossohm.errors import ParameterError
from crossohm.layers.array_layer import ArrayLayer
from crossohm.layers.given import users_level, warn_of_edits
from crossohm.layers.hardware import CalibratedHardware, Hardware, calibrated_foldings
from crossohm.layers.patterns import choice_of_layers, choice_of_some

#: What users choose: one for all layers, a list with one per layer, or a table of name patterns.
HardwareChoice = Hardware | Sequence[Hardware] | Mapping[str, Hardware]
#: Why BatchNorm stays digital where others are folded.
_UNFOLDED = "the hardware of the layer before was not calibrated for it"


@final
@dataclass(frozen=True)
class Conversion:
    """What becomes of one layer.

    Attributes:
        name: Of its cores.
        hardware: As the user gave it.
        bias_rows: Matrix columns per bias.
        grouping: How grouped convolutions are stored; None: as the kind does by default.
    """

    name: str
    hardware: Hardware
    bias_rows: int
    grouping: str | None


def conversions(
    names: Sequence[str], params: HardwareChoice, bias_rows: Any, grouping: Any, within: str
) -> dict[str, Conversion]:
    """What becomes of each layer that does not stay digital.

    Args:
        names: Convertible layers; one with an empty name is the model itself.
        params: Chosen hardware.
        bias_rows: Chosen numbers of matrix columns that hold the bias.
        grouping: Chosen ways to store grouped convolutions.
        within: Place of the model in the network it is a part of.

    Raises:
        ParameterError: a list has the wrong length.
        UnknownNameError: a pattern matches no layer.

    Warns:
        RuntimeWarning: calibrated hardware lacks some of the layers.
    """
    hardware = hardware_of_layers(names, params)
    _report_undescribed(params, names)
    rows = choice_of_layers("bias_rows", bias_rows, names)
    groupings = choice_of_layers("grouping", grouping, names)
    return {
        place: Conversion(
            ".".join(filter(None, (within, place))), hardware[place], rows.get(place, 0), groupings.get(place)
        )
        for place in names
        if place in hardware
    }


def hardware_of_layers(names: Sequence[str], params: HardwareChoice) -> dict[str, Any]:
    """What was chosen for each layer; for a model that is a layer itself, a list is one per array, not per layer."""
    return {"": params} if list(names) == [""] else choice_of_layers("params", params, names)


def known_foldings(names: Sequence[str], params: HardwareChoice, fuse: bool | None) -> dict[str, set[bool]] | None:
    """Whether BatchNorm was folded into each layer when its hardware was calibrated; empty where that is not known.

    Args:
        names: Convertible layers.
        params: Chosen hardware.
        fuse: What the user says about folding; None: as the hardware was calibrated.

    Returns:
        None where nothing is to be folded at all.

    Raises:
        ParameterError: ``fuse`` is none of True, False and None.
    """
    if fuse is False or list(names) == [""]:
        return None
    if fuse not in (None, True, False):
        raise ParameterError("fuse_batchnorm", fuse, "says nothing", allowed="True, False, None")
    chosen = choice_of_some(params, names)
    known = {name: calibrated_foldings(chosen.get(name)) for name in names}
    return known if fuse or any(True in found for found in known.values()) else None


def may_fold(params: HardwareChoice, fuse: bool | None) -> bool:
    """False where `known_foldings` is None whatever layers there are."""
    described = params.values() if isinstance(params, Mapping) else (params,)
    return fuse is True or (fuse is None and any(True in calibrated_foldings(one) for one in described))


def folding_obstacle(known: set[bool], fuse: bool | None) -> str:
    """What speaks against folding into a layer of which `known_foldings` knows that; empty: nothing."""
    missing = set() if fuse else {False}
    return _UNFOLDED if False in (known or missing) else ""


def _report_undescribed(params: HardwareChoice, names: Sequence[str]) -> None:
    """Warn of layers that calibrated hardware knows nothing of: the model is not the one that was calibrated."""
    if not isinstance(params, CalibratedHardware):
        return
    left = [name for name in names if name not in params]
    if left:
        message = (
            f"the calibrated hardware describes {', '.join(params)}, and not {', '.join(left)}: these stay digital. "
            "Calibrate this model, or pass a plain dict(...) if that is meant"
        )
        warnings.warn(message, RuntimeWarning, stacklevel=users_level())


def warn_of_zeros(layers: Mapping[str, ArrayLayer]) -> None:
    """Warn of what grouped convolutions cost whose groups share arrays.

    Args:
        layers: The analog layers of a model by name.
    """
    matrices = {name: layer._matrices for name, layer in layers.items()}
    zeros = {name: sum(one.layout.zeros_between_groups for one in held) for name, held in matrices.items()}
    dense = [name for name, count in zeros.items() if count]
    if not dense:
        return
    total = sum(prod(one.layout.shape) for name in dense for one in matrices[name])
    spent = sum(zeros.values())
    which = ", ".join(map(repr, dense)) if dense != [""] else "the layer"
    message = (
        f"grouping = 'dense' programs {spent:,} zeros between the groups of {which}: {total:,} matrix entries in all, "
        f"and {total - spent:,} with grouping = 'per_group', the default"
    )
    warnings.warn(message, RuntimeWarning, stacklevel=users_level())


def reinitialize_layers(layers: Mapping[str, ArrayLayer], seed: int | None, params: HardwareChoice) -> None:
    """Put layers on another chip, and on other hardware if some is given; see ``reinitialize`` of the front ends.

    Args:
        layers: By name.
        seed: The chip; None: the one that follows.
        params: One description, a list with one per layer, or a table of name patterns; None: each keeps its own.
    """
    given = hardware_of_layers(list(layers), params)
    warn_of_edits({name: layer._given for name, layer in layers.items() if given.get(name) is None})
    for name, layer in layers.items():
        layer.reinitialize(seed, given.get(name))


def physical_choices(physical: bool | Sequence[bool | str], layers: Mapping[str, ArrayLayer]) -> dict[int, bool]:
    """Whether each layer's weights are those its arrays hold, by the layer's identity.

    Args:
        physical: One choice, one per layer, or the names of the layers.
        layers: By name.

    Raises:
        ParameterError: a list has the wrong length, or a name is that of no analog layer.
    """
    if isinstance(physical, bool):
        chosen = [physical] * len(layers)
    elif physical and all(isinstance(item, str) for item in physical):
        for item in physical:
            if item not in layers:
                raise ParameterError("physical_weights", item, "is no analog layer", allowed=", ".join(layers))
        chosen = [name in physical for name in layers]
    else:
        chosen = [bool(item) for item in physical]
    if len(chosen) != len(layers):
        raise ParameterError(
            "physical_weights",
            f"list of {len(chosen)}",
            f"the model has {len(layers)} analog layers",
            allowed=f"True, False, a list of {len(layers)}, or names of layers",
        )
    return {id(layer): held for layer, held in zip(layers.values(), chosen, strict=True)}
