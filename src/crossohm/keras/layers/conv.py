"""Analog convolutions of Keras, depthwise ones and transposed ones included."""

from __future__ import annotations

from typing import Any, final

import keras

from crossohm.backends import Array
from crossohm.errors import UnsupportedError
from crossohm.keras.layers.weighted import WeightedLayer
from crossohm.layers.layout import Layout, View
from crossohm.layers.layouts import convolutional, kernel_of_depths, kernel_of_taps, kernel_of_taps_transposed
from crossohm.layers.maps.convolution import Convolution
from crossohm.layers.maps.geometry import Margins, keras_margins, keras_transposed_margins, spread
from crossohm.layers.maps.grouped import USUAL_GROUPING, GroupedConvolution, checked_grouping, stored_as


class ConvolutionLayer(WeightedLayer):
    """Base of convolutions: all of them are convolutions of channels-first inputs in the arrays.

    The matrix is ``(outputs, channels * taps + bias columns)``, with all taps of a channel side by side, as in every
    front end. Every group of grouped and depthwise convolutions has arrays of its own. With ``grouping="dense"`` they
    are stored at full width: an output has programmed zeros at the channels of the other groups.

    Args:
        grouping: ``"per_group"`` or ``"dense"``.
        **layer: As for `AnalogLayer`.
    """

    rank: int
    kernel: Any
    kernel_size: tuple[int, ...]
    strides: tuple[int, ...]
    dilation_rate: tuple[int, ...]
    padding: str
    data_format: str
    compute_output_shape: Any

    def __init__(self, *, grouping: str = USUAL_GROUPING, **layer: Any) -> None:
        checked = checked_grouping(grouping)
        super().__init__(**layer)
        self.grouping = checked

    def _choices(self) -> dict[str, Any]:
        return {**super()._choices(), "grouping": self.grouping}

    # --- what a kind supplies -----------------------------------------------------------------------------------------

    @property
    def _view(self) -> View:
        """The kernel as ``(outputs, channels of a group * taps)``."""
        raise NotImplementedError

    @property
    def _channels(self) -> tuple[int, int]:
        """Channels of the input, and groups of them."""
        raise NotImplementedError

    @property
    def _kernel_strides(self) -> tuple[int, ...]:
        """Steps of the convolution that the arrays compute."""
        return self.strides

    def _surrounded(self, inputs: Array) -> Array:
        """Inputs, ordered as ``data_format`` says, as that convolution wants them: ``(batch, channels, *size)``."""
        margins = keras_margins(self.padding, self._size(inputs), self.kernel_size, self.strides, self.dilation_rate)
        # Padded in the order they come in: libraries cancel two transpositions with nothing between them.
        return self._channels_first(_padded(inputs, margins, self._positions))

    # --- the product --------------------------------------------------------------------------------------------------

    def layout(self, bias_columns: int) -> Layout:
        """Where kernel and bias lie in the matrix, with so many columns for the bias."""
        _, groups = self._channels
        return convolutional(self._view, groups, bias_columns, per_group=self.grouping == "per_group", weight="kernel")

    def contraction(self, layout: Layout) -> Convolution | GroupedConvolution:
        """A convolution; margins are added before."""
        return self._convolution(layout)

    def _convolution(self, layout: Layout) -> Convolution | GroupedConvolution:
        channels, groups = self._channels
        steps = (tuple(self.kernel_size), tuple(self._kernel_strides), tuple(self.dilation_rate))
        whole = Convolution(channels, *steps, layout.bias_columns, groups)
        return stored_as(self.grouping, whole)

    def call(self, inputs: Any) -> Any:
        """Pad digitally, then convolve in the arrays."""
        if not self._has_values():
            return super().call(inputs)  # type: ignore[misc]
        y = self._convolved(self._surrounded(inputs))
        if not self._last:
            return self._finished(y, 1)
        return self._finished(keras.ops.moveaxis(y, 1, -1), -1)

    def _convolved(self, x: Array) -> Array:
        """All products, for padded inputs ``(batch, channels, *size)``."""
        return self._through_arrays(x)

    @property
    def _last(self) -> bool:
        return self.data_format == "channels_last"

    @property
    def _positions(self) -> slice:
        """The axes of an input's positions."""
        return slice(1, -1) if self._last else slice(2, None)

    def _channels_first(self, inputs: Array) -> Array:
        return keras.ops.moveaxis(inputs, -1, 1) if self._last else inputs

    def _size(self, inputs: Array) -> tuple[int, ...]:
        """Of the positions of an input."""
        size = tuple(inputs.shape[self._positions])
        if None in size:
            raise UnsupportedError(
                f"{type(self).__name__} {self.name!r} is compiled for inputs of unknown size {size}; give the model "
                "inputs of a fixed size, or run it with run_eagerly=True"
            )
        return size


class AnalogConvolution(ConvolutionLayer):
    """Base of the convolution layers: a mixin before the Keras layer."""

    groups: int
    filters: int

    @property
    def _view(self) -> View:
        return kernel_of_taps(self.kernel_size, self.kernel.shape[-2], self.filters)

    @property
    def _channels(self) -> tuple[int, int]:
        return self.kernel.shape[-2] * self.groups, self.groups


class AnalogDepthwiseConvolution(ConvolutionLayer):
    """Base of the depthwise convolutions: every channel is a group of its own, with ``depth_multiplier`` outputs."""

    depth_multiplier: int

    @property
    def _view(self) -> View:
        return kernel_of_depths(self.kernel_size, self.kernel.shape[-2], self.depth_multiplier)

    @property
    def _channels(self) -> tuple[int, int]:
        return self.kernel.shape[-2], self.kernel.shape[-2]


class AnalogTransposedConvolution(ConvolutionLayer):
    """Base of the transposed convolutions: convolutions of stride one over the input with zeros inserted."""

    filters: int
    output_padding: tuple[int, ...] | None

    @property
    def _view(self) -> View:
        return kernel_of_taps_transposed(self.kernel_size, self.filters, self.kernel.shape[-1])

    @property
    def _channels(self) -> tuple[int, int]:
        return self.kernel.shape[-1], 1

    @property
    def _kernel_strides(self) -> tuple[int, ...]:
        return (1,) * self.rank

    def _surrounded(self, inputs: Array) -> Array:
        self._size(inputs)
        extra = self.output_padding
        margins = keras_transposed_margins(self.padding, self.kernel_size, self.strides, self.dilation_rate, extra)
        return _padded(spread(self._channels_first(inputs), self.strides), margins, slice(2, None))


def _padded(x: Array, margins: Margins, positions: slice) -> Array:
    """``x`` with zeros around its ``positions``; margins below zero cut off."""
    parts, wanted = [slice(None)] * x.ndim, [(0, 0)] * x.ndim
    parts[positions] = [slice(max(0, -before), -after if after < 0 else None) for before, after in margins]
    if any(part != slice(None) and part != slice(0, None) for part in parts):
        x = x[tuple(parts)]
    wanted[positions] = [(max(0, before), max(0, after)) for before, after in margins]
    return keras.ops.pad(x, wanted) if any(map(any, wanted)) else x


@final
@keras.saving.register_keras_serializable("crossohm")
class AnalogConv1D(AnalogConvolution, keras.layers.Conv1D):
    """`keras.layers.Conv1D` whose products run on analog arrays; arguments as in `ConvolutionLayer`."""

    digital_type = keras.layers.Conv1D


@final
@keras.saving.register_keras_serializable("crossohm")
class AnalogConv2D(AnalogConvolution, keras.layers.Conv2D):
    """`keras.layers.Conv2D` whose products run on analog arrays; arguments as in `ConvolutionLayer`."""

    digital_type = keras.layers.Conv2D


@final
@keras.saving.register_keras_serializable("crossohm")
class AnalogConv3D(AnalogConvolution, keras.layers.Conv3D):
    """`keras.layers.Conv3D` whose products run on analog arrays; arguments as in `ConvolutionLayer`."""

    digital_type = keras.layers.Conv3D


@final
@keras.saving.register_keras_serializable("crossohm")
class AnalogDepthwiseConv1D(AnalogDepthwiseConvolution, keras.layers.DepthwiseConv1D):
    """`keras.layers.DepthwiseConv1D` whose products run on analog arrays; arguments as in `ConvolutionLayer`."""

    digital_type = keras.layers.DepthwiseConv1D


@final
@keras.saving.register_keras_serializable("crossohm")
class AnalogDepthwiseConv2D(AnalogDepthwiseConvolution, keras.layers.DepthwiseConv2D):
    """`keras.layers.DepthwiseConv2D` whose products run on analog arrays; arguments as in `ConvolutionLayer`."""

    digital_type = keras.layers.DepthwiseConv2D


@final
@keras.saving.register_keras_serializable("crossohm")
class AnalogConv1DTranspose(AnalogTransposedConvolution, keras.layers.Conv1DTranspose):
    """`keras.layers.Conv1DTranspose` on analog arrays; arguments as in `ConvolutionLayer`."""

    digital_type = keras.layers.Conv1DTranspose


@final
@keras.saving.register_keras_serializable("crossohm")
class AnalogConv2DTranspose(AnalogTransposedConvolution, keras.layers.Conv2DTranspose):
    """`keras.layers.Conv2DTranspose` on analog arrays; arguments as in `ConvolutionLayer`."""

    digital_type = keras.layers.Conv2DTranspose


@final
@keras.saving.register_keras_serializable("crossohm")
class AnalogConv3DTranspose(AnalogTransposedConvolution, keras.layers.Conv3DTranspose):
    """`keras.layers.Conv3DTranspose` on analog arrays; arguments as in `ConvolutionLayer`."""

    digital_type = keras.layers.Conv3DTranspose
