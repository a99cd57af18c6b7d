"""Analog transposed convolutions: convolutions of stride one over the input with zeros inserted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossohm.layers.hardware import Hardware
from crossohm.layers.layout import View
from crossohm.layers.layouts import kernel_of_inputs
from crossohm.layers.maps.geometry import spread, transposed_margins
from crossohm.layers.maps.grouped import USUAL_GROUPING
from crossohm.torch.layers.conv import ConvolutionLayer, Size
from crossohm.torch.tracing import untraced


class AnalogTransposedConvolution(ConvolutionLayer):
    """Base of the transposed convolution layers: a mixin before the torch layer.

    A transposed convolution is a convolution of stride one over the input with ``stride - 1`` zeros between its
    pixels, with the kernel's taps in opposite order. That is how the arrays compute it: the matrix is ``(out_channels,
    in_channels * taps + bias columns)``, every output is one line current converted once, and the inserted zeros and
    the margin are inputs like the zero padding of a convolution. (A matrix ``(out_channels * taps, in_channels)``
    driven with one input pixel at a time needs as many cells and ``stride`` times fewer products per axis, but converts
    every output up to ``kernel_size / stride`` times per axis, adds the results digitally, and has no place for a bias
    row.)

    Args:
        params: The hardware: one description, or a list with one per array (output partitions outermost).
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Taps, one number or one per axis.
        stride: Distance of neighbouring input pixels in the output.
        padding: Margin of the output that is cut off on both sides.
        output_padding: Added to the size of the output, at the end of each axis.
        groups: Blocks of channels that are connected.
        bias: If True, add a learnable bias.
        dilation: Distance of neighbouring taps.
        padding_mode: ``"zeros"``.
        device: Of the parameters.
        dtype: Of the parameters.
        bias_rows: Matrix columns that hold the bias, driven with one; 0 adds it digitally.
        seed: The chip; None draws one.
        name: Name of the core; layers of one chip need different names to have independent errors.
        grouping: ``"per_group"``: groups have arrays of their own. ``"dense"``: cells between them are zeros.
    """

    output_padding: tuple[int, ...]

    def __init__(
        self,
        params: Hardware,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        output_padding: Size = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Size = 1,
        padding_mode: str = "zeros",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        bias_rows: int = 0,
        *,
        seed: int | None = None,
        name: str = "core",
        grouping: str = USUAL_GROUPING,
    ) -> None:
        channels = (in_channels, out_channels, kernel_size, stride, padding, output_padding, groups)
        self.digital_type.__init__(self, *channels, bias, dilation, padding_mode, device=device, dtype=dtype)
        self._configure(grouping)
        self.install(params, bias_rows, seed, name)

    @property
    def _native_padding(self) -> tuple[int, ...]:
        """None: the margin is inserted together with the zeros between the pixels."""
        return ()

    @untraced
    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """Insert zeros digitally, then convolve in the arrays.

        Args:
            input: Input.
            output_size: Size of the output, where several fit; takes the place of ``output_padding``.
        """
        return self._convolve(input, self._stuffed, output_size)

    def _stuffed(self, x: Tensor, output_size: Sequence[int] | None) -> Tensor:
        """Inputs ``(batch, channels, *size)`` with the zeros between them and around them."""
        rank = len(self.kernel_size)
        extra = self._output_padding(x, output_size, self.stride, self.padding, self.kernel_size, rank, self.dilation)
        margins = transposed_margins(self._margins.margins, extra, self.kernel_size, self.dilation)
        return F.pad(spread(x, self.stride), [side for pair in reversed(margins) for side in pair])

    @property
    def _kernel_stride(self) -> tuple[int, ...]:
        return (1,) * len(self.kernel_size)

    @property
    def _kernel(self) -> View:
        return kernel_of_inputs(self.in_channels, self.out_channels, self.groups, self.kernel_size)


@final
class AnalogConvTranspose1d(AnalogTransposedConvolution, nn.ConvTranspose1d):
    """`torch.nn.ConvTranspose1d` on analog arrays; arguments as in `AnalogTransposedConvolution`.

    Shape:
        As `torch.nn.ConvTranspose1d`: ``(batch, in_channels, length)``, with or without batch.
    """

    digital_type = nn.ConvTranspose1d


@final
class AnalogConvTranspose2d(AnalogTransposedConvolution, nn.ConvTranspose2d):
    """`torch.nn.ConvTranspose2d` on analog arrays; arguments as in `AnalogTransposedConvolution`.

    Shape:
        As `torch.nn.ConvTranspose2d`: ``(batch, in_channels, height, width)``, with or without batch.
    """

    digital_type = nn.ConvTranspose2d


@final
class AnalogConvTranspose3d(AnalogTransposedConvolution, nn.ConvTranspose3d):
    """`torch.nn.ConvTranspose3d` on analog arrays; arguments as in `AnalogTransposedConvolution`.

    Shape:
        As `torch.nn.ConvTranspose3d`: ``(batch, in_channels, depth, height, width)``, with or without batch.
    """

    digital_type = nn.ConvTranspose3d
