"""Analog convolution layers; everything but the signature is the same for every number of dimensions."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossohm.errors import ShapeError
from crossohm.layers.hardware import Hardware
from crossohm.layers.layout import Layout, View
from crossohm.layers.layouts import convolutional, kernel_of_outputs
from crossohm.layers.maps.convolution import Convolution
from crossohm.layers.maps.geometry import Margins, torch_margins
from crossohm.layers.maps.grouped import USUAL_GROUPING, GroupedConvolution, checked_grouping, convolution_map
from crossohm.torch.layers.weighted import WeightedLayer
from crossohm.torch.tracing import untraced

Size = int | tuple[int, ...]


class _Padding(NamedTuple):
    """What surrounds the inputs of a convolution.

    Attributes:
        margins: Before and after, along each axis.
        sides: As `torch.nn.functional.pad` takes it; empty if there is none.
        symmetric: Along each axis, if it is the same on both sides everywhere; empty elsewhere.
    """

    margins: Margins
    sides: list[int]
    symmetric: tuple[int, ...]


@cache  # asked for in every product
def _padding_of(padding: str | tuple[int, ...], taps: tuple[int, ...], dilation: tuple[int, ...]) -> _Padding:
    margins = torch_margins(padding, taps, dilation)
    sides = [side for pair in reversed(margins) for side in pair]
    symmetric = all(before == after for before, after in margins)
    return _Padding(margins, sides if any(sides) else [], tuple(before for before, _ in margins) if symmetric else ())


class ConvolutionLayer(WeightedLayer):
    """Base of convolutions and transposed convolutions: all of them are convolutions in the arrays.

    The matrix is ``(out_channels, in_channels / groups * taps + bias columns)``, and every group has arrays of its own.
    With ``grouping="dense"`` they share arrays: the matrix is ``(out_channels, in_channels * taps + bias columns)``,
    with programmed zeros at the channels of other groups.
    """

    in_channels: int
    out_channels: int
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: str | tuple[int, ...]
    padding_mode: str
    groups: int

    _own = (*WeightedLayer._own, "_grouping")
    _bias_lines = 1  # one channel of ones drives all bias columns

    @property
    def _native_padding(self) -> tuple[int, ...]:
        """Margin that torch's convolution may add itself."""
        raise NotImplementedError

    @property
    def _kernel_stride(self) -> tuple[int, ...]:
        """Step of the convolution that the arrays compute."""
        raise NotImplementedError

    @property
    def _kernel(self) -> View:
        """The weight as the kernel ``(out_channels, in_channels / groups, *kernel_size)`` that the arrays apply."""
        raise NotImplementedError

    def _configure(self, grouping: str = USUAL_GROUPING) -> None:
        self._grouping = checked_grouping(grouping)

    @property
    def grouping(self) -> str:
        """How groups are stored: ``"per_group"`` or ``"dense"``."""
        return self._grouping

    def _convolve(self, x: Tensor, prepare: Callable[..., Tensor], *arguments: Any) -> Tensor:
        """Convolve what ``prepare`` makes of the inputs, with or without batch."""
        rank = len(self.kernel_size)
        if x.ndim not in (rank + 1, rank + 2) or x.shape[-1 - rank] != self.in_channels:
            raise ShapeError(
                f"input of shape {tuple(x.shape)} does not fit {type(self).__name__}(in_channels={self.in_channels}); "
                f"expected (batch, {self.in_channels}) or ({self.in_channels},) and {rank} axes of positions"
            )
        batched = x.ndim == rank + 2
        y = self._through_arrays(prepare(x if batched else x[None], *arguments))
        return y if batched else y[0]

    @property
    def _margins(self) -> _Padding:
        """Padding before and after, along each axis."""
        padding = self.padding if isinstance(self.padding, str) else tuple(self.padding)
        return _padding_of(padding, tuple(self.kernel_size), tuple(self.dilation))

    def _contraction(self) -> Convolution | GroupedConvolution:
        shape = (self.in_channels, tuple(self.kernel_size), self._kernel_stride, tuple(self.dilation))
        return convolution_map(self._grouping, *shape, self._bias_columns, self.groups, self._native_padding)

    def layout(self, bias_columns: int) -> Layout:
        """Where weight and bias lie in the matrix, with so many columns for the bias."""
        return convolutional(self._kernel, self.groups, bias_columns, per_group=self._grouping == "per_group")

    def extra_repr(self) -> str:
        """Torch's text, then the hardware."""
        return super().extra_repr() + (f", grouping={self._grouping}" if self.groups > 1 else "")


class AnalogConvolution(ConvolutionLayer):
    """Base of the convolution layers: a mixin before the torch layer; see `ConvolutionLayer` for the matrix.

    Args:
        params: The hardware: one description, or a list with one per array (output partitions outermost).
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Taps, one number or one per axis.
        stride: Step of the kernel.
        padding: Margin added digitally on both sides, ``"same"`` or ``"valid"``.
        dilation: Distance of neighbouring taps.
        groups: Blocks of channels that are connected.
        bias: If True, add a learnable bias.
        padding_mode: ``"zeros"``, ``"reflect"``, ``"replicate"`` or ``"circular"``.
        device: Of the parameters.
        dtype: Of the parameters.
        bias_rows: Matrix columns that hold the bias, driven with one; 0 adds it digitally.
        seed: The chip; None draws one.
        name: Name of the core; layers of one chip need different names to have independent errors.
        grouping: ``"per_group"``: groups have arrays of their own. ``"dense"``: cells between them are zeros.
    """

    def __init__(
        self,
        params: Hardware,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: str | Size = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        bias_rows: int = 0,
        *,
        seed: int | None = None,
        name: str = "core",
        grouping: str = USUAL_GROUPING,
    ) -> None:
        shape = (in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode)
        self.digital_type.__init__(self, *shape, device=device, dtype=dtype)
        self._configure(grouping)
        self.install(params, bias_rows, seed, name)

    @untraced
    def forward(self, input: Tensor) -> Tensor:
        """Pad digitally, then convolve in the arrays."""
        return self._convolve(input, self._padded)

    def _padded(self, x: Tensor) -> Tensor:
        if self._native_padding or not (sides := self._margins.sides):
            return x
        return F.pad(x, sides, mode="constant" if self.padding_mode == "zeros" else self.padding_mode)

    @property
    def _native_padding(self) -> tuple[int, ...]:
        """The margin, if it is the same on both sides, of zeros that drive nothing."""
        if self.padding_mode != "zeros" or self._bias_columns or not self._matrices[0].built.ignores_zeros:
            return ()
        return self._margins.symmetric

    @property
    def _kernel_stride(self) -> tuple[int, ...]:
        return tuple(self.stride)

    @property
    def _kernel(self) -> View:
        return kernel_of_outputs(self.out_channels, self.in_channels // self.groups, self.kernel_size)


@final
class AnalogConv1d(AnalogConvolution, nn.Conv1d):
    """`torch.nn.Conv1d` whose products run on analog arrays; arguments as in `AnalogConvolution`.

    Shape:
        As `torch.nn.Conv1d`: ``(batch, in_channels, length)``, with or without batch.
    """

    digital_type = nn.Conv1d


@final
class AnalogConv2d(AnalogConvolution, nn.Conv2d):
    """`torch.nn.Conv2d` whose products run on analog arrays; arguments as in `AnalogConvolution`.

    Shape:
        As `torch.nn.Conv2d`: ``(batch, in_channels, height, width)``, with or without batch.
    """

    digital_type = nn.Conv2d


@final
class AnalogConv3d(AnalogConvolution, nn.Conv3d):
    """`torch.nn.Conv3d` whose products run on analog arrays; arguments as in `AnalogConvolution`.

    Shape:
        As `torch.nn.Conv3d`: ``(batch, in_channels, depth, height, width)``, with or without batch.
    """

    digital_type = nn.Conv3d
