"""Convolutions of Flax on simulated arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import jax.numpy as jnp
from flax import nnx
from flax.nnx.nn.linear import canonicalize_padding
from jax import lax

from crossohm.backends import Array
from crossohm.errors import ParameterError, ShapeError, UnsupportedError
from crossohm.flax.layers.layer import AnalogLayer
from crossohm.layers.array_layer import BiasRows
from crossohm.layers.layout import Layout
from crossohm.layers.layouts import convolutional, kernel_of_taps, kernel_of_taps_transposed
from crossohm.layers.maps.convolution import Convolution
from crossohm.layers.maps.geometry import Margins
from crossohm.layers.maps.grouped import USUAL_GROUPING, GroupedConvolution, checked_grouping, stored_as

#: Why a transposed convolution stays digital.
_WRAPPED = "padding = 'CIRCULAR' adds outputs up after the product; use SAME or VALID, or keep the layer digital"
#: Paddings that repeat the inputs, as `jax.numpy.pad` calls them.
_REPEATING = {"CIRCULAR": "wrap", "REFLECT": "reflect"}


class AnalogConvolution(BiasRows, AnalogLayer):
    """Base of the convolutions: a mixin before the Flax layer. A kind supplies what raises NotImplementedError here.

    Padding is digital. The matrix is ``(out_features, in_features * taps + bias columns)``, with all taps of a feature
    side by side, as in every front end. Weights that a ``mask`` hides are programmed to zero.
    """

    in_features: int
    kernel_size: tuple[int, ...]
    kernel_dilation: Any
    mask: Any

    def _surrounded(self, x: Array) -> Array:
        """``(batch, *positions, features)`` with zeros, or repeated inputs, around and in between."""
        raise NotImplementedError

    def parameter_values(self, names: Sequence[str]) -> dict[str, Array]:
        """Parameters by name; the kernel as the mask leaves it."""
        found = super().parameter_values(names)
        if self.mask is not None and "kernel" in found:
            found["kernel"] = found["kernel"] * jnp.asarray(self.mask, found["kernel"].dtype)
        return found

    def __call__(self, inputs: Any) -> Any:
        """Pad digitally, then convolve in the arrays.

        Raises:
            ParameterError: the padding does not go with the kernel or with `input_dilation`.
            ShapeError: the inputs have another number of features or axes.
        """
        x, rank = jnp.asarray(inputs, self.dtype), len(self.kernel_size)
        if x.ndim <= rank or x.shape[-1] != self.in_features:
            raise ShapeError(
                f"input of shape {x.shape} does not fit {type(self).__name__}(in_features={self.in_features}); "
                f"expected {rank} axes of positions, then {self.in_features} features"
            )
        before = x.shape[: -1 - rank]
        padded = self._surrounded(jnp.reshape(x, (-1, *x.shape[-1 - rank :])))
        y = jnp.moveaxis(self._through_arrays(jnp.moveaxis(padded, -1, 1)), 1, -1)
        return self._finished(jnp.reshape(y, (*before, *y.shape[1:])))

    @property
    def _reach(self) -> tuple[int, ...]:
        """Positions from the first tap to the last, along each axis."""
        steps = self._each(self.kernel_dilation)
        return tuple(by * (taps - 1) + 1 for taps, by in zip(self.kernel_size, steps, strict=True))

    def _each(self, value: Any) -> tuple[Any, ...]:
        """One for each axis, as Flax takes them: None is one, a number is that of all."""
        one = 1 if value is None else value
        return (one,) * len(self.kernel_size) if isinstance(one, int) else tuple(one)


def _apart(x: Array, margins: Margins, apart: tuple[int, ...]) -> Array:
    """Positions with zeros around and in between."""
    inner = [(*margin, by - 1) for margin, by in zip(margins, apart, strict=True)]
    return lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *inner, (0, 0, 0)])


@final
class AnalogConv(AnalogConvolution, nnx.Conv):
    """`flax.nnx.Conv` whose products run on analog arrays; see `AnalogLayer` for what it takes beyond it.

    Padding is digital. The matrix is ``(out_features, in_features * taps + bias columns)``, with all taps of a feature
    side by side, as in every front end. Every group has arrays of its own. With ``grouping="dense"`` they are stored at
    full width: an output has programmed zeros at the features of the other groups. Weights that a ``mask`` hides are
    programmed to zero.

    Args:
        grouping: ``"per_group"`` or ``"dense"``.
        **layer: As for `AnalogLayer`.

    Shape:
        ``(*, *positions, in_features)`` to ``(*, *positions, out_features)``.
    """

    digital_type = nnx.Conv
    own_choices = ("grouping",)

    def _choose(self, *usual: Any, grouping: str = USUAL_GROUPING) -> None:
        self.grouping = checked_grouping(grouping)
        super()._choose(*usual)

    # --- what a kind supplies -----------------------------------------------------------------------------------------

    def layout(self, bias_columns: int) -> Layout:
        """Where kernel and bias lie in the matrix, with so many columns for the bias."""
        groups, alone = self.feature_group_count, self.grouping == "per_group"
        view = kernel_of_taps(self.kernel_size, self.in_features // groups, self.out_features)
        return convolutional(view, groups, bias_columns, per_group=alone, weight="kernel")

    def contraction(self, layout: Layout) -> Convolution | GroupedConvolution:
        """A convolution; margins are added before."""
        steps = (self.kernel_size, self._each(self.strides), self._each(self.kernel_dilation))
        whole = Convolution(self.in_features, *steps, layout.bias_columns, self.feature_group_count)
        return stored_as(self.grouping, whole)

    # --- the product --------------------------------------------------------------------------------------------------

    def _surrounded(self, x: Array) -> Array:
        """``(batch, *positions, features)`` with margins, and with the zeros of `input_dilation` in between."""
        apart = self._each(self.input_dilation)
        mode = _REPEATING.get(self.padding) if isinstance(self.padding, str) else None
        if mode is not None and max(apart) == 1:
            return jnp.pad(x, [(0, 0), *(((n - 1) // 2, n // 2) for n in self._reach), (0, 0)], mode=mode)
        return _apart(x, self._margins(x.shape[1:-1], apart), apart)

    def _margins(self, size: tuple[int, ...], apart: tuple[int, ...]) -> Margins:
        """Zeros before and after, along each axis, for inputs of ``size`` that lie ``apart``."""
        padding = canonicalize_padding(self.padding, len(size))
        if not isinstance(padding, str):
            return list(padding)
        if max(apart) > 1:
            raise ParameterError(
                "padding", padding, "does not go with input_dilation", allowed="numbers, as in flax.nnx.Conv"
            )
        if padding == "CAUSAL":
            if len(size) > 1:
                raise ParameterError("padding", "CAUSAL", "is for one axis of positions", allowed="SAME, VALID, ...")
            return [(self._reach[0] - 1, 0)]
        return lax.padtype_to_pads(size, self._reach, self._each(self.strides), padding)


@final
class AnalogConvTranspose(AnalogConvolution, nnx.ConvTranspose):
    """`flax.nnx.ConvTranspose` whose products run on analog arrays; see `AnalogLayer` for what it takes beyond it.

    It is a convolution of inputs with zeros in between; see `AnalogConvolution` for the matrix.

    Raises:
        UnsupportedError: ``padding`` is ``"CIRCULAR"``, which adds outputs up.

    Shape:
        ``(*, *positions, in_features)`` to ``(*, *positions, out_features)``.
    """

    digital_type = nnx.ConvTranspose

    @classmethod
    def obstacle(cls, layer: Any) -> str:
        """As `AnalogLayer.obstacle`: outputs are added up."""
        return _WRAPPED if layer.padding == "CIRCULAR" else ""

    def layout(self, bias_columns: int) -> Layout:
        """Where kernel and bias lie in the matrix, with so many columns for the bias."""
        if self.padding == "CIRCULAR":
            raise UnsupportedError(_WRAPPED)
        if self.transpose_kernel:
            view = kernel_of_taps_transposed(self.kernel_size, self.out_features, self.in_features)
        else:
            view = kernel_of_taps(self.kernel_size, self.in_features, self.out_features)
        return convolutional(view, 1, bias_columns, weight="kernel")

    def contraction(self, layout: Layout) -> Convolution:
        """A convolution with steps of one; margins and zeros in between are added before."""
        steps = (self.kernel_size, self._each(None), self._each(self.kernel_dilation))
        return Convolution(self.in_features, *steps, layout.bias_columns)

    def _surrounded(self, x: Array) -> Array:
        apart, padding = self._each(self.strides), canonicalize_padding(self.padding, len(self.kernel_size))
        if not isinstance(padding, str):
            return _apart(x, list(padding), apart)
        return _apart(x, [_margin_of_transposed(*one, padding) for one in zip(self._reach, apart, strict=True)], apart)


def _margin_of_transposed(reach: int, apart: int, padding: str) -> tuple[int, int]:
    """Zeros before and after an axis, as `jax.lax.conv_transpose` adds them."""
    if padding == "VALID":
        return reach - 1, apart - 1 + max(reach - apart, 0)
    if padding != "SAME":
        raise ParameterError("padding", padding, "is none of transposed convolutions", allowed="SAME, VALID, numbers")
    both = reach + apart - 2
    before = reach - 1 if apart > reach - 1 else -(-both // 2)
    return before, both - before
