"""Gradients of products, in the same words on every backend of Keras."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from crossohm.backends import Array, backend_of
from crossohm.layers.product import DifferentiableContraction


def programmed_product(
    multiply: Callable[[Array, Any], Array],
    contraction: DifferentiableContraction,
    matrix: Array,
    held: Array,
    x: Array,
    draws: Any,
) -> Array:
    """``multiply(x, draws)`` with the derivatives of the ideal product.

    Converters, clipping, programming errors and noise are passed straight through: the gradient of the inputs uses the
    weights that the arrays hold, that of the matrix the inputs before conversion.

    Args:
        multiply: The analog product.
        contraction: How inputs meet the matrix.
        matrix: The ideal matrix, an expression of the parameters.
        held: The matrix that arrays hold.
        x: ``(batch, features, *positions)``.
        draws: What random draws are made from; in a loop it is another one in each turn, and so no constant of the
            product.
    """

    def product(matrix: Array, x: Array, *draws: Any) -> tuple[Array, Callable[..., tuple[Array, ...]]]:
        def gradient(*results: Array, upstream: Any = None) -> tuple[Any, ...]:
            (grad,) = results if upstream is None else (upstream,)
            by_matrix, by_inputs = contraction.matrix_gradient(grad, x), contraction.input_gradient(grad, held, x.shape)
            return by_matrix, by_inputs, *(None for _ in draws)

        return multiply(x, *draws) if draws else multiply(x, None), gradient

    backend, given = backend_of(x), () if draws is None else (draws,)
    return keras.ops.custom_gradient(product)(backend.astype(matrix, backend.dtype_name(x)), x, *given)
