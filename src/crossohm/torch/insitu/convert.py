"""Networks whose linear and convolutional layers are trained on devices."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from crossohm.errors import UnsupportedError
from crossohm.torch.insitu.conv import InSituConv2d
from crossohm.torch.insitu.layer import InSituLayer
from crossohm.torch.insitu.linear import InSituLinear, matrix_of
from crossohm.training.arrays.settings import ArraySettings
from crossohm.training.checks import require_number
from crossohm.training.rules.model import Rule

#: Quantile of the weights' sizes that fills the range of the devices, together with the headroom.
_QUANTILE = 0.995


def to_in_situ(
    model: nn.Module,
    settings: ArraySettings | None = None,
    *,
    headroom: float = 1.5,
    rule: Rule | None = None,
    seed: int = 0,
) -> nn.Module:
    """A copy of a network whose ``Linear`` and ``Conv2d`` layers hold their weights on devices.

    Args:
        model: The network; it stays as it is.
        settings: Kind of array; None: ideal devices in balanced pairs.
        headroom: The range of the devices is this many times the 99.5 % quantile of a layer's weights.
        rule: What is written where; None: every update goes onto the weights.
        seed: The chip.

    Returns:
        The copy; train it with `crossohm.torch.AnalogSGD`.

    Raises:
        UnsupportedError: no layer can be converted, or one has groups or a padding that is not zeros.
    """
    require_number("headroom", headroom, above=0)
    made = copy.deepcopy(model)
    replaced = 0
    for name, module in list(made.named_modules()):
        layer = _on_devices(name or type(module).__name__, module, settings, headroom, rule, seed)
        if layer is None:
            continue
        replaced += 1
        if not name:
            return layer
        parent, _, last = name.rpartition(".")
        setattr(made.get_submodule(parent), last, layer)
    if not replaced:
        raise UnsupportedError("to_in_situ: the network has no torch.nn.Linear or torch.nn.Conv2d of its own")
    return made


def from_in_situ(model: nn.Module) -> nn.Module:
    """A copy of a network whose layers on devices are torch's own again, with the weights that the devices hold."""
    made = copy.deepcopy(model)
    if isinstance(made, InSituLayer):
        return _digital(made)
    for name, module in list(made.named_modules()):
        if isinstance(module, InSituLayer):
            parent, _, last = name.rpartition(".")
            setattr(made.get_submodule(parent), last, _digital(module))
    return made


def _on_devices(
    name: str, module: nn.Module, settings: ArraySettings | None, headroom: float, rule: Rule | None, seed: int
) -> InSituLayer | None:
    """The layer that stands for a module; None if it stays."""
    if type(module) not in (nn.Linear, nn.Conv2d):
        return None
    matrix = matrix_of(module.weight, module.bias)
    limit = headroom * float(np.quantile(matrix.abs().numpy(), _QUANTILE))
    common: dict[str, Any] = {"settings": settings, "limit": limit or 1.0, "rule": rule, "seed": seed, "name": name}
    layer: InSituLayer
    if isinstance(module, nn.Conv2d):
        if module.groups != 1 or module.padding_mode != "zeros" or isinstance(module.padding, str):
            raise UnsupportedError(f"to_in_situ: {name} has groups or a padding that is not numbers of zeros")
        layer = InSituConv2d(
            module.in_channels, module.out_channels, module.kernel_size, module.stride, module.padding,
            module.dilation, module.bias is not None, **common,
        )  # fmt: skip
    else:
        assert isinstance(module, nn.Linear)
        layer = InSituLinear(module.in_features, module.out_features, module.bias is not None, **common)
    layer.set_weights(matrix)
    return layer


@torch.no_grad()
def _digital(layer: InSituLayer) -> nn.Module:
    """Torch's layer with the weights of the devices."""
    matrix = layer.weights
    made: nn.Linear | nn.Conv2d
    if isinstance(layer, InSituConv2d):
        made = nn.Conv2d(
            layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding, layer.dilation,
            bias=layer.has_bias,
        )  # fmt: skip
    else:
        assert isinstance(layer, InSituLinear)
        made = nn.Linear(layer.in_features, layer.out_features, layer.has_bias)
    made.to(matrix.dtype)
    bias: Tensor | None = made.bias
    if bias is not None:
        bias.copy_(matrix[:, -1])
        matrix = matrix[:, :-1]
    made.weight.copy_(matrix.reshape(made.weight.shape))
    return made
