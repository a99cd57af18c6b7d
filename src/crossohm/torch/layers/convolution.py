"""Convolution as the linear map of a core: the matrix is a flattened kernel, no window is ever unrolled.

Matrix column ``c * taps + t`` holds input channel ``c`` at kernel tap ``t`` (taps in C order), so any run of matrix
columns is a convolution over the channels it touches. Bias columns come last; they all see one channel of ones that
follows the data channels, through the kernel's first tap.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import grad as gradients

_CONVOLVE = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
#: Gradients of a convolution by number of dimensions: of the input, of the kernel.
_GRADIENTS: dict[int, tuple[Callable[..., Any], Callable[..., Any]]] = {
    1: (gradients.conv1d_input, gradients.conv1d_weight),
    2: (gradients.conv2d_input, gradients.conv2d_weight),
    3: (gradients.conv3d_input, gradients.conv3d_weight),
}


@final
@dataclass(frozen=True)
class ConvolutionPiece:
    """Some matrix columns as a kernel.

    Attributes:
        weight: ``(outputs, channels, *kernel_size)``.
        channels: The channels it reads.
    """

    weight: Tensor
    channels: slice


@final
@dataclass(frozen=True)
class Convolution:
    """How already padded inputs ``(batch, channels (+ 1), *size)`` meet the matrix of a convolution.

    Attributes:
        channels: Data channels. If there are bias columns, the input has one more: ones.
        kernel_size: Taps along each axis.
        stride: Step along each axis.
        dilation: Distance of neighbouring taps along each axis.
        bias_columns: Matrix columns after those of the data, driven with one.
        groups: Blocks of channels that are meant to be connected. All cells are driven; the gradients are those of a
            convolution with these groups.
        padding: Zeros the convolution itself adds on both sides of each axis; where they must be converted, the inputs
            come padded instead.
    """

    channels: int
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    bias_columns: int = 0
    groups: int = 1
    padding: tuple[int, ...] = ()

    @property
    def row_groups(self) -> int:
        """One: all groups share arrays (see `crossohm.torch.layers.grouped` for arrays of their own)."""
        return 1

    def row_group(self, index: int) -> Convolution:
        """All of it."""
        return self

    @property
    def constants(self) -> int:
        """Features of constant one: a channel for all bias columns together."""
        return 1 if self.bias_columns else 0

    @property
    def taps(self) -> int:
        """Matrix columns per channel."""
        return prod(self.kernel_size)

    def prepare(self, weights: Tensor, start: int) -> ConvolutionPiece:
        """The kernel of matrix columns ``start .. start + n``; a cut may fall inside a channel."""
        outputs, stop, data = weights.shape[0], start + weights.shape[1], self.channels * self.taps
        first, last = min(start, data) // self.taps, -(-min(stop, data) // self.taps)
        kernel = weights.new_zeros(outputs, last - first, self.taps)
        inside = max(0, min(stop, data) - start)
        kernel.view(outputs, -1)[:, start - first * self.taps :][:, :inside] = weights[:, :inside]
        if stop > data:
            ones = weights.new_zeros(outputs, 1, self.taps)
            ones[:, 0, 0] = weights[:, inside:].sum(dim=1)
            kernel, last = torch.cat([kernel, ones], dim=1), self.channels + 1
        return ConvolutionPiece(kernel.reshape(outputs, last - first, *self.kernel_size), slice(first, last))

    def contract(self, x: Tensor, kernel: ConvolutionPiece, bias: Tensor | None = None) -> Tensor:
        """A native convolution over the channels of the piece; a ``bias`` is added in the same pass."""
        data = x if x.shape[1] == kernel.weight.shape[1] else x[:, kernel.channels]
        return self.convolve(data, kernel.weight, bias=bias)

    def convolve(self, x: Tensor, weight: Tensor, groups: int = 1, bias: Tensor | None = None) -> Tensor:
        """Torch's convolution with this geometry."""
        function = _CONVOLVE[len(self.kernel_size)]
        return function(x, weight, bias, self.stride, self._margin, self.dilation, groups)

    @property
    def _margin(self) -> tuple[int, ...] | int:
        return self.padding or 0

    def windows(self, x: Tensor) -> Tensor:
        """Every input vector, ``(batch * positions, columns)``, in matrix column order."""
        if self.padding:
            x = F.pad(x, [side for width in reversed(self.padding) for side in (width, width)])
        vectors = self._taps(x[:, : self.channels]).flatten(-1 - len(self.kernel_size)).flatten(0, -2)
        if not self.bias_columns:
            return vectors
        ones = self._taps(x[:, self.channels :]).flatten(-1 - len(self.kernel_size))[..., :1].reshape(-1, 1)
        return torch.cat([vectors, ones.expand(-1, self.bias_columns)], dim=1)

    def fold(self, y: Tensor, x: Tensor) -> Tensor:
        """Outputs of the vectors of `windows` as ``(batch, outputs, *positions)``."""
        return y.reshape(x.shape[0], *self.positions(x.shape[2:]), y.shape[1]).movedim(-1, 1).contiguous()

    def positions(self, size: tuple[int, ...]) -> list[int]:
        """Number of outputs along each axis for inputs of ``size``."""
        padding = self.padding or (0,) * len(size)
        axes = zip(size, padding, self.kernel_size, self.stride, self.dilation, strict=True)
        return [(n + 2 * margin - step * (taps - 1) - 1) // stride + 1 for n, margin, taps, stride, step in axes]

    def input_gradient(self, grad: Tensor, matrix: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Gradient of inputs of ``shape`` for that of the outputs; zero at the constant ones."""
        own = diagonal_blocks(matrix[:, : self.channels * self.taps], self.groups)
        return self.input_gradient_of(grad, own, shape)

    def input_gradient_of(self, grad: Tensor, flat: Tensor, shape: tuple[int, ...]) -> Tensor:
        """The same from each output's own weights, ``(outputs, columns of a group)``."""
        of_input, _ = _GRADIENTS[len(self.kernel_size)]
        kernel = flat.reshape(-1, self.channels // self.groups, *self.kernel_size)
        data = (shape[0], self.channels, *shape[2:])
        found = of_input(data, kernel, grad, self.stride, self._margin, self.dilation, self.groups)
        return F.pad(found, (0, 0) * len(self.kernel_size) + (0, 1)) if self.bias_columns else found

    def matrix_gradient(self, grad: Tensor, x: Tensor) -> Tensor:
        """Gradient of the matrix for that of the outputs; zero at cells between groups."""
        return self._with_bias_gradient(block_diagonal(self._weight_gradient(grad, x), self.groups), grad, x)

    def own_gradient(self, grad: Tensor, x: Tensor) -> Tensor:
        """The same for each output's own cells, ``(outputs, columns of a group + bias columns)``."""
        return self._with_bias_gradient(self._weight_gradient(grad, x), grad, x)

    def _weight_gradient(self, grad: Tensor, x: Tensor) -> Tensor:
        _, of_kernel = _GRADIENTS[len(self.kernel_size)]
        shape = (grad.shape[1], self.channels // self.groups, *self.kernel_size)
        found: Tensor = of_kernel(
            x[:, : self.channels], shape, grad, self.stride, self._margin, self.dilation, self.groups
        )
        return found.flatten(1)

    def _with_bias_gradient(self, found: Tensor, grad: Tensor, x: Tensor) -> Tensor:
        """``found`` with the columns of the bias; what drives them, a one or its voltage, is the same everywhere."""
        if not self.bias_columns:
            return found
        bias = x[:, self.channels].flatten(1)[:, 0] @ grad.flatten(2).sum(dim=2)
        return torch.cat([found, bias[:, None].expand(-1, self.bias_columns)], dim=1)

    def _taps(self, x: Tensor) -> Tensor:
        """A view ``(batch, *positions, channels, *kernel_size)`` of the input."""
        rank = len(self.kernel_size)
        for axis, (taps, stride, step) in enumerate(zip(self.kernel_size, self.stride, self.dilation, strict=True)):
            x = x.unfold(2 + axis, step * (taps - 1) + 1, stride)[..., ::step]
        return x.movedim(1, 1 + rank)


def with_all_cells(contraction: Any) -> Any:
    """The same map, whose gradients include the cells between groups: these are driven as well."""
    return replace(contraction, groups=1) if isinstance(contraction, Convolution) else contraction


def block_diagonal(flat: Tensor, groups: int) -> Tensor:
    """Rows of a grouped kernel, ``(outputs, columns of a group)``, at full width: zeros outside their own group."""
    return flat if groups == 1 else torch.block_diag(*flat.chunk(groups))


def diagonal_blocks(matrix: Tensor, groups: int) -> Tensor:
    """Inverse of `block_diagonal`: each row's columns of its own group."""
    blocks = matrix.unflatten(0, (groups, -1)).unflatten(2, (groups, -1))
    return blocks.diagonal(dim1=0, dim2=2).movedim(-1, 0).flatten(0, 1)
