"""Gradients of products, in the same words on every backend of Keras."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from crossohm.backends import Array, backend_of
from crossohm.layers.product import DifferentiableContraction


def programmed_product(
    multiply: Callable[[Array], Array], contraction: DifferentiableContraction, matrix: Array, held: Array, x: Array
) -> Array:
    """``multiply(x)`` with the derivatives of the ideal product.

    Converters, clipping, programming errors and noise are passed straight through: the gradient of the inputs uses the
    weights that the arrays hold, that of the matrix the inputs before conversion.

    Args:
        multiply: The analog product.
        contraction: How inputs meet the matrix.
        matrix: The ideal matrix, an expression of the parameters.
        held: The matrix that arrays hold.
        x: ``(batch, features, *positions)``.
    """

    def product(matrix: Array, x: Array) -> tuple[Array, Callable[..., tuple[Array, Array]]]:
        def gradient(*results: Array, upstream: Any = None) -> tuple[Array, Array]:
            (grad,) = results if upstream is None else (upstream,)
            return contraction.matrix_gradient(grad, x), contraction.input_gradient(grad, held, x.shape)

        return multiply(x), gradient

    backend = backend_of(x)
    return keras.ops.custom_gradient(product)(backend.astype(matrix, backend.dtype_name(x)), x)
