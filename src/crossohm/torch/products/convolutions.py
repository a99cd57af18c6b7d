"""Calls of torch's convolution functions, seen as a signal that meets a kernel in arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any, final

import torch.nn.functional as F
from torch import Tensor

from crossohm.layers.layout import Layout, View
from crossohm.layers.layouts import convolutional, kernel_of_inputs, kernel_of_outputs
from crossohm.layers.maps.convolution import Convolution
from crossohm.layers.maps.geometry import Margins, spread, torch_margins, transposed_margins
from crossohm.layers.maps.grouped import stored_as
from crossohm.layers.product import DifferentiableContraction

_ARGUMENTS = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_TRANSPOSED = ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")
#: By name of a function: its rank and its arguments.
CONVOLUTIONS = {f"conv{rank}d": (rank, _ARGUMENTS) for rank in (1, 2, 3)} | {
    f"conv_transpose{rank}d": (rank, _TRANSPOSED) for rank in (1, 2, 3)
}


@final
@dataclass(frozen=True)
class Kernels:
    """What the kernel of a convolution is, whatever its signal.

    Attributes:
        shape: Of the kernel, or of the stack of them.
        groups: Blocks of channels that are connected.
        transposed: It is that of a transposed convolution.
        count: Kernels in the stack along a first axis; None: no stack.
    """

    shape: tuple[int, ...]
    groups: int
    transposed: bool
    count: int | None = None

    @property
    def is_stack(self) -> bool:
        """True if there are several kernels."""
        return self.count is not None

    def of_stack(self, count: int) -> Kernels:
        """A stack of as many such kernels."""
        return replace(self, shape=(count, *self.shape), count=count)

    @cached_property
    def one(self) -> tuple[int, ...]:
        """Shape of one kernel."""
        return self.shape[1:] if self.is_stack else self.shape

    @cached_property
    def channels(self) -> int:
        """Of the signal."""
        return self.one[0] if self.transposed else self.one[1] * self.groups

    @cached_property
    def _view(self) -> View:
        first, second, *taps = self.one
        if self.transposed:
            return kernel_of_inputs(first, second * self.groups, self.groups, taps)
        return kernel_of_outputs(first, second, taps)

    def layouts(self, parameter: str, grouping: str) -> list[Layout]:
        """Where the kernel, called ``parameter``, lies in each matrix, its groups stored as ``grouping`` says."""
        layout = convolutional(self._view, self.groups, per_group=grouping == "per_group", weight=parameter)
        return [layout] if self.count is None else [layout.in_stack(index, self.count) for index in range(self.count)]


@final
@dataclass(frozen=True)
class ConvolutionCall:
    """One call of a convolution.

    Attributes:
        matrices: Its kernel.
        signal: ``(batch, channels, *size)``.
        stride: Step along each axis.
        dilation: Distance of neighbouring taps along each axis.
        margins: Zeros around the signal; what is cut off the result if the convolution is transposed.
        extra: Added to the result of a transposed convolution at the end of each axis.
        finish: What follows the product.
    """

    matrices: Kernels
    signal: Tensor
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    margins: Margins
    extra: tuple[int, ...]
    finish: Callable[[Tensor], Tensor]
    index: tuple[Any, ...] = ()

    @property
    def multiplications(self) -> int:
        """Of numbers."""
        positions = self.signal.shape[2:] if self.matrices.transposed else self._convolution(()).positions(self._size)
        return int(self.signal.shape[0] * prod(positions) * prod(self.matrices.one))

    @property
    def _size(self) -> tuple[int, ...]:
        sizes = zip(self.signal.shape[2:], self.margins, strict=True)
        return tuple(size + before + after for size, (before, after) in sizes)

    def through(
        self, multiply: Callable[[int, Tensor, DifferentiableContraction], Tensor], grouping: str, ignores_zeros: bool
    ) -> Tensor:
        """The result, with products as ``multiply`` computes them.

        Args:
            multiply: See `Multiply`.
            grouping: How the arrays store groups.
            ignores_zeros: Zeros drive nothing, so that they need not be there.
        """
        x, padding = self._prepared(ignores_zeros)
        return self.finish(multiply(0, x, stored_as(grouping, self._convolution(padding))))

    def _prepared(self, ignores_zeros: bool) -> tuple[Tensor, tuple[int, ...]]:
        """What the arrays are driven with, and the margin that the convolution adds itself."""
        margins, x = self.margins, self.signal
        if self.matrices.transposed:
            margins = transposed_margins(margins, self.extra, self._taps, self.dilation)
            x = spread(x, self.stride)
        elif ignores_zeros and all(before == after for before, after in margins):
            return x, tuple(before for before, _ in margins)
        return F.pad(x, [side for pair in reversed(margins) for side in pair]), ()

    @property
    def _taps(self) -> tuple[int, ...]:
        return self.matrices.one[2:]

    def _convolution(self, padding: tuple[int, ...]) -> Convolution:
        kernels = self.matrices
        stride = (1,) * len(self.stride) if kernels.transposed else self.stride
        return Convolution(kernels.channels, self._taps, stride, self.dilation, 0, kernels.groups, padding)


def convolution_of(name: str, args: Sequence[Any], kwargs: Mapping[str, Any], kernel: Tensor) -> ConvolutionCall | None:
    """The convolution that a function computes with ``kernel``; None if that is no kernel there.

    Args:
        name: Of the function.
        args: Its arguments.
        kwargs: Its keyword arguments.
        kernel: One of its operands.
    """
    rank, names = CONVOLUTIONS[name]
    given = dict(zip(names, args, strict=False)) | dict(kwargs)
    x, bias = given["input"], given.get("bias")
    if given["weight"] is not kernel or not isinstance(x, Tensor):
        return None
    transposed, groups = names is _TRANSPOSED, given.get("groups", 1)
    stride, dilation, extra = (
        _per_axis(given.get(key, default), rank)
        for key, default in (("stride", 1), ("dilation", 1), ("output_padding", 0))
    )
    padding = given.get("padding", 0)
    padding = padding if isinstance(padding, str) else _per_axis(padding, rank)
    margins = torch_margins(padding, tuple(kernel.shape[2:]), dilation)
    batched = x.ndim == rank + 2

    def finish(y: Tensor) -> Tensor:
        y = y if bias is None else y + bias.reshape(-1, *(1,) * rank)
        return y if batched else y[0]

    kernels = Kernels(tuple(kernel.shape), groups, transposed)
    return ConvolutionCall(kernels, x if batched else x[None], stride, dilation, margins, extra, finish)


def _per_axis(value: Any, rank: int) -> tuple[int, ...]:
    found = (value,) if isinstance(value, int) else tuple(value)
    return found * rank if len(found) == 1 else found
