"""Separable convolutions of Keras on simulated arrays: a depthwise one, then one of all channels at each position."""

from __future__ import annotations

from typing import Any, final

import keras

from crossohm.backends import Array
from crossohm.keras.layers.conv import ConvolutionLayer
from crossohm.layers.layout import Layout
from crossohm.layers.layouts import convolutional, kernel_of_depths, kernel_of_taps
from crossohm.layers.maps.convolution import Convolution
from crossohm.layers.maps.grouped import GroupedConvolution


class AnalogSeparableConvolution(ConvolutionLayer):
    """Base of the separable convolutions: a mixin before the Keras layer.

    There are two matrices, ``depthwise`` and ``pointwise`` behind the name of the layer. The outputs of the first are
    converted and drive the second, which has the bias. ``grouping`` is that of the depthwise kernel.
    """

    filters: int
    depth_multiplier: int
    depthwise_kernel: Any
    pointwise_kernel: Any

    def layouts(self, rows: int) -> dict[str, Layout]:
        """The depthwise kernel, and the pointwise one with the bias."""
        channels, groups = self._channels
        depths = kernel_of_depths(self.kernel_size, channels, self.depth_multiplier)
        points = kernel_of_taps((1,) * self.rank, channels * self.depth_multiplier, self.filters)
        alone = self.grouping == "per_group"
        return {
            ".depthwise": convolutional(depths, groups, per_group=alone, weight="depthwise_kernel"),
            ".pointwise": convolutional(points, 1, rows if self.use_bias else 0, weight="pointwise_kernel"),
        }

    @property
    def _channels(self) -> tuple[int, int]:
        channels = self.depthwise_kernel.shape[-2]
        return channels, channels

    def contraction(self, layout: Layout) -> Convolution | GroupedConvolution:
        """A convolution; margins are added before."""
        if "pointwise_kernel" not in layout.parameters:
            return self._convolution(layout)
        one = (1,) * self.rank
        return Convolution(self._channels[0] * self.depth_multiplier, one, one, one, layout.bias_columns)

    def _convolved(self, x: Array) -> Array:
        return self._through_arrays(self._through_arrays(x), 1)


@final
@keras.saving.register_keras_serializable("crossohm")
class AnalogSeparableConv1D(AnalogSeparableConvolution, keras.layers.SeparableConv1D):
    """`keras.layers.SeparableConv1D` on analog arrays; see `AnalogSeparableConvolution`."""

    digital_type = keras.layers.SeparableConv1D


@final
@keras.saving.register_keras_serializable("crossohm")
class AnalogSeparableConv2D(AnalogSeparableConvolution, keras.layers.SeparableConv2D):
    """`keras.layers.SeparableConv2D` on analog arrays; see `AnalogSeparableConvolution`."""

    digital_type = keras.layers.SeparableConv2D
