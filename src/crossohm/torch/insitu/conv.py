"""A convolution trained on its own devices: one write per output position."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crossohm.torch.insitu.layer import InSituLayer
from crossohm.torch.insitu.linear import matrix_of
from crossohm.training.arrays.settings import ArraySettings
from crossohm.training.rules.model import Rule


@final
class InSituConv2d(InSituLayer):
    """``torch.nn.Conv2d`` (one group, zero padding) whose kernels and biases live on devices.

    Args:
        in_channels: Channels of the inputs.
        out_channels: Channels of the outputs.
        kernel_size: Height and width of the kernel, or one number for both.
        stride: As of ``torch.nn.Conv2d``.
        padding: As of ``torch.nn.Conv2d``, numbers only.
        dilation: As of ``torch.nn.Conv2d``.
        bias: Learn biases, on a column of devices that is driven with ones.
        settings: Kind of array; None: ideal devices in balanced pairs.
        limit: Weights from ``-limit`` to ``limit`` fill the range of the devices.
        rule: What is written where; None: every update goes onto the weights.
        seed: The chip.
        name: The array's name.

    Raises:
        ParameterError: a parameter is out of its range.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        bias: bool = True,
        *,
        settings: ArraySettings | None = None,
        limit: float = 1.0,
        rule: Rule | None = None,
        seed: int = 0,
        name: str = "conv",
    ) -> None:
        start = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, dilation, bias=bias)
        matrix = matrix_of(start.weight, start.bias)
        super().__init__((out_channels, matrix.shape[1]), settings or ArraySettings(), limit, rule, seed, name)
        self.in_channels, self.out_channels, self.has_bias = in_channels, out_channels, bias
        self.kernel_size, self.stride, self.dilation = start.kernel_size, start.stride, start.dilation
        self.padding: tuple[int, int] = start.padding
        self.set_weights(matrix)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs ``(batch, out_channels, height, width)`` of inputs ``(batch, in_channels, ...)``."""
        patches = F.unfold(x, self.kernel_size, self.dilation, self.padding, self.stride).transpose(1, 2)
        flat = patches.reshape(-1, patches.shape[-1])
        if self.has_bias:
            flat = torch.cat([flat, flat.new_ones(len(flat), 1)], dim=1)
        rows, columns = (self._positions(x.shape[2 + axis], axis) for axis in (0, 1))
        return self.product(flat, len(x)).reshape(len(x), rows, columns, -1).permute(0, 3, 1, 2)

    def _positions(self, size: int, axis: int) -> int:
        """Output positions along an axis."""
        reach = self.dilation[axis] * (self.kernel_size[axis] - 1) + 1
        return (size + 2 * self.padding[axis] - reach) // self.stride[axis] + 1

    def extra_repr(self) -> str:
        """Sizes, as torch prints them."""
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"padding={self.padding}, dilation={self.dilation}, bias={self.has_bias}"
        )
