"""Linear layers of Flax over any axes, and products of equations, on simulated arrays."""

from __future__ import annotations

from math import prod
from typing import Any, final

import jax.numpy as jnp
from flax import nnx

from crossohm.backends import Array
from crossohm.errors import ParameterError, ShapeError, UnsupportedError
from crossohm.flax.layers.layer import AnalogLayer, require_unsharded
from crossohm.layers.array_layer import BiasRows
from crossohm.layers.layout import Layout, Placement, View
from crossohm.layers.layouts import shared
from crossohm.layers.maps.einsum import ProductEquation
from crossohm.layers.product import with_ones


@final
class AnalogLinearGeneral(BiasRows, AnalogLayer, nnx.LinearGeneral):
    """`flax.nnx.LinearGeneral` whose products run on analog arrays; see `AnalogLayer` for what it takes beyond it.

    The matrix is ``(all outputs, all inputs + bias columns)``, both in the order of the kernel. With ``batch_axis``
    there is a matrix for every index of the batch axes, called after the layer and its number.

    Shape:
        ``(*batch, *)`` with `in_features` at ``axis`` to ``(*batch, *, *out_features)``.
    """

    digital_type = nnx.LinearGeneral

    def layouts(self, rows: int) -> dict[str, Layout]:
        """The one matrix, or one for each index of the batch axes."""
        count, columns = prod(self._batch), rows if self.use_bias else 0
        suffixes = [f".{index}" for index in range(count)] if self._batch else [""]
        return {suffix: self._layout(index, columns) for index, suffix in enumerate(suffixes)}

    def _layout(self, index: int, columns: int) -> Layout:
        inputs, outputs, leading = self.in_features, self.out_features, len(self._batch)
        first_output, rank = leading + len(inputs), leading + len(inputs) + len(outputs)
        order = (*range(leading), *range(first_output, rank), *range(leading, first_output))
        view = View.of((*self._batch, *inputs, *outputs), order, lead=leading + len(outputs))
        height, width = prod(outputs), prod(inputs)
        part, rows = slice(index * height, (index + 1) * height), slice(0, height)
        placements = [Placement("kernel", view, part, rows, slice(0, width))]
        if columns:
            placements.append(shared("bias", (*self._batch, *outputs), part, rows, width, columns))
        return Layout((height, width + columns), tuple(placements))

    @property
    def _batch(self) -> tuple[int, ...]:
        return tuple(self.batch_axis.values())

    def __call__(self, inputs: Any, out_sharding: Any = None) -> Any:
        """Multiply along the axes.

        Raises:
            ShapeError: axes of the inputs have other sizes than those of the layer.
            UnsupportedError: ``out_sharding`` is given.
        """
        require_unsharded(self, out_sharding)
        x = jnp.asarray(inputs, self.dtype)
        axes, wanted = self._axes(x.ndim), (*self._batch, *self.in_features)
        if tuple(x.shape[axis] for axis in axes if 0 <= axis < x.ndim) != wanted:
            raise ShapeError(
                f"input of shape {x.shape} does not fit AnalogLinearGeneral(in_features={self.in_features}); expected "
                f"sizes {wanted} at axes {axes}"
            )
        leading, inner = len(self._batch), len(self.axis)
        x = jnp.moveaxis(x, axes, (*range(leading), *range(x.ndim - inner, x.ndim)))
        kept = x.shape[leading : x.ndim - inner]
        vectors = jnp.reshape(x, (prod(self._batch), prod(kept), prod(self.in_features)))
        pairs = zip(self._products(), vectors, strict=True)
        y = self._finished(jnp.stack([product(with_ones(own, self._ones)) for product, own in pairs]))
        return jnp.reshape(y, (*self._batch, *kept, *self.out_features))

    def _axes(self, rank: int) -> tuple[int, ...]:
        """Axes of inputs that belong to those of the kernel; Flax takes them in ascending order."""
        batch, summed = (sorted(n if n >= 0 else rank + n for n in axes) for axes in (self.batch_axis, self.axis))
        return (*batch, *summed)

    def _digital_bias(self) -> Array:
        return jnp.reshape(self.bias.get_value(), (prod(self._batch), 1, -1))


@final
class AnalogEinsum(BiasRows, AnalogLayer, nnx.Einsum):
    """`flax.nnx.Einsum` whose product runs on analog arrays; see `AnalogLayer` for what it takes beyond it.

    The equation has to be a product with one matrix at every position. The axes that it sums over are the columns of
    the matrix, in the order of the inputs; the other axes of the kernel are its rows, in the order of the outputs.
    """

    digital_type = nnx.Einsum

    kernel_shape: tuple[int, ...]
    bias_shape: tuple[int, ...] | None

    @property
    def use_bias(self) -> bool:  # type: ignore[override]
        """True if there is a bias."""
        return self.bias_shape is not None

    @classmethod
    def obstacle(cls, layer: Any) -> str:
        """As `AnalogLayer.obstacle`: the equation is no product with one matrix."""
        try:
            ProductEquation.of(layer.einsum_str)
        except UnsupportedError as error:
            return str(error)
        return ""

    def layouts(self, rows: int) -> dict[str, Layout]:
        """The one matrix, with kernel and bias."""
        columns, bias_shape = (rows, self.bias_shape) if self.bias_shape else (0, ())
        return {"": self._equation.layout(self.kernel_shape, columns, bias_shape)}

    @property
    def _equation(self) -> ProductEquation:
        return ProductEquation.of(self.einsum_str)

    def __call__(self, inputs: Any, einsum_str: str | None = None, out_sharding: Any = None) -> Any:
        """The product of the equation, and the bias.

        Raises:
            ParameterError: ``einsum_str`` is given: the arrays were written for that of the layer.
            ShapeError: the inputs do not fit the equation and the kernel.
            UnsupportedError: ``out_sharding`` is given.
        """
        require_unsharded(self, out_sharding)
        if einsum_str is not None:
            raise ParameterError("einsum_str", einsum_str, "is that of the layer already", allowed="None")
        x, equation = jnp.asarray(inputs, self.dtype), self._equation
        if not equation.fits(x.shape, self.kernel_shape):
            raise ShapeError(
                f"input of shape {x.shape} does not fit AnalogEinsum({self.einsum_str!r}) with a kernel of shape "
                f"{tuple(self.kernel_shape)}"
            )
        y = self._finished(self._through_arrays(equation.vectors(x)))
        return equation.outputs_of(y, x.shape, self.kernel_shape)
