"""Whole models: torch to analog and back."""

from __future__ import annotations

import copy
import secrets
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import nn

from crossohm.calibration import CalibratedHardware
from crossohm.errors import CrossOhmError, ParameterError
from crossohm.torch.batchnorm import fold_batchnorm
from crossohm.torch.choices import choice_of_layers
from crossohm.torch.conv import AnalogConvolution
from crossohm.torch.hardware import Hardware, calibrated_foldings
from crossohm.torch.kinds import ANALOG_KINDS, is_convertible
from crossohm.torch.layer import AnalogLayer, Gradient, Sync
from crossohm.torch.report import MULTIPLYING, conversion_report


def from_torch(
    model: nn.Module,
    params: Hardware | Sequence[Hardware] | Mapping[str, Hardware] = None,
    bias_rows: int | Sequence[int] | Mapping[str, int] = 0,
    fuse_batchnorm: bool | None = None,
    seed: int | None = None,
    sync: Sync = "auto",
    gradient: Gradient = "programmed",
    grouping: str | Sequence[str] | Mapping[str, str] = "dense",
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
            and nowhere else.
        seed: The chip. Layers have errors of their own, keyed by their name in the model; None draws a chip.
        sync: What happens when parameters have changed since the arrays were written: ``"auto"``, ``"error"`` or
            ``"manual"``; see `AnalogLayer.sync`.
        gradient: Which derivative backward computes: ``"programmed"``, ``"chain"`` or ``"wires"``; see
            `AnalogLayer.gradient`.
        grouping: How grouped convolutions are stored: ``"dense"``, at full width with zeros between the groups, or
            ``"per_group"``, every group in arrays of its own. One choice, a list or a table as above.

    Returns:
        The analog model. Converted layers keep parameters, training flag, device, dtype, hooks and attributes. A
        module used under two names becomes two layers with independent errors and common parameters.

    Raises:
        ParameterError: a list has the wrong length, the hardware description contradicts itself, or it was calibrated
            with BatchNorm folded and ``fuse_batchnorm`` is False.
        UnknownNameError: a pattern matches no layer.

    Warns:
        RuntimeWarning: calibrated hardware lacks some layers of the model, or layers with matrix products stay digital
            because no analog kind exists for them.
    """
    analog = copy.deepcopy(model)
    _fold_batchnorm(analog, params, fuse_batchnorm)
    sites = list(_sites(analog))
    names = [name for name, _, _ in sites]
    whole = names == [""]
    hardware = {"": params} if whole else choice_of_layers("params", params, names)
    _report_undescribed(params, names)
    rows = choice_of_layers("bias_rows", bias_rows, names)
    groupings = choice_of_layers("grouping", grouping, names)
    chip = secrets.randbits(63) if seed is None else seed
    for name, parent, module in sites:
        if name not in hardware:
            continue
        choices = {"grouping": groupings[name]} if name in groupings and _has_groups(module) else {}
        layer = _converted(module, name, hardware[name], rows.get(name, 0), chip, choices)
        layer.sync, layer.gradient = sync, gradient
        if parent is None:
            return layer
        setattr(parent, name.rpartition(".")[2], layer)
    _use_submodules(analog)
    _report_digital(analog)
    return analog


def to_torch(model: nn.Module, physical_weights: bool | Sequence[bool] = False) -> Any:
    """A copy of ``model`` in which every analog layer is the plain torch layer again.

    Args:
        model: A model with analog layers, or a single one. It is not changed.
        physical_weights: Take the weights the arrays hold, errors included, instead of the ideal ones; one choice, or
            one per module of `analog_modules`.

    Raises:
        ParameterError: a list has the wrong length.
    """
    layers = analog_modules(model)
    physical = [physical_weights] * len(layers) if isinstance(physical_weights, bool) else list(physical_weights)
    if len(physical) != len(layers):
        raise ParameterError(
            "physical_weights",
            f"list of {len(physical)}",
            f"the model has {len(layers)} analog layers",
            allowed=f"True, False, or a list of {len(layers)}",
        )
    # What deepcopy finds in its memo it does not copy: plain layers take the places of the analog ones.
    memo: dict[int, Any] = {}
    for layer, held in zip(layers, physical, strict=True):
        plain = layer.to_torch(physical_weights=held)
        if not held:
            _keep_ties(layer, plain, memo)
        memo[id(layer)] = plain
    return copy.deepcopy(model, memo)


def convertible_modules(model: nn.Module) -> list[nn.Module]:
    """The modules `from_torch` converts, in order of definition; one that is used under two names is listed twice."""
    return [module for _, _, module in _sites(model)]


def analog_modules(model: nn.Module) -> list[AnalogLayer]:
    """The analog layers of ``model``, in order of definition."""
    return [module for module in model.modules() if isinstance(module, AnalogLayer)]


def inconvertible_modules(model: nn.Module) -> list[nn.Module]:
    """All other modules, containers and analog layers included, in order of definition."""
    return [module for module in model.modules() if not is_convertible(module)]


def synchronize(model: nn.Module) -> None:
    """Write the parameters of all analog layers into their arrays again, with new programming errors."""
    for layer in analog_modules(model):
        layer.synchronize()


def reinitialize(model: nn.Module, seed: int | None = None) -> None:
    """Put all analog layers of ``model`` on another chip.

    Args:
        model: A model with analog layers.
        seed: The chip; by default the one that follows the present chip in a fixed random sequence.
    """
    for layer in analog_modules(model):
        layer.reinitialize(seed)


def _sites(
    module: nn.Module, name: str = "", parent: nn.Module | None = None
) -> Iterator[tuple[str, nn.Module | None, nn.Module]]:
    """Name, parent and module of everything convertible, depth first. Unlike torch's iterators, repeats are kept."""
    if is_convertible(module):
        yield name, parent, module
        return
    for key, child in module._modules.items():
        if child is not None:
            yield from _sites(child, f"{name}.{key}" if name else key, module)


def _has_groups(module: nn.Module) -> bool:
    return issubclass(ANALOG_KINDS[type(module)], AnalogConvolution)


def _converted(
    module: nn.Module, name: str, params: Any, bias_rows: int, seed: int, choices: dict[str, Any]
) -> AnalogLayer:
    kind = ANALOG_KINDS[type(module)]
    try:
        rows = (bias_rows,) * kind.bias_kinds
        return kind.from_torch(module, params, *rows, seed=seed, name=name or "core", **choices)
    except CrossOhmError as error:
        error.add_note(f"while converting {name or 'the model'!r}: {module}")
        raise


def _fold_batchnorm(model: nn.Module, params: Any, fuse: bool | None) -> None:
    """Fold where that is asked for, by the caller or by hardware that was calibrated so."""
    modules = {name: module for name, _, module in _sites(model)}
    if fuse is False or list(modules) == [""]:
        return
    if fuse not in (None, True, False):
        raise ParameterError("fuse_batchnorm", fuse, "says nothing", allowed="True, False, None")
    chosen = choice_of_layers("params", params, list(modules))
    known = {id(modules[name]): calibrated_foldings(entry) for name, entry in chosen.items()}
    if fuse or any(True in found for found in known.values()):
        missing = set() if fuse else {False}
        fold_batchnorm(
            model,
            wanted=lambda layer: _UNFOLDED if False in (known.get(id(layer)) or missing) else "",
        )


#: Why BatchNorm stays digital where others are folded.
_UNFOLDED = "the hardware of the layer before was not calibrated for it"


def _report_undescribed(params: Any, names: Sequence[str]) -> None:
    """Warn of layers that calibrated hardware knows nothing of: the model is not the one that was calibrated."""
    left = [name for name in names if isinstance(params, CalibratedHardware) and name not in params]
    if left:
        message = (
            f"the calibrated hardware describes {', '.join(params)}, and not {', '.join(left)}: these stay digital. "
            "Calibrate this model, or pass a plain dict(...) if that is meant"
        )
        warnings.warn(message, RuntimeWarning, stacklevel=3)


def _keep_ties(layer: AnalogLayer, plain: nn.Module, memo: dict[int, Any]) -> None:
    """Let parameters that analog layers share among themselves, or with the rest of the model, stay shared."""
    for key, parameter in layer.named_parameters(remove_duplicate=False):
        owner, _, leaf = key.rpartition(".")
        setattr(plain.get_submodule(owner), leaf, memo.setdefault(id(parameter), plain.get_parameter(key)))


def _use_submodules(model: nn.Module) -> None:
    """Turn off torch's fused encoder path, which reads weights past the layers that hold them."""
    for module in model.modules():
        if isinstance(module, nn.TransformerEncoderLayer):
            module.activation_relu_or_gelu = 0
        if isinstance(module, nn.TransformerEncoder):
            module.use_nested_tensor = False


def _report_digital(model: nn.Module) -> None:
    left = [
        f"{layer.name} ({layer.kind})"
        for layer in conversion_report(model).digital
        if not layer.convertible and isinstance(model.get_submodule(layer.name), MULTIPLYING)
    ]
    if left:
        message = f"no analog layer stands for {', '.join(left)}: they stay digital (see conversion_report)"
        warnings.warn(message, RuntimeWarning, stacklevel=3)
