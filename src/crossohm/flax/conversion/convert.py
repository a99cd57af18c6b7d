"""Whole models: Flax NNX to analog and back."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from flax import nnx

from crossohm.errors import CrossOhmError
from crossohm.flax.batches import forward_of
from crossohm.flax.conversion.batchnorm import fold_batchnorm
from crossohm.flax.conversion.kinds import ANALOG_KINDS
from crossohm.flax.conversion.places import analog_places, replace, sites
from crossohm.flax.conversion.report import reported_layers, require_module
from crossohm.flax.layers.layer import AnalogLayer
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


def from_flax(
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
    rngs: nnx.Rngs,
) -> Any:
    """A copy of ``model`` in which every supported layer runs on simulated arrays.

    Args:
        model: A module of Flax NNX: a layer, or one with layers in attributes, ``nnx.List``, ``nnx.Dict``,
            ``nnx.Sequential``, or lists, tuples and dictionaries that are ``nnx.data``. It is not changed.
        params: The hardware. One description (None: ideal) for all layers; a list with one entry per layer of
            `convertible_layers`; or a table of name patterns, ``{"blocks.4.*": fine, "*": coarse}``, in which the first
            match decides and layers without a match stay digital. A name is the attributes, keys and positions that
            lead to the layer, joined by dots. An entry may be a list with one description per array. For a single
            layer, a list is such an entry.
        bias_rows: Matrix columns that hold the bias; 0 adds it digitally. A number, a list or a table as above.
        fuse_batchnorm: Fold `nnx.BatchNorm` into the layer before it wherever the model proves that it stays the same
            at inference. None: where the hardware was calibrated so (`crossohm.calibrate` does by default), and
            nowhere else.
        seed: The chip. Layers have errors of their own, keyed by their name in the model; None draws a chip.
        sync: What happens when parameters have changed since the arrays were written: ``"auto"``, ``"error"`` or
            ``"manual"``; see `AnalogLayer.sync`.
        gradient: Which derivative training uses: ``"programmed"`` or ``"chain"``; see `AnalogLayer.gradient`.
        grouping: How grouped convolutions are stored: ``"per_group"``, every group in arrays of its own, or
            ``"dense"``, at full width with zeros between the groups. One choice, a list or a table as above.
        name: Place of ``model`` in the network it is a part of, where parts are converted one by one on one chip: it
            keys the errors, together with the names inside ``model``. Patterns do not see it.
        example: An input of the model, for the uses of its layers: an array, a tuple of positional inputs or a
            dictionary of keyword inputs. Nothing is computed with it. Without it, only the layers of `nnx.Sequential`
            are known to follow each other.
        rngs: Noise of each layer is drawn from a fork of the stream ``noise``.

    Returns:
        The analog model, with parameters of its own. A layer that is used several times stays one layer, with one set
        of arrays; layers that share a parameter go on sharing it, and each has its own arrays.

    Raises:
        ParameterError: ``model`` is no module, a list has the wrong length, the hardware contradicts itself, or it was
            calibrated with BatchNorm folded and ``fuse_batchnorm`` is False.
        UnknownNameError: a pattern matches no layer.
        UnsupportedError: a layer says how its product is to be computed.

    Warns:
        RuntimeWarning: calibrated hardware lacks some layers of the model, groups share arrays (``grouping``), layers
            with matrix products stay digital because no analog kind stands for them, or BatchNorm that should be folded
            stays digital.
    """
    require_module(model)
    twin = _folded(model, params, fuse_batchnorm, example)
    found = sites(twin)
    chosen = conversions(list(found), params, bias_rows, grouping, name)
    chip = secrets.randbits(63) if seed is None else seed
    wanted = {id(found[place]): choice for place, choice in chosen.items()}

    def analog(layer: Any) -> Any:
        choice = wanted.get(id(layer))
        return layer if choice is None else _converted(layer, choice, chip, sync, gradient, rngs)

    twin = replace(twin, analog)
    warn_of_digital(reported_layers(twin))
    warn_of_zeros(analog_places(twin))
    return twin


def to_flax(model: Any, physical_weights: bool | Sequence[bool | str] = False) -> Any:
    """A copy of ``model`` in which every analog layer is the plain Flax layer again.

    Args:
        model: A model with analog layers, or a single one. It is not changed.
        physical_weights: Take the weights the arrays hold, errors included, instead of the ideal ones: one choice, one
            per layer of `analog_layers`, or the names of the layers. Such a layer shares no parameters any more.

    Raises:
        ParameterError: ``model`` is no module, a list has the wrong length, or a name is that of no analog layer.
    """
    require_module(model)
    twin = nnx.clone(model)
    held = physical_choices(physical_weights, analog_places(twin))

    def plain(layer: Any) -> Any:
        if not isinstance(layer, AnalogLayer):
            return layer
        made = layer.to_flax(physical_weights=held[id(layer)])
        return made if held[id(layer)] else _with_parameters_of(layer, made)

    return replace(twin, plain)


def convertible_layers(model: Any) -> list[Any]:
    """The layers `from_flax` converts, by name of attributes and number of positions."""
    return list(sites(model).values())


def analog_layers(model: Any) -> list[Any]:
    """The analog layers of ``model``, by name of attributes and number of positions."""
    return list(analog_places(model).values())


def synchronize(model: Any) -> None:
    """Write the parameters of all analog layers into their arrays again, with new programming errors."""
    for layer in analog_places(model).values():
        layer.synchronize()


def reinitialize(model: Any, seed: int | None = None, params: HardwareChoice = None) -> None:
    """Put all analog layers of ``model`` on another chip.

    Layers keep copies of the hardware they were given: to have it changed, pass it again, or assign ``layer.params``.

    Args:
        model: A model with analog layers.
        seed: The chip; by default the one that follows the present chip in a fixed random sequence.
        params: The hardware from now on: one description, a list with one per layer of `analog_layers`, or a table of
            name patterns, as for `from_flax`; layers without a match, and all if it is None, keep theirs.

    Raises:
        ParameterError: a list has the wrong length, or the hardware description contradicts itself.
        UnknownNameError: a pattern matches no layer.

    Warns:
        UserWarning: a description that was given has been edited since, without effect.
    """
    reinitialize_layers(analog_places(model), seed, params)


def _folded(model: Any, params: Any, fuse: bool | None, example: Any) -> Any:
    """A copy of the model, BatchNorm folded where the caller, or hardware that was calibrated so, asks for it."""
    known = known_foldings(list(sites(model)), params, fuse)
    if known is None:
        return nnx.clone(model)
    call = None if example is None else forward_of(model).call_of(example)
    return fold_batchnorm(model, call, wanted=lambda name: folding_obstacle(known.get(name, set()), fuse))


def _converted(
    layer: Any, choice: Conversion, chip: int, sync: Sync, gradient: Gradient, rngs: nnx.Rngs
) -> AnalogLayer:
    kind, core_name = ANALOG_KINDS[type(layer)], choice.name or "core"
    options: dict[str, Any] = {"seed": chip, "core_name": core_name, "sync": sync, "gradient": gradient, "rngs": rngs}
    if choice.grouping is not None and "grouping" in kind.own_choices:
        options["grouping"] = choice.grouping
    try:
        made = kind.from_flax(layer, choice.hardware, choice.bias_rows, **options)
    except CrossOhmError as error:
        error.add_note(f"while converting {choice.name or 'the model'!r}, of type {type(layer).__name__}")
        raise
    return _with_parameters_of(layer, made)


def _with_parameters_of(layer: Any, made: Any) -> Any:
    """``made`` with the very parameters of ``layer``, which others may share."""
    for name, value in vars(layer).items():
        if isinstance(value, nnx.Param):
            setattr(made, name, value)
        elif isinstance(value, nnx.Module):
            _with_parameters_of(value, getattr(made, name))
    return made
