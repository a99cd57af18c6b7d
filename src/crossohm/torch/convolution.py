"""Convolution as the linear map of a core: the matrix is a flattened kernel, no window is ever unrolled.

Matrix column ``c * taps + t`` holds input channel ``c`` at kernel tap ``t`` (taps in C order), so any run of matrix
columns is a convolution over the channels it touches. Bias columns come last; they all see one channel of ones that
follows the data channels, through the kernel's first tap.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor

_CONVOLVE = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


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
    """

    channels: int
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    bias_columns: int = 0

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

    def contract(self, x: Tensor, kernel: ConvolutionPiece) -> Tensor:
        """A native convolution over the channels of the piece."""
        convolve = _CONVOLVE[len(self.kernel_size)]
        return convolve(x[:, kernel.channels], kernel.weight, stride=self.stride, dilation=self.dilation)

    def windows(self, x: Tensor) -> Tensor:
        """Every input vector, ``(batch * positions, columns)``, in matrix column order."""
        vectors = self._taps(x[:, : self.channels]).flatten(-1 - len(self.kernel_size)).flatten(0, -2)
        if not self.bias_columns:
            return vectors
        ones = self._taps(x[:, self.channels :]).flatten(-1 - len(self.kernel_size))[..., :1].reshape(-1, 1)
        return torch.cat([vectors, ones.expand(-1, self.bias_columns)], dim=1)

    def fold(self, y: Tensor, x: Tensor) -> Tensor:
        """Outputs of the vectors of `windows` as ``(batch, outputs, *positions)``."""
        positions = [
            (size - step * (taps - 1) - 1) // stride + 1
            for size, taps, stride, step in zip(x.shape[2:], self.kernel_size, self.stride, self.dilation, strict=True)
        ]
        return y.reshape(x.shape[0], *positions, y.shape[1]).movedim(-1, 1)

    def _taps(self, x: Tensor) -> Tensor:
        """A view ``(batch, *positions, channels, *kernel_size)`` of the input."""
        rank = len(self.kernel_size)
        for axis, (taps, stride, step) in enumerate(zip(self.kernel_size, self.stride, self.dilation, strict=True)):
            x = x.unfold(2 + axis, step * (taps - 1) + 1, stride)[..., ::step]
        return x.movedim(1, 1 + rank)
