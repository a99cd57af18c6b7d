"""Calls of torch's convolution functions, seen as a signal that meets a kernel in arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from math import prod
from typing import Any, final

import torch.nn.functional as F
from torch import Tensor

from crossohm.backends.convolution import Steps
from crossohm.layers.layout import Layout, View
from crossohm.layers.layouts import convolutional, kernel_of_inputs, kernel_of_outputs
from crossohm.layers.maps.convolution import Convolution
from crossohm.layers.maps.geometry import Margins, spread, torch_margins, transposed_margins
from crossohm.layers.maps.grouped import GroupedConvolution, convolution_map
from crossohm.layers.product import DifferentiableContraction

_ARGUMENTS = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_TRANSPOSED = ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")
#: Of both, and what they are where they are not given.
_STEPS = (("stride", 1), ("padding", 0), ("dilation", 1), ("output_padding", 0), ("groups", 1))
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
@dataclass(frozen=True, eq=False)
class Geometry:
    """How a convolution goes over its signal.

    Attributes:
        kernels: Its kernel.
        stride: Step along each axis.
        dilation: Distance of neighbouring taps along each axis.
        margins: Zeros around the signal; what is cut off the result if the convolution is transposed.
        extra: Added to the result of a transposed convolution at the end of each axis.
    """

    kernels: Kernels
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    margins: Margins
    extra: tuple[int, ...]

    @cached_property
    def sides(self) -> list[int]:
        """Zeros around the signal that the arrays meet, as `torch.nn.functional.pad` takes them."""
        margins = self.margins
        if self.kernels.transposed:
            margins = transposed_margins(margins, self.extra, self.kernels.one[2:], self.dilation)
        return [side for pair in reversed(margins) for side in pair]

    @cached_property
    def own_padding(self) -> tuple[int, ...] | None:
        """The margin that the convolution can add itself, where zeros drive nothing; None: it cannot."""
        if self.kernels.transposed or any(before != after for before, after in self.margins):
            return None
        return tuple(before for before, _ in self.margins)

    def convolution(self, grouping: str, padding: tuple[int, ...]) -> Convolution | GroupedConvolution:
        """As the arrays compute it.

        Args:
            grouping: How they store groups.
            padding: The margin that it adds itself.
        """
        kernels = self.kernels
        stride = (1,) * len(self.stride) if kernels.transposed else self.stride
        return convolution_map(
            grouping, kernels.channels, kernels.one[2:], stride, self.dilation, 0, kernels.groups, padding
        )


@final
@dataclass(frozen=True)
class ConvolutionCall:
    """One call of a convolution.

    Attributes:
        geometry: How it goes over its signal.
        signal: ``(batch, channels, *size)``.
        finish: What follows the product.
        index: What takes the kernel from the operand: nothing.
    """

    geometry: Geometry
    signal: Tensor
    finish: Callable[[Tensor], Tensor]
    index: tuple[Any, ...] = ()

    @property
    def matrices(self) -> Kernels:
        """The kernel."""
        return self.geometry.kernels

    @property
    def multiplications(self) -> int:
        """Of numbers."""
        size, geometry = self.signal.shape[2:], self.geometry
        if not self.matrices.transposed:
            padded = (n + before + after for n, (before, after) in zip(size, geometry.margins, strict=True))
            size = Steps(geometry.stride, geometry.dilation).positions(tuple(padded), self.matrices.one[2:])
        return int(self.signal.shape[0] * prod(size) * prod(self.matrices.one))

    def through(
        self, multiply: Callable[[int, Tensor, DifferentiableContraction], Tensor], grouping: str, ignores_zeros: bool
    ) -> Tensor:
        """The result, with products as ``multiply`` computes them.

        Args:
            multiply: See `Multiply`.
            grouping: How the arrays store groups.
            ignores_zeros: Zeros drive nothing, so that they need not be there.
        """
        geometry, x, padding = self.geometry, self.signal, self.geometry.own_padding if ignores_zeros else None
        if padding is None:
            x, padding = F.pad(spread(x, geometry.stride) if self.matrices.transposed else x, geometry.sides), ()
        return self.finish(multiply(0, x, geometry.convolution(grouping, padding)))


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
    words = (_word(given.get(key, default)) for key, default in _STEPS)
    batched = x.ndim == rank + 2

    def finish(y: Tensor) -> Tensor:
        y = y if bias is None else y + bias.reshape(-1, *(1,) * rank)
        return y if batched else y[0]

    return ConvolutionCall(_geometry(name, tuple(kernel.shape), *words), x if batched else x[None], finish)


@lru_cache(maxsize=4096)  # asked for in every product
def _geometry(
    name: str, kernel: tuple[int, ...], stride: Any, padding: Any, dilation: Any, output_padding: Any, groups: int
) -> Geometry:
    rank, names = CONVOLUTIONS[name]
    steps, spacing, extra = (_per_axis(value, rank) for value in (stride, dilation, output_padding))
    margins = torch_margins(padding if isinstance(padding, str) else _per_axis(padding, rank), kernel[2:], spacing)
    return Geometry(Kernels(kernel, groups, names is _TRANSPOSED), steps, spacing, margins, extra)


def _word(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _per_axis(value: Any, rank: int) -> tuple[int, ...]:
    found = (value,) if isinstance(value, int) else tuple(value)
    return found * rank if len(found) == 1 else found
