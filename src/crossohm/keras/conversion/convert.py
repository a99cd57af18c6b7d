"""Whole models: Keras to analog and back."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from crossohm.errors import CrossOhmError
from crossohm.keras.conversion.batchnorm import fold_batchnorm
from crossohm.keras.conversion.copies import copy_of
from crossohm.keras.conversion.kinds import ANALOG_KINDS
from crossohm.keras.conversion.places import analog_places, is_layer, places, sites
from crossohm.keras.conversion.rebuilt import require_faithful
from crossohm.keras.conversion.report import reported_layers, require_layers
from crossohm.keras.layers.conv import ConvolutionLayer
from crossohm.keras.layers.layer import AnalogLayer
from crossohm.layers.array_layer import Gradient, Sync
from crossohm.layers.conversion import (
    Conversion,
    HardwareChoice,
    conversions,
    folding_obstacle,
    known_foldings,
    physical_choices,
    reinitialize_layers,
    warn_of_zeros,
)
from crossohm.layers.maps.grouped import USUAL_GROUPING
from crossohm.layers.report import warn_of_digital


def from_keras(
    model: Any,
    params: HardwareChoice = None,
    bias_rows: int | Sequence[int] | Mapping[str, int] = 0,
    fuse_batchnorm: bool | None = None,
    *,
    seed: int | None = None,
    sync: Sync = "auto",
    gradient: Gradient = "programmed",
    grouping: str | Sequence[str] | Mapping[str, str] = USUAL_GROUPING,
    name: str = "",
    example: Any = None,
) -> Any:
    """A copy of ``model`` in which every supported layer runs on simulated arrays.

    Args:
        model: A layer, a Sequential, a functional model of any graph, or a model of a class of one's own whose
            configuration (``get_config``) is complete. It is not changed.
        params: The hardware. One description (None: ideal) for all layers; a list with one entry per layer of
            `convertible_layers`; or a table of name patterns, ``{"stage4.*": fine, "*": coarse}``, in which the first
            match decides and layers without a match stay digital. Names of layers in nested models follow that of the
            model and a dot. An entry may be a list with one description per array, or, for layers with several
            matrices, a list with such a list for each. For a single layer, a list is such an entry.
        bias_rows: Matrix columns that hold the bias; 0 adds it digitally. A number, a list or a table as above.
        fuse_batchnorm: Fold BatchNorm into the layer before it wherever the graph proves that the model stays the same
            at inference; an identity takes its place. None: where the hardware was calibrated so (`crossohm.calibrate`
            does by default), and nowhere else.
        seed: The chip. Layers have errors of their own, keyed by their name in the model; None draws a chip.
        sync: What happens when variables have changed since the arrays were written: ``"auto"``, ``"error"`` or
            ``"manual"``; see `AnalogLayer.sync`.
        gradient: Which derivative training uses: ``"programmed"`` or ``"chain"``; see `AnalogLayer.gradient`.
        grouping: How grouped convolutions are stored: ``"per_group"``, every group in arrays of its own, or
            ``"dense"``, at full width with zeros between the groups. One choice, a list or a table as above.
        name: Place of ``model`` in the network it is a part of, where parts are converted one by one on one chip: it
            keys the errors, together with the names inside ``model``. Patterns do not see it.
        example: An input of the model: an array, a tuple of positional inputs or a dictionary of keyword inputs. A
            model with classes of one's own answers it, and so must what is made anew from its configuration. Without
            it, such a model answers random inputs of the shapes it was built for, if that works.

    Returns:
        The analog model, with weights of its own. Layers keep names, weights and trainable flags. A layer that is used
        several times stays one layer, with one set of arrays. The model is not compiled.

    Raises:
        ParameterError: ``model`` is no layer or model, a list has the wrong length, the hardware description
            contradicts itself, or it was calibrated with BatchNorm folded and ``fuse_batchnorm`` is False.
        UnknownNameError: a pattern matches no layer.
        UnsupportedError: a class of one's own cannot be rebuilt, or answers otherwise then; says what it lacks.

    Warns:
        RuntimeWarning: calibrated hardware lacks some layers of the model, groups share arrays (``grouping``), layers
            with matrix products stay digital because no analog kind stands for them, or BatchNorm that should be folded
            stays digital.
    """
    require_layers(model)
    require_faithful(model, example)
    model = _folded(model, params, fuse_batchnorm)
    found = sites(model)
    chosen = conversions(list(found), params, bias_rows, grouping, name)
    chip = secrets.randbits(63) if seed is None else seed
    wanted = {id(found[place]): choice for place, choice in chosen.items()}

    def analog(layer: Any) -> Any:
        choice = wanted.get(id(layer))
        return None if choice is None else _converted(layer, choice, chip, sync, gradient)

    twin = copy_of(model, analog)
    warn_of_digital(reported_layers(twin))
    warn_of_zeros(analog_places(twin))
    return twin


def to_keras(model: Any, physical_weights: bool | Sequence[bool | str] = False) -> Any:
    """A copy of ``model`` in which every analog layer is the plain Keras layer again.

    Args:
        model: A model with analog layers, or a single one. It is not changed.
        physical_weights: Take the weights the arrays hold, errors included, instead of the ideal ones: one choice, one
            per layer of `analog_layers`, or the names of the layers.

    Raises:
        ParameterError: a list has the wrong length, or a name is that of no analog layer.
    """
    layers = analog_places(model)
    held = physical_choices(physical_weights, layers)

    def plain(layer: Any) -> Any:
        return layer.to_keras(physical_weights=held[id(layer)]) if isinstance(layer, AnalogLayer) else None

    return copy_of(model, plain)


def convertible_layers(model: Any, expand_nested: bool = True) -> list[Any]:
    """The layers `from_keras` converts, in order of definition.

    Args:
        model: A model, or a layer.
        expand_nested: Those inside of nested models and layers as well.
    """
    return _listed(sites(model), expand_nested)


def analog_layers(model: Any, expand_nested: bool = True) -> list[Any]:
    """The analog layers of ``model``, in order of definition; arguments as of `convertible_layers`."""
    return _listed(analog_places(model), expand_nested)


def inconvertible_layers(model: Any, expand_nested: bool = True) -> list[Any]:
    """All other layers, nested models and analog layers included, in order of definition.

    `conversion_report` says why layers with weights stay digital. Arguments as of `convertible_layers`.
    """
    convertible = sites(model)
    found = {name: layer for name, layer in places(model, is_layer) if name and name not in convertible}
    return _listed(found, expand_nested)


def synchronize(model: Any) -> None:
    """Write the variables of all analog layers into their arrays again, with new programming errors."""
    for layer in analog_places(model).values():
        layer.synchronize()


def reinitialize(model: Any, seed: int | None = None, params: HardwareChoice = None) -> None:
    """Put all analog layers of ``model`` on another chip.

    Layers keep copies of the hardware they were given: to have it changed, pass it again, or edit ``layer.params``.

    Args:
        model: A model with analog layers.
        seed: The chip; by default the one that follows the present chip in a fixed random sequence.
        params: The hardware from now on: one description, a list with one per layer of `analog_layers`, or a table of
            name patterns, as for `from_keras`; layers without a match, and all if it is None, keep theirs.

    Raises:
        ParameterError: a list has the wrong length, or the hardware description contradicts itself.
        UnknownNameError: a pattern matches no layer.

    Warns:
        UserWarning: a description that was given has been edited since, without effect.
    """
    reinitialize_layers(analog_places(model), seed, params)


def _folded(model: Any, params: Any, fuse: bool | None) -> Any:
    """The model with BatchNorm folded where the caller, or hardware that was calibrated so, asks for it."""
    layers = sites(model)
    known = known_foldings(list(layers), params, fuse)
    if known is None:
        return model
    by_layer = {id(layer): known[name] for name, layer in layers.items()}
    return fold_batchnorm(model, wanted=lambda layer: folding_obstacle(by_layer.get(id(layer), set()), fuse))


def _listed(layers: Mapping[str, Any], expand_nested: bool) -> list[Any]:
    return [layer for name, layer in layers.items() if expand_nested or "." not in name]


def _converted(layer: Any, choice: Conversion, chip: int, sync: Sync, gradient: Gradient) -> AnalogLayer:
    kind = ANALOG_KINDS[type(layer)]
    grouped = choice.grouping is not None and issubclass(kind, ConvolutionLayer)
    options = {"grouping": choice.grouping} if grouped else {}
    policies = {"sync": sync, "gradient": gradient}
    core_name = choice.name or "core"
    try:
        return kind.from_keras(
            layer, choice.hardware, choice.bias_rows, seed=chip, core_name=core_name, **policies, **options
        )
    except CrossOhmError as error:
        error.add_note(f"while converting {choice.name or 'the model'!r}: {layer}")
        raise
