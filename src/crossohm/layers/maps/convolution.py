"""Convolution as the linear map of a core: the matrix is a flattened kernel, no window is ever unrolled.

Matrix column ``c * taps + t`` holds input channel ``c`` at kernel tap ``t`` (taps in C order), so any run of matrix
columns is a convolution over the channels it touches. Bias columns come last; they all see one channel of ones that
follows the data channels, through the kernel's first tap.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any, final

import numpy as np

from crossohm.backends import Array, backend_of
from crossohm.backends.convolution import Steps


@final
@dataclass(frozen=True)
class ConvolutionPiece:
    """Some matrix columns as a kernel.

    Attributes:
        weight: ``(outputs, channels, *kernel_size)``, zeros between blocks included: gradients come in this shape.
        channels: The channels it reads.
        groups: Blocks of channels and outputs between which there is nothing but zeros.
    """

    weight: Array
    channels: slice
    groups: int = 1


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
        """One: all groups share arrays (see `crossohm.layers.maps.grouped` for arrays of their own)."""
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

    @cached_property
    def _steps(self) -> Steps:
        return Steps(self.stride, self.dilation, self.padding)

    @cached_property
    def _grouped_steps(self) -> Steps:
        return Steps(self.stride, self.dilation, self.padding, self.groups)

    def prepare(self, weights: Array, start: int) -> ConvolutionPiece:
        """The kernel of matrix columns ``start .. start + n``; a cut may fall inside a channel."""
        xp, outputs = backend_of(weights).xp, weights.shape[0]
        stop, data = start + weights.shape[1], self.channels * self.taps
        first, last = min(start, data) // self.taps, -(-min(stop, data) // self.taps)
        inside, before = max(0, min(stop, data) - start), start - first * self.taps
        after = (last - first) * self.taps - before - inside
        parts = [_zeros(weights, before), weights[:, :inside], _zeros(weights, after)] if inside else []
        if stop > data:
            parts += [xp.sum(weights[:, inside:], axis=1, keepdims=True), _zeros(weights, self.taps - 1)]
            last = self.channels + 1
        columns = _joined(parts)
        apart = (first, last) == (0, self.channels) and are_diagonal(columns, self.groups)
        kernel = xp.reshape(columns, (outputs, last - first, *self.kernel_size))
        return ConvolutionPiece(kernel, slice(first, last), self.groups if apart else 1)

    def contract(self, x: Array, kernel: ConvolutionPiece, bias: Array | None = None) -> Array:
        """A convolution of the library over the channels of the piece; a ``bias`` is added in the same pass."""
        weight, steps, backend = kernel.weight, self._steps, backend_of(x)
        data = x if x.shape[1] == weight.shape[1] else x[:, kernel.channels]
        if kernel.groups > 1:
            outputs, channels, *size = weight.shape
            blocks = diagonal_blocks(backend.xp.reshape(weight, (outputs, -1)), kernel.groups)
            weight = backend.xp.reshape(blocks, (outputs, channels // kernel.groups, *size))
            steps = steps._replace(groups=kernel.groups)
        return backend.convolve(data, weight, steps, bias)

    def convolve(self, x: Array, weight: Array) -> Array:
        """A convolution with this geometry and these groups."""
        return backend_of(x).convolve(x, weight, self._grouped_steps)

    def windows(self, x: Array) -> Array:
        """Every input vector, ``(batch * positions, columns)``, in matrix column order."""
        xp = backend_of(x).xp
        vectors = xp.reshape(self._taps(x[:, : self.channels]), (-1, self.channels * self.taps))
        if not self.bias_columns:
            return vectors
        ones = xp.reshape(self._taps(x[:, self.channels :]), (-1, self.taps))[:, :1]
        return xp.concat([vectors, xp.broadcast_to(ones, (ones.shape[0], self.bias_columns))], axis=1)

    def fold(self, y: Array, x: Array) -> Array:
        """Outputs of the vectors of `windows` as ``(batch, outputs, *positions)``."""
        backend = backend_of(y)
        shaped = backend.xp.reshape(y, (x.shape[0], *self.positions(x.shape[2:]), y.shape[1]))
        return backend.writable(backend.xp.moveaxis(shaped, -1, 1))

    def positions(self, size: tuple[int, ...]) -> list[int]:
        """Number of outputs along each axis for inputs of ``size``."""
        return self._steps.positions(size, self.kernel_size)

    def input_gradient(self, grad: Array, matrix: Array, shape: tuple[int, ...]) -> Array:
        """Gradient of inputs of ``shape`` for that of the outputs; zero at the constant ones."""
        own = diagonal_blocks(matrix[:, : self.channels * self.taps], self.groups)
        return self.input_gradient_of(grad, own, shape)

    def input_gradient_of(self, grad: Array, flat: Array, shape: tuple[int, ...]) -> Array:
        """The same from each output's own weights, ``(outputs, columns of a group)``."""
        backend = backend_of(grad)
        kernel = backend.xp.reshape(flat, (-1, self.channels // self.groups, *self.kernel_size))
        data = (shape[0], self.channels, *shape[2:])
        steps = self._grouped_steps
        found = backend.convolution_input_gradient(grad, kernel, data, steps)
        return _joined([found, backend.xp.zeros_like(found[:, :1])]) if self.bias_columns else found

    def matrix_gradient(self, grad: Array, x: Array) -> Array:
        """Gradient of the matrix for that of the outputs; zero at cells between groups."""
        return self._with_bias_gradient(block_diagonal(self._weight_gradient(grad, x), self.groups), grad, x)

    def own_gradient(self, grad: Array, x: Array) -> Array:
        """The same for each output's own cells, ``(outputs, columns of a group + bias columns)``."""
        return self._with_bias_gradient(self._weight_gradient(grad, x), grad, x)

    def _weight_gradient(self, grad: Array, x: Array) -> Array:
        backend, steps = backend_of(grad), self._grouped_steps
        shape = (grad.shape[1], self.channels // self.groups, *self.kernel_size)
        found = backend.convolution_kernel_gradient(grad, x[:, : self.channels], shape, steps)
        return backend.xp.reshape(found, (shape[0], -1))

    def _with_bias_gradient(self, found: Array, grad: Array, x: Array) -> Array:
        """``found`` with the columns of the bias; what drives them, a one or its voltage, is the same everywhere."""
        if not self.bias_columns:
            return found
        backend = backend_of(grad)
        xp = backend.xp
        arrived = xp.sum(xp.reshape(grad, (*grad.shape[:2], -1)), axis=2)
        drive = xp.reshape(x[:, self.channels], (x.shape[0], -1))[:, :1]
        bias = backend.transposed(backend.transposed(drive) @ arrived)
        return xp.concat([found, xp.broadcast_to(bias, (bias.shape[0], self.bias_columns))], axis=1)

    def _taps(self, x: Array) -> Array:
        """``(batch, *positions, channels, *kernel_size)`` of the input."""
        return backend_of(x).taps_of(x, self.kernel_size, self._steps)


def with_all_cells(contraction: Any) -> Any:
    """The same map, whose gradients include the cells between groups: these are driven as well."""
    return replace(contraction, groups=1) if isinstance(contraction, Convolution) else contraction


def block_diagonal(flat: Array, groups: int) -> Array:
    """Rows of a grouped kernel, ``(outputs, columns of a group)``, at full width: zeros outside their own group."""
    if groups == 1:
        return flat
    xp, (rows, width) = backend_of(flat).xp, flat.shape
    own = xp.permute_dims(xp.reshape(flat, (groups, rows // groups, width)), (1, 0, 2))
    # With as many zeros as the full width behind each group, rows of the full width begin one group further each time.
    zeros = xp.broadcast_to(xp.zeros_like(own[..., :1]), (*own.shape[:2], groups * width))
    skewed = xp.reshape(xp.concat([own, zeros], axis=2), (rows // groups, -1))[:, : groups * groups * width]
    full = xp.permute_dims(xp.reshape(skewed, (rows // groups, groups, groups * width)), (1, 0, 2))
    return xp.reshape(full, (rows, groups * width))


def diagonal_blocks(matrix: Array, groups: int) -> Array:
    """Inverse of `block_diagonal`: each row's columns of its own group."""
    if groups == 1:
        return matrix
    xp, (rows, columns) = backend_of(matrix).xp, matrix.shape
    blocks = xp.reshape(matrix, (groups, rows // groups, groups, columns // groups))
    own = xp.linalg.diagonal(xp.permute_dims(blocks, (1, 3, 0, 2)))
    return xp.reshape(xp.permute_dims(own, (2, 0, 1)), (rows, columns // groups))


def are_diagonal(matrix: Array, groups: int) -> bool:
    """True if what lies beside the blocks of `diagonal_blocks` is known to be zero but for rounding."""
    backend, (rows, columns) = backend_of(matrix), matrix.shape
    if groups == 1 or rows % groups or backend.is_traced(matrix):
        return False
    blocks = backend.xp.reshape(backend.xp.abs(matrix), (groups, rows // groups, groups, columns // groups))
    sums = backend.to_numpy(backend.xp.sum(backend.xp.sum(blocks, axis=3), axis=1))
    beside = sums[~np.eye(groups, dtype=bool)].sum()
    return bool(beside <= np.finfo(sums.dtype).eps * sums.sum())


def _zeros(weights: Array, columns: int) -> Array:
    """Columns of zeros beside ``weights``."""
    xp = backend_of(weights).xp
    return xp.broadcast_to(xp.zeros_like(weights[:, :1]), (weights.shape[0], columns))


def _joined(parts: list[Array]) -> Array:
    """The parts side by side, in memory of their own."""
    return backend_of(parts[0]).xp.concat(parts, axis=1)
