"""Grouped convolutions whose groups have arrays of their own: no cell is spent on channels that are not connected.

The matrix is ``(outputs, channels of a group * taps + bias columns)``: each row holds the taps on the channels of its
own group. `AnalogCore` keeps rows of different groups in different arrays (``row_groups``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any, final

from crossohm.backends import Array, backend_of
from crossohm.errors import ParameterError
from crossohm.layers.maps.convolution import Convolution, ConvolutionPiece

#: How the groups of a convolution can be stored.
GROUPINGS = ("dense", "per_group")
#: How they are stored where nothing else is said.
USUAL_GROUPING = "per_group"


def checked_grouping(grouping: str) -> str:
    """One of `GROUPINGS`, or an error."""
    if grouping not in GROUPINGS:
        raise ParameterError("grouping", grouping, "is no way to store groups", allowed=" or ".join(GROUPINGS))
    return grouping


def stored_as(grouping: str, whole: Convolution) -> Convolution | GroupedConvolution:
    """A convolution with its groups in arrays as ``grouping`` says."""
    return GroupedConvolution(whole) if grouping == "per_group" and whole.groups > 1 else whole


@cache  # asked for in every product
def convolution_map(grouping: str, *shape: Any) -> Convolution | GroupedConvolution:
    """A convolution of this shape, see `Convolution`, as `stored_as` has it: the same object for the same shape."""
    return stored_as(grouping, Convolution(*shape))


@final
@dataclass(frozen=True)
class GroupedPiece:
    """Some matrix columns of all groups.

    Attributes:
        weight: Kernel ``(outputs, channels, *kernel_size)``, or None if the piece has bias columns only.
        channels: The channels it reads within each group.
        bias: Sum of its bias columns ``(outputs,)``, or None.
    """

    weight: Array | None
    channels: slice
    bias: Array | None


@final
@dataclass(frozen=True)
class GroupedConvolution:
    """How already padded inputs ``(batch, channels (+ 1), *size)`` meet the matrices of all groups.

    Attributes:
        whole: The convolution; its groups are those of the arrays.
    """

    whole: Convolution

    @property
    def constants(self) -> int:
        """Features of constant one."""
        return self.whole.constants

    @property
    def row_groups(self) -> int:
        """Groups with arrays of their own."""
        return self.whole.groups

    def row_group(self, index: int) -> ChannelGroup:
        """The convolution of one group."""
        size = self._one.channels
        return ChannelGroup(self._one, slice(index * size, (index + 1) * size), self.whole.channels)

    @cached_property
    def _one(self) -> Convolution:
        return replace(self.whole, channels=self.whole.channels // self.whole.groups, groups=1)

    def prepare(self, weights: Array, start: int) -> GroupedPiece:
        """Kernels of matrix columns ``start .. start + n``."""
        data = self._one.channels * self._one.taps
        inside = max(0, min(start + weights.shape[1], data) - start)
        bias = backend_of(weights).xp.sum(weights[:, inside:], axis=1) if start + weights.shape[1] > data else None
        if not inside:
            return GroupedPiece(None, slice(0, 0), bias)
        piece = self._one.prepare(weights[:, :inside], start)
        return GroupedPiece(piece.weight, piece.channels, bias)

    def contract(self, x: Array, kernel: GroupedPiece) -> Array:
        """A grouped convolution; what the constant ones contribute is added by itself."""
        parts = []
        if kernel.weight is not None:
            parts.append(self._convolve(x, kernel.weight, kernel.channels))
        if kernel.bias is not None:
            parts.append(self._ones(x) * backend_of(x).xp.reshape(kernel.bias, (-1, *(1,) * (x.ndim - 2))))
        return parts[0] if len(parts) == 1 else parts[0] + parts[1]

    def _convolve(self, x: Array, weight: Array, channels: slice) -> Array:
        xp, data = backend_of(x).xp, x[:, : self.whole.channels]
        if weight.shape[1] < self._one.channels:
            by_group = xp.reshape(data, (x.shape[0], self.whole.groups, -1, *x.shape[2:]))
            data = xp.reshape(by_group[:, :, channels], (x.shape[0], -1, *x.shape[2:]))
        return self.whole.convolve(data, weight)

    def _ones(self, x: Array) -> Array:
        """What drives the bias columns at every output, ``(batch, 1, *positions)``."""
        counts = self.whole.positions(x.shape[2:])
        axes = zip(counts, self.whole.stride, strict=True)
        places = (slice(0, (count - 1) * stride + 1, stride) for count, stride in axes)
        return x[(slice(None), slice(self.whole.channels, None), *places)]

    def windows(self, x: Array) -> Array:
        """Every input vector of all groups side by side."""
        return backend_of(x).xp.concat([self.row_group(index).windows(x) for index in range(self.row_groups)], axis=1)

    def fold(self, y: Array, x: Array) -> Array:
        """Outputs of the vectors of `windows` as ``(batch, outputs, *positions)``."""
        return self.whole.fold(y, x)

    def input_gradient(self, grad: Array, matrix: Array, shape: tuple[int, ...]) -> Array:
        """Gradient of inputs of ``shape`` for that of the outputs; zero at the constant ones."""
        return self.whole.input_gradient_of(grad, matrix[:, : self._one.channels * self._one.taps], shape)

    def matrix_gradient(self, grad: Array, x: Array) -> Array:
        """Gradient of the matrix for that of the outputs."""
        return self.whole.own_gradient(grad, x)


@final
@dataclass(frozen=True)
class ChannelGroup:
    """A convolution of one group's channels; inputs are those of all groups.

    Attributes:
        one: The convolution of a group.
        own: Channels of the group.
        channels: Data channels of all groups, behind which the constant ones may follow.
    """

    one: Convolution
    own: slice
    channels: int

    @property
    def constants(self) -> int:
        """Features of constant one."""
        return self.one.constants

    @property
    def row_groups(self) -> int:
        """One."""
        return 1

    def row_group(self, index: int) -> ChannelGroup:
        """Itself."""
        return self

    def prepare(self, weights: Array, start: int) -> ConvolutionPiece:
        """The kernel of matrix columns ``start .. start + n``."""
        return self.one.prepare(weights, start)

    def contract(self, x: Array, kernel: ConvolutionPiece) -> Array:
        """A convolution over the channels of the group."""
        return self.one.contract(self._inputs(x), kernel)

    def windows(self, x: Array) -> Array:
        """Every input vector of the group."""
        return self.one.windows(self._inputs(x))

    def fold(self, y: Array, x: Array) -> Array:
        """Outputs of the vectors of `windows` as ``(batch, outputs, *positions)``."""
        return self.one.fold(y, x)

    def matrix_gradient(self, grad: Array, x: Array) -> Array:
        """Gradient of the group's rows of the matrix for that of its outputs."""
        return self.one.matrix_gradient(grad, self._inputs(x))

    def _inputs(self, x: Array) -> Array:
        if not self.one.bias_columns:
            return x[:, self.own]
        return backend_of(x).xp.concat([x[:, self.own], x[:, self.channels :]], axis=1)
