"""Whole models: torch to analog and back."""

from __future__ import annotations

import copy
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from crossohm.errors import CrossOhmError
from crossohm.layers.array_layer import Gradient, Sync
from crossohm.layers.conversion import (
    Conversion,
    HardwareChoice,
    conversions,
    folding_obstacle,
    known_foldings,
    may_fold,
    physical_choices,
    reinitialize_layers,
    warn_of_zeros,
)
from crossohm.layers.maps.grouped import USUAL_GROUPING
from crossohm.layers.report import warn_of_digital
from crossohm.torch.conversion.aliases import follow
from crossohm.torch.conversion.batchnorm import fold_batchnorm, see
from crossohm.torch.conversion.first_pass import unwatch, warn_of, watch
from crossohm.torch.conversion.glance import look_apart, look_together
from crossohm.torch.conversion.kinds import is_convertible, kind_of
from crossohm.torch.conversion.obstacles import multiplies, require_layers
from crossohm.torch.conversion.places import analog_places, copy_of, merge, separate, sites
from crossohm.torch.conversion.products import install_products, places_of
from crossohm.torch.conversion.report import conversion_report
from crossohm.torch.conversion.trial import try_out
from crossohm.torch.layers.conv import ConvolutionLayer
from crossohm.torch.layers.layer import AnalogLayer
from crossohm.torch.products.layer import AnalogProduct, DigitalProduct
from crossohm.torch.products.routing import unlead

#: Flags that let torch's transformers use fused kernels, and their values that do not.
_FUSED = (
    (nn.TransformerEncoderLayer, "activation_relu_or_gelu", 0),
    (nn.TransformerEncoder, "use_nested_tensor", False),
)
#: Attribute of modules: what these flags were before.
_FLAGS = "_crossohm_flags"


def from_torch(
    model: nn.Module,
    params: HardwareChoice = None,
    bias_rows: int | Sequence[int] | Mapping[str, int] = 0,
    fuse_batchnorm: bool | None = None,
    seed: int | None = None,
    sync: Sync = "auto",
    gradient: Gradient = "programmed",
    grouping: str | Sequence[str] | Mapping[str, str] = USUAL_GROUPING,
    name: str = "",
    example: Any = None,
) -> Any:
    """A copy of ``model`` in which every supported layer runs on simulated arrays.

    Args:
        model: Any torch model, or a single layer. It is not changed.
        params: The hardware. One description (None: ideal) for all layers; a list with one entry per module of
            `convertible_modules`; or a table of name patterns, ``{"layer4.*": fine, "*": coarse}``, in which the
            first match decides and layers without a match stay digital. An entry may be a list with one description
            per array, or, for layers with several matrices, a list with such a list for each. For a single layer, a
            list is such an entry.
        bias_rows: Matrix columns that hold the bias; 0 adds it digitally. A number, a list or a table as above. In
            recurrent layers it is the number of both biases.
        fuse_batchnorm: Fold BatchNorm into the layer before it wherever the traced data flow proves that the model in
            eval mode stays the same. None: where the hardware was calibrated so (`crossohm.calibrate` does by default),
            and nowhere else. A model that cannot be traced is observed while it answers ``example``; only that shows
            BatchNorm behind products of a module's own code, computed weights, and changes of shape. The factors go
            into parameters, which `to_torch` gives back as they are then.
        seed: The chip. Layers have errors of their own, keyed by their name in the model; None draws a chip.
        sync: What happens when parameters have changed since the arrays were written: ``"auto"``, ``"error"`` or
            ``"manual"``; see `AnalogLayer.sync`.
        gradient: Which derivative backward computes: ``"programmed"``, ``"chain"`` or ``"wires"``; see
            `AnalogLayer.gradient`.
        grouping: How grouped convolutions are stored: ``"per_group"``, every group in arrays of its own, or
            ``"dense"``, at full width with zeros between the groups. One choice, a list or a table as above.
        name: Place of ``model`` in the network it is a part of, where parts are converted one by one on one chip: it
            keys the errors, together with the names inside ``model``. Patterns do not see it.
        example: An input of the model: a tensor, a tuple of positional inputs or a dictionary of keyword inputs. The
            analog model answers it, and what does not run on arrays is named in a warning: layers that data do not
            reach, and products that other code computes digitally from their parameters. Without it, the first pass
            of the model is watched for the latter (not where it is compiled or traced).

    Returns:
        The analog model. Converted layers keep parameters, training flag, device, dtype, hooks and attributes. A layer
        registered under two names, or in a container that is, becomes two layers with independent errors and common
        parameters; `to_torch` makes it one again. References to layers in lists, tuples, dictionaries and the like
        follow, to the layer of the first place if there are several.

    Raises:
        ParameterError: a list has the wrong length, the hardware description contradicts itself, or it was calibrated
            with BatchNorm folded and ``fuse_batchnorm`` is False.
        UnknownNameError: a pattern matches no layer.
        UnsupportedError: a layer has no weights yet (lazy layers), or the model is compiled or exported and has no
            layers to convert.

    Warns:
        RuntimeWarning: calibrated hardware lacks some layers of the model, groups share arrays (``grouping``), layers
            with matrix products stay digital because no analog kind exists for them, or, see ``example``, because they
            are not called.
    """
    analog = put_on_arrays(
        model, params, bias_rows, fuse_batchnorm, seed, sync, gradient, grouping, name=name, example=example
    )
    if isinstance(analog, AnalogLayer):
        return analog
    if example is None:
        watch(analog)
    else:
        warn_of(analog, try_out(analog, example), of_unreached=True)
    return analog


def put_on_arrays(
    model: nn.Module,
    params: HardwareChoice,
    bias_rows: int | Sequence[int] | Mapping[str, int],
    fuse_batchnorm: bool | None,
    seed: int | None,
    sync: Sync = "auto",
    gradient: Gradient = "programmed",
    grouping: str | Sequence[str] | Mapping[str, str] = USUAL_GROUPING,
    *,
    name: str = "",
    example: Any = None,
) -> Any:
    """As `from_torch`, without a look at what the analog model does with the example, or in its first pass."""
    require_layers(model)
    analog = copy_of(model)
    unlead(analog, DigitalProduct)
    _fold_batchnorm(analog, params, fuse_batchnorm, example)
    separate(analog)
    places = places_of(analog, example)
    chosen = conversions(places.names, params, bias_rows, grouping, name)
    chip = secrets.randbits(63) if seed is None else seed
    layers: dict[int, nn.Module] = {}
    for place, module in places.layers.items():
        if place not in chosen:
            continue
        layer = _converted(module, chosen[place], chip)
        layer.sync, layer.gradient = sync, gradient
        if module is analog:
            warn_of_zeros({place: layer})
            return layer
        layers |= _replacements(module, layer)
    follow(analog, layers)
    install_products(analog, places.products, chosen, layers, chip, sync, gradient)
    unwatch(analog)
    _use_submodules(analog)
    known = {site.name.rpartition(".")[0] for site in places.products}  # their products could be put on arrays
    digital = [layer for layer in conversion_report(analog).digital if layer.name not in known]
    warn_of_digital(layer for layer in digital if multiplies(analog.get_submodule(layer.name)))
    warn_of_zeros(analog_places(analog))
    look_together(analog)
    return analog


def to_torch(model: nn.Module, physical_weights: bool | Sequence[bool | str] = False) -> Any:
    """A copy of ``model`` in which every analog layer is the plain torch layer again.

    Args:
        model: A model with analog layers, or a single one. It is not changed.
        physical_weights: Take the weights the arrays hold, errors included, instead of the ideal ones: one choice, one
            per module of `analog_modules`, or the names of the modules.

    Raises:
        ParameterError: a list has the wrong length, or a name is that of no analog layer.
    """
    places = analog_places(model)
    physical = physical_choices(physical_weights, places)
    # What deepcopy finds in its memo it does not copy.
    memo: dict[int, Any] = {}
    table: dict[int, nn.Module] = {}
    for layer in places.values():
        if isinstance(layer, AnalogProduct):
            memo[id(layer)] = layer  # stays behind
            continue
        held = physical[id(layer)]
        plain = layer.to_torch(physical_weights=held)
        if layer is model:
            return plain
        if not held:
            _keep_ties(layer, plain, memo)
        memo |= {id(value): value for value in (*layer.modules(), *plain.modules(), *plain.parameters())}
        table |= _replacements(layer, plain)
    twin = copy_of(model, memo)
    unlead(twin, AnalogProduct)
    for plain in table.values():
        for key, value in vars(plain).items():
            if key not in ("_parameters", "_modules"):
                vars(plain)[key] = copy.deepcopy(
                    value, memo
                )  # hooks and attributes refer to the copy, not to ``model``
    follow(twin, table)
    unwatch(twin)
    look_apart(twin)
    _restore_flags(twin)
    copied = {id(module): memo[id(module)] for module in model.modules()} | table
    for product in (layer for layer in places.values() if isinstance(layer, AnalogProduct) and physical[id(layer)]):
        product.give_held(copied)
    merge(twin)
    return twin


def convertible_modules(model: nn.Module) -> list[nn.Module]:
    """The modules `from_torch` converts, in order of definition; one that is used under two names is listed twice."""
    return [module for _, module in sites(model)]


def analog_modules(model: nn.Module) -> list[AnalogLayer]:
    """The analog layers of ``model``, in order of definition."""
    return list(analog_places(model).values())


def inconvertible_modules(model: nn.Module) -> list[nn.Module]:
    """All other modules, containers and analog layers included, in order of definition."""
    return [module for module in model.modules() if not is_convertible(module)]


def synchronize(model: nn.Module) -> None:
    """Write the parameters of all analog layers into their arrays again, with new programming errors."""
    for layer in analog_modules(model):
        layer.synchronize()


def reinitialize(model: nn.Module, seed: int | None = None, params: HardwareChoice = None) -> None:
    """Put all analog layers of ``model`` on another chip.

    Layers keep copies of the hardware they were given: to have it changed, pass it again, or edit ``layer.params``.

    Args:
        model: A model with analog layers.
        seed: The chip; by default the one that follows the present chip in a fixed random sequence.
        params: The hardware from now on: one description, a list with one per module of `analog_modules`, or a table
            of name patterns, as for `from_torch`; layers without a match, and all if it is None, keep theirs.

    Raises:
        ParameterError: a list has the wrong length, or the hardware description contradicts itself.
        UnknownNameError: a pattern matches no layer.

    Warns:
        UserWarning: a description that was given has been edited since, without effect.
    """
    reinitialize_layers(analog_places(model), seed, params)


def _converted(module: nn.Module, choice: Conversion, seed: int) -> AnalogLayer:
    kind = kind_of(module)
    assert kind is not None
    grouped = choice.grouping is not None and issubclass(kind, ConvolutionLayer)
    options = {"grouping": choice.grouping} if grouped else {}
    try:
        rows = (choice.bias_rows,) * kind.bias_kinds
        return kind.from_torch(module, choice.hardware, *rows, seed=seed, name=choice.name or "core", **options)
    except CrossOhmError as error:
        error.add_note(f"while converting {choice.name or 'the model'!r}: {module}")
        raise


def _replacements(module: nn.Module, other: nn.Module) -> dict[int, nn.Module]:
    """For ``module`` and all its parts, by identity, what stands in their place in ``other``."""
    old, new = (part.named_modules(remove_duplicate=False) for part in (module, other))
    return {id(before): after for (_, before), (_, after) in zip(old, new, strict=True)}


def _fold_batchnorm(model: nn.Module, params: Any, fuse: bool | None, example: Any) -> None:
    """Fold where that is asked for, by the caller or by hardware that was calibrated so."""
    seen = see(model, example) if example is not None and may_fold(params, fuse) else None
    names = [name for name, _ in sites(model)] if seen is None else seen.names
    known = known_foldings(names, params, fuse)
    if known is not None:
        fold_batchnorm(model, seen, wanted=lambda name: folding_obstacle(known.get(name, set()), fuse))


def _keep_ties(layer: AnalogLayer, plain: nn.Module, memo: dict[int, Any]) -> None:
    """Let parameters that analog layers share among themselves, or with the rest of the model, stay shared."""
    for key, parameter in layer.named_parameters(remove_duplicate=False):
        owner, _, leaf = key.rpartition(".")
        setattr(plain.get_submodule(owner), leaf, memo.setdefault(id(parameter), plain.get_parameter(key)))


def _use_submodules(model: nn.Module) -> None:
    """Turn off torch's fused encoder path, which reads weights past the layers that hold them."""
    for module in model.modules():
        for kind, flag, value in _FUSED:
            if isinstance(module, kind):
                vars(module).setdefault(_FLAGS, {}).setdefault(flag, getattr(module, flag))
                setattr(module, flag, value)


def _restore_flags(model: nn.Module) -> None:
    """Undo `_use_submodules`."""
    for module in model.modules():
        for flag, value in vars(module).pop(_FLAGS, {}).items():
            setattr(module, flag, value)
