"""What stands where a BatchNorm was that has been folded into the layer before it.

``BatchNorm1d`` normalises axis 1 of vectors and of sequences alike. What lies along it depends on how many axes an
input has, and no conversion can know that: features of ``(batch, features)``, but tokens of ``(batch, tokens,
features)``; channels of ``(batch, channels, length)``, but positions of ``(channels, length)``.
"""

from __future__ import annotations

import warnings
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from crossohm.errors import ShapeError, UnsupportedError
from crossohm.torch.layers.derived import is_dense

#: Axes of the outputs of a batch of a convolution, by the normalisation of its channels.
_AXES: dict[type[nn.Module], int] = {nn.BatchNorm1d: 3, nn.BatchNorm2d: 4, nn.BatchNorm3d: 5}


def is_norm(module: nn.Module) -> bool:
    """True for BatchNorm, and for modules that hold what it holds in buffers, as torchvision's frozen kind."""
    if isinstance(module, _BatchNorm):
        return True
    if isinstance(module, torch.jit.ScriptModule):
        return False
    held = [module._buffers.get(name) for name in ("running_mean", "running_var", "weight", "bias")]
    return hasattr(module, "eps") and all(value is not None and value.ndim == 1 for value in held)


def proper_axes(layer: nn.Module, kind: type[nn.Module]) -> int:
    """How many axes the outputs of ``layer`` have if a normalisation acts on its channels, the batch counted."""
    return 2 if is_dense(layer) else _AXES[kind]


@final
class FoldedNorm(nn.Identity):
    """Passes on what the layer before has normalised, and takes only what the BatchNorm took.

    Inputs of another number of axes, whose axis 1 is not the channels of the layer, are answered as by the original
    network: the folded factors are divided out and the normalisation is done digitally. That is exact on ideal
    hardware, but no sensible use of the arrays, and a warning says so.

    Args:
        norm: The normalisation.
        kind: Which of torch's it is.
        layer: What it was folded into.
        name: Name of the normalisation, for messages.
        scale: What it multiplies each channel by, ``(channels,)``.
        shift: What it adds then, ``(channels,)``.
        certain: The network was seen at work, and axis 1 is the channels.
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self,
        norm: Any,
        kind: type[nn.Module],
        layer: nn.Module,
        name: str,
        scale: Tensor,
        shift: Tensor,
        *,
        certain: bool = False,
    ) -> None:
        super().__init__()
        self.train(norm.training)
        self.name = name
        self.kind: Any = kind
        self.axes = proper_axes(layer, kind)
        self.certain = certain or self.axes > 3
        self._told = False
        if self.axes <= 3:
            self.register_buffer("scale", scale.to(norm.running_var))
            self.register_buffer("shift", shift.to(norm.running_var))

    def forward(self, input: Tensor) -> Tensor:
        """What the original network puts out, ``input`` being the outputs of the layer.

        Raises:
            ValueError: torch's BatchNorm would not take an input of so many axes.
            ShapeError: axis 1 has not as many entries as the BatchNorm had channels.
            UnsupportedError: axis 1 is not the channels of the layer, and the folded factors cannot be divided out.
        """
        self.kind._check_input_dim(self, input)
        return input if input.ndim == self.axes else self._along_axis_1(input)

    def _along_axis_1(self, folded: Tensor) -> Tensor:
        if folded.shape[1] != len(self.scale):
            raise ShapeError(
                f"BatchNorm {self.name!r} normalises {len(self.scale)} channels along axis 1, got an input of shape "
                f"{tuple(folded.shape)}"
            )
        self._tell(folded.ndim)
        layer_axis = -1 if self.axes == 2 else 0
        scale, shift = (value.to(folded.dtype) for value in (self.scale, self.shift))
        if not bool((scale.abs() > shift.abs() * torch.finfo(folded.dtype).eps ** 0.5).all()):
            raise UnsupportedError(
                f"BatchNorm {self.name!r} normalises axis 1 of an input of {folded.ndim} axes, which is not the axis "
                "of the channels of the layer it was folded into, and its factors are too small to be divided out "
                f"again (the smallest is {float(scale.abs().min()):.2g}). {_REMEDY}"
            )
        plain = (folded - _along(shift, folded, layer_axis)) / _along(scale, folded, layer_axis)
        return plain * _along(scale, folded, 1) + _along(shift, folded, 1)

    def _tell(self, axes: int) -> None:
        if not self._told:
            self._told = True
            message = (
                f"BatchNorm {self.name!r} normalises axis 1 of an input of {axes} axes, which is not the axis of the "
                f"channels of the layer it was folded into: answers are right, but the arrays hold weights scaled for "
                f"nothing. {_REMEDY}"
            )
            warnings.warn(message, RuntimeWarning, stacklevel=4)


@final
class ShiftingNorm(nn.Module):
    """Takes only what a BatchNorm took in the example that has shown its channels, and adds what is left of it.

    Args:
        norm: The normalisation, folded into something before it but for what is added.
        name: Name of the normalisation, for messages.
        axes: How many axes its input has.
        bias: What is added to each channel, ``(channels,)``; None: nothing.
    """

    bias: nn.Parameter | None

    def __init__(self, norm: Any, name: str, axes: int, bias: nn.Parameter | None) -> None:
        super().__init__()
        self.train(norm.training)
        self.name, self.axes, self.channels = name, axes, len(norm.running_var)
        self.register_parameter("bias", bias)

    def forward(self, input: Tensor) -> Tensor:
        """``input``, the folded outputs, plus the bias.

        Raises:
            ShapeError: the channels are not where they were in the example.
        """
        if input.ndim != self.axes or input.shape[1] != self.channels:
            raise ShapeError(
                f"BatchNorm {self.name!r} was folded for inputs of {self.axes} axes with {self.channels} channels "
                f"along axis 1, got shape {tuple(input.shape)}. {_REMEDY}"
            )
        return input if self.bias is None else input + _along(self.bias.to(input.dtype), input, 1)

    def extra_repr(self) -> str:
        """The normalisation it stands for."""
        return f"{self.channels}, bias={self.bias is not None}"


_REMEDY = "Leave BatchNorm digital (fuse_batchnorm=False; in a study model.fold_batchnorm: false)"


def _along(value: Tensor, like: Tensor, axis: int) -> Tensor:
    """``(n,)``, shaped to meet ``axis`` of ``like``."""
    shape = [1] * like.ndim
    shape[axis] = -1
    return value.reshape(shape)
