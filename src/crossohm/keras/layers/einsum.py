"""`AnalogEinsumDense`, and products of equations for the layers that have several."""

from __future__ import annotations

from typing import Any, final

import keras

from crossohm.backends import Array
from crossohm.errors import ParameterError, UnsupportedError
from crossohm.keras.arrays.compiled import tensor_of
from crossohm.keras.layers.biased import BiasedLayer, dtype_of
from crossohm.layers.layout import Layout
from crossohm.layers.maps.einsum import ProductEquation
from crossohm.layers.product import with_ones


class EquationLayer(BiasedLayer):
    """Base of the layers that multiply by kernels of `keras.layers.EinsumDense`.

    The axes that an equation sums over are the columns of the matrix, in the order of the inputs; the other axes of the
    kernel are its rows, in the order of the outputs. So heads of an attention are runs of rows, or of columns.
    """

    def _layout(self, dense: Any, where: str, rows: int) -> Layout:
        """Where the variables of ``dense``, whose names begin with ``where``, lie in the matrix."""
        equation = ProductEquation.of(dense.equation)
        columns = rows if dense.bias is not None else 0
        if columns and not equation.bias_is_of_rows(dense.bias_axes):
            raise ParameterError(
                "bias_rows", rows,
                f"the bias of {self.name!r} has axes {dense.bias_axes!r} of {dense.equation!r}, and so not one number "
                "for each row of the matrix", allowed="0 (digital bias)",
            )  # fmt: skip
        shape = tuple(dense.kernel.shape)
        bias_shape = tuple(dense.bias.shape) if columns else ()
        return equation.layout(shape, columns, bias_shape, kernel=f"{where}kernel", bias=f"{where}bias")

    def _through_equation(self, dense: Any, number: int, x: Array) -> Array:
        """What ``dense`` returns, its product by matrix ``number``."""
        equation, matrix = ProductEquation.of(dense.equation), self.matrices[number]
        contraction = self.contraction(matrix.layout)
        vectors = with_ones(equation.vectors(x), contraction.constants)
        y = self._cast(matrix.product(vectors, contraction))
        y = equation.outputs_of(y, keras.ops.shape(x), tuple(dense.kernel.shape))
        if dense.bias is not None and not self.analog_bias:
            y = keras.ops.add(y, keras.ops.cast(tensor_of(dense.bias), dtype_of(y)))
        return y if dense.activation is None else dense.activation(y)


def _multiplies(layer: Any) -> bool:
    """True if the equation of an EinsumDense is a product with one matrix, its kernel."""
    if getattr(layer, "lora_enabled", False):
        return False
    try:
        ProductEquation.of(layer.equation)
    except UnsupportedError:
        return False
    return True


@final
@keras.saving.register_keras_serializable("crossohm")
class AnalogEinsumDense(EquationLayer, keras.layers.EinsumDense):
    """`keras.layers.EinsumDense` whose product runs on analog arrays.

    The equation has to be a product with one matrix at every position; see `EquationLayer` for that matrix.
    """

    digital_type = keras.layers.EinsumDense
    convertible = staticmethod(_multiplies)

    @property
    def use_bias(self) -> bool:  # type: ignore[override]
        """True if there is a bias."""
        return self.bias_axes is not None

    def layouts(self, rows: int) -> dict[str, Layout]:
        """The one matrix, with kernel and bias."""
        return {"": self._layout(self, "", rows)}

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """The product of the equation, then what is digital."""
        if not self._has_values():
            return super().call(inputs)
        return self._through_equation(self, 0, inputs)
