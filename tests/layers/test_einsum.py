"""Products written as equations: what arrays multiply, put back in order, is what the equation says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow as tf
import torch

from crossohm.backends import backend_of
from crossohm.errors import UnsupportedError
from crossohm.layers import ProductEquation

SIZES = {"a": 2, "b": 3, "c": 4, "d": 5, "e": 6, "x": 3, "y": 2}
#: Equation, and how many axes the inputs have where some are elided.
EQUATIONS = {
    "ab,bc->ac": 2,
    "abc,cd->abd": 3,
    "abc,cde->abde": 3,
    "abcd,cde->abe": 4,
    "abc,dce->aebd": 3,
    "abc,bd->adc": 3,
    "abc,cbd->ad": 3,
    "abc,dcb->da": 3,
    "...x,xy->...y": 4,
    "...xb,bdx->...d": 3,
    "abc,cd->dab": 3,
    "ab...,bd->ad...": 4,
    "ab,bc->ca": 2,
}
LIBRARIES: dict[str, Callable[[np.ndarray], Any]] = {
    "numpy": np.asarray,
    "torch": torch.tensor,
    "jax": jnp.asarray,
    "tensorflow": tf.constant,
}


def arrays_of(equation: str, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and kernel; elided axes have sizes 2, 3."""
    rng = np.random.default_rng(3)
    inputs, kernel = equation.split("->")[0].split(",")
    named = inputs.replace("...", "")
    elided = [2, 3][: rank - len(named)]
    own = [SIZES[axis] for axis in named]
    shape = [*elided, *own] if inputs.startswith("...") else [*own, *elided]
    return rng.normal(size=shape).astype("float32"), rng.normal(size=[SIZES[a] for a in kernel]).astype("float32")


@pytest.mark.parametrize("equation", EQUATIONS)
@pytest.mark.parametrize("library", LIBRARIES)
def test_products_with_the_matrix_are_the_equation(equation: str, library: str) -> None:
    x, kernel = arrays_of(equation, EQUATIONS[equation])
    product = ProductEquation.of(equation)
    inputs, weight = LIBRARIES[library](x), LIBRARIES[library](kernel)
    matrix = product.layout(kernel.shape).matrix({"kernel": weight})
    vectors = product.vectors(inputs)
    assert vectors.shape[1] == matrix.shape[1]
    found = product.outputs_of(vectors @ backend_of(matrix).transposed(matrix), tuple(x.shape), kernel.shape)
    np.testing.assert_allclose(backend_of(found).to_numpy(found), np.einsum(equation, x, kernel), rtol=1e-4, atol=1e-5)


def test_the_matrix_does_not_depend_on_the_order_of_the_kernels_axes() -> None:
    kernel = np.random.default_rng(1).normal(size=(4, 5, 6))
    first = ProductEquation.of("abc,cde->abde").layout((4, 5, 6)).matrix({"kernel": kernel})
    turned = np.transpose(kernel, (2, 0, 1))
    second = ProductEquation.of("abc,ecd->abde").layout((6, 4, 5)).matrix({"kernel": turned})
    np.testing.assert_array_equal(first, second)


def test_which_biases_arrays_can_hold() -> None:
    product = ProductEquation.of("abc,cde->abde")
    assert product.bias_is_of_rows("de")
    assert not any(product.bias_is_of_rows(axes) for axes in ("e", "d", "bde", ""))


@pytest.mark.parametrize(
    ("equation", "problem"),
    [
        ("abc,bcd->abd", "axis b is in all three"),
        ("abc,cd->ad", "axis b of the inputs is summed by itself"),
        ("ab,bcd->ac", "axis d of the kernel is summed by itself"),
        ("ab,bc->abc", "axis b is in all three"),
        ("ab,cd->abcd", "nothing is summed over"),
        ("ab,bc->acz", "axis z of the outputs comes from nowhere"),
        ("aab,bc->ac", "aab names an axis twice"),
        ("a...b,bc->a...c", "does not have the form"),
        ("...ab,bc->ac", "what is elided"),
        ("ab,bc,cd->ad", "does not have the form"),
    ],
)
def test_equations_that_are_no_matrix_product_are_refused(equation: str, problem: str) -> None:
    with pytest.raises(UnsupportedError, match=problem):
        ProductEquation.of(equation)
