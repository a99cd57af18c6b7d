"""Where parameters lie in a matrix is data: forming it and reading it back are inverse, and nothing else is touched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow as tf
import torch

from crossohm.backends import backend_of
from crossohm.layers import (
    Blocks,
    CellParameters,
    Layout,
    Placement,
    ProductEquation,
    View,
    convolutional,
    dense,
    kernel_of_inputs,
    kernel_of_outputs,
    recurrent,
    shared,
)
from crossohm.layers.layout import values_of

GATES = {
    "rnn": Blocks(1, (0,), (0,)),
    "lstm": Blocks(4, (0, 1, 2, 3), (0, 1, 2, 3)),
    "gru": Blocks(4, (0, 1, 2), (0, 1, 3)),
    "reordered": Blocks(4, (2, 0), (3, 1)),
    "keras gru": Blocks(4, (1, 0, 2), (1, 0, 3)),
    "some gates": Blocks(2, (1, 0, None), (1, 0, None)),
    "the other gate": Blocks(1, (None, None, 0), (None, None, 0)),
}
TORCH = CellParameters(("weight_ih_l0", "weight_hh_l0"), ("bias_ih_l0", "bias_hh_l0"))
KERAS = CellParameters(("kernel", "recurrent_kernel"), ("bias", None), inputs_first=True)
KERAS_JOINT = CellParameters(("kernel", "recurrent_kernel"), ("bias", "bias"), inputs_first=True)
SIZES = (3, 2, 5)
HEADS = ProductEquation.of("abc,cde->abde")
EVERY = slice(0, 4)
LAYOUTS: dict[str, Layout] = {
    "dense": dense(4, 3),
    "dense with bias": dense(4, 3, 2),
    "inputs first": dense(4, 3, 1, inputs_first=True),
    "a third of a weight": dense(4, 3, 2, weight="in_proj", bias="in_bias", part=(1, 3), bias_part=(1, 3)),
    "a whole weight and a third of a bias": dense(4, 3, 1, bias_part=(2, 3)),
    "convolution": convolutional(kernel_of_outputs(6, 2, (3, 2)), 1, 1),
    "grouped": convolutional(kernel_of_outputs(6, 2, (3,)), 3, 2),
    "depthwise": convolutional(kernel_of_outputs(4, 1, (2, 2)), 4),
    "arrays per group": convolutional(kernel_of_outputs(6, 2, (3,)), 3, 2, per_group=True),
    "transposed": convolutional(kernel_of_inputs(4, 6, 1, (3, 2)), 1, 1),
    "transposed and grouped": convolutional(kernel_of_inputs(4, 6, 2, (3,)), 2, 1),
    **{name: recurrent(SIZES, gates, (1, 2), TORCH) for name, gates in GATES.items()},
    "gru without biases": recurrent(SIZES, GATES["gru"]),
    "keras lstm": recurrent(SIZES, GATES["lstm"], (2, 0), KERAS),
    "keras gru, joint bias": recurrent(SIZES, GATES["keras gru"], (1, 2), KERAS_JOINT),
    "keras gru, some gates": recurrent(SIZES, GATES["some gates"], (2, 0), KERAS),
    "keras gru, the other gate": recurrent(SIZES, GATES["the other gate"], (2, 0), KERAS),
    "heads of an attention": HEADS.layout((5, 2, 3), 2, (2, 3)),
    "heads put together": ProductEquation.of("abcd,cde->abe").layout((2, 3, 4), 1, (4,)),
    "kernel with rows in the middle": ProductEquation.of("abc,cxb->ax").layout((3, 4, 2)),
    "two weights side by side": Layout(
        (4, 7),
        (
            Placement("u", View.of((4, 2)), EVERY, EVERY, slice(0, 2)),
            Placement("v", View.of((3, 4), (1, 0)), EVERY, EVERY, slice(3, 6)),
            shared("b", (4,), EVERY, EVERY, 6, 1),
        ),
    ),
}
LIBRARIES: dict[str, Callable[[np.ndarray], Any]] = {
    "numpy": np.asarray,
    "torch": torch.tensor,
    "jax": jnp.asarray,
    "tensorflow": tf.constant,
}


def parameters(layout: Layout, seed: int = 1) -> dict[str, np.ndarray]:
    """Random values of everything a layout holds, in single precision as JAX has it."""
    rng, shapes = np.random.default_rng(seed), {place.parameter: place.view.shape for place in layout.placements}
    return {name: rng.uniform(0.5, 1, shape).astype("float32") for name, shape in shapes.items()}


def of_library(values: dict[str, np.ndarray], library: str) -> dict[str, Any]:
    return {name: LIBRARIES[library](value) for name, value in values.items()}


def matrix_of(layout: Layout, values: dict[str, np.ndarray], library: str = "numpy") -> np.ndarray:
    found = layout.matrix(of_library(values, library))
    return np.asarray(backend_of(found).to_numpy(found))


def rectangle(layout: Layout, rows: slice, columns: slice) -> np.ndarray:
    """True in a rectangle of the matrix."""
    found = np.zeros(layout.shape, dtype=bool)
    found[rows, columns] = True
    return found


def held_part(layout: Layout, name: str, values: dict[str, np.ndarray]) -> np.ndarray:
    return layout.stored(values)[layout.parameters.index(name)]


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("library", LIBRARIES)
def test_what_is_read_back_is_what_was_placed(name: str, library: str) -> None:
    layout = LAYOUTS[name]
    values = parameters(layout)
    matrix = layout.matrix(of_library(values, library))
    assert tuple(matrix.shape) == layout.shape
    whole = {key for key in layout.parameters if held_part(layout, key, values) is values[key]}
    if whole != set(layout.parameters):
        return  # the other parts lie in other matrices
    found = values_of([layout], [matrix])
    assert list(found) == list(layout.parameters)
    for key, value in found.items():
        np.testing.assert_allclose(np.asarray(value), values[key], rtol=1e-6)


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("library", ["torch", "jax", "tensorflow"])
def test_every_library_forms_the_same_matrix(name: str, library: str) -> None:
    values = parameters(LAYOUTS[name])
    np.testing.assert_array_equal(matrix_of(LAYOUTS[name], values, library), matrix_of(LAYOUTS[name], values))


@pytest.mark.parametrize("name", LAYOUTS)
def test_rectangles_lie_in_the_matrix_and_do_not_overlap(name: str) -> None:
    layout = LAYOUTS[name]
    covered = np.zeros(layout.shape, dtype=int)
    for place in layout.placements:
        assert 0 <= place.rows.start < place.rows.stop <= layout.shape[0]
        assert 0 <= place.columns.start < place.columns.stop <= layout.shape[1]
        covered += rectangle(layout, place.rows, place.columns)
    assert covered.max() == 1


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_changed_parameter_changes_its_regions_only(name: str) -> None:
    layout, values = LAYOUTS[name], parameters(LAYOUTS[name])
    before = matrix_of(layout, values)
    for key in layout.parameters:
        after = matrix_of(layout, values | {key: values[key] * 2})
        regions = np.logical_or.reduce([rectangle(layout, *region) for region in layout.regions(key)])
        assert (before != after).any()
        np.testing.assert_array_equal(before[~regions], after[~regions])
        changed_rows = (before != after).any(axis=1)
        np.testing.assert_array_equal(changed_rows, regions.any(axis=1))


@pytest.mark.parametrize("name", LAYOUTS)
def test_zeros_of_the_layout_stay_zeros(name: str) -> None:
    layout = LAYOUTS[name]
    first, second = (matrix_of(layout, parameters(layout, seed)) == 0 for seed in (1, 2))
    np.testing.assert_array_equal(first, second)
    held = sum(
        held_part(layout, key, parameters(layout)).size for key in layout.parameters if key not in biases(layout)
    )
    shares = sum(
        (place.rows.stop - place.rows.start) * (place.columns.stop - place.columns.start)
        for place in layout.placements
        if place.shares
    )
    assert (~first).sum() == held + shares


def biases(layout: Layout) -> set[str]:
    return {place.parameter for place in layout.placements if place.shares}


@pytest.mark.parametrize("name", [name for name, layout in LAYOUTS.items() if biases(layout)])
def test_columns_of_a_bias_share_it_equally(name: str) -> None:
    layout, values = LAYOUTS[name], parameters(LAYOUTS[name])
    matrix = matrix_of(layout, values)
    for place in layout.placements:
        if place.shares:
            columns = matrix[place.rows, place.columns]
            np.testing.assert_array_equal(columns, np.repeat(columns[:, :1], columns.shape[1], axis=1))
            np.testing.assert_allclose(columns.sum(axis=1), values[place.parameter].ravel()[place.part], rtol=1e-6)


@pytest.mark.parametrize("name", LAYOUTS)
def test_gradients_reach_the_parameters_alike(name: str) -> None:
    """The matrix is linear in its parameters: their product with the gradients is the value again."""
    layout, values = LAYOUTS[name], parameters(LAYOUTS[name])
    weights = np.random.default_rng(5).normal(size=layout.shape).astype("float32")

    def total(given: dict[str, Any]) -> Any:
        return jnp.sum(layout.matrix(given) * weights)

    by_jax = jax.grad(total)(of_library(values, "jax"))
    tensors = {key: torch.tensor(value, requires_grad=True) for key, value in values.items()}
    (layout.matrix(tensors) * torch.tensor(weights)).sum().backward()
    expected = float((matrix_of(layout, values) * weights).sum())
    found = 0.0
    for key, tensor in tensors.items():
        np.testing.assert_allclose(tensor.grad, by_jax[key], rtol=1e-5, atol=1e-6)
        found += float((tensor.grad * tensor.detach()).sum())
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_gates_in_several_matrices_are_put_together() -> None:
    layouts = [LAYOUTS["keras gru, some gates"], LAYOUTS["keras gru, the other gate"]]
    values = parameters(layouts[0])
    found = values_of(layouts, [layout.matrix(values) for layout in layouts])
    for key, value in values.items():
        np.testing.assert_allclose(found[key], value, rtol=1e-6)


def test_the_same_cell_has_the_same_matrix_in_every_framework() -> None:
    """Keras: update, reset, new, inputs first, one bias parameter. PyTorch: reset, update, new, outputs first."""
    keras = LAYOUTS["keras gru, joint bias"]
    values = parameters(keras)

    def ours(kernel: np.ndarray) -> np.ndarray:
        update, reset, new = np.split(kernel, 3, axis=-1)
        return np.concatenate([reset, update, new], axis=-1).T

    torch_values = {
        "weight_ih_l0": ours(values["kernel"]),
        "weight_hh_l0": ours(values["recurrent_kernel"]),
        "bias_ih_l0": ours(values["bias"][0]),
        "bias_hh_l0": ours(values["bias"][1]),
    }
    np.testing.assert_array_equal(matrix_of(keras, values), matrix_of(LAYOUTS["gru"], torch_values))


def test_parts_in_several_matrices_are_put_together() -> None:
    layouts = [dense(4, 3, 1, weight="w", bias="b", part=(k, 3), bias_part=(k, 3)) for k in range(3)]
    values = parameters(layouts[0])
    matrices = [layout.matrix(values) for layout in layouts]
    for order in ((0, 1, 2), (2, 0, 1)):
        found = values_of([layouts[k] for k in order], [matrices[k] for k in order])
        for key in ("w", "b"):
            np.testing.assert_allclose(found[key], values[key], rtol=1e-6)


def test_a_matrix_of_one_weight_is_the_weight_itself() -> None:
    weight = torch.rand(4, 3)
    assert dense(4, 3).matrix({"weight": weight}) is weight
    turned = dense(4, 3, inputs_first=True).matrix({"weight": weight.T})
    assert turned.data_ptr() == weight.data_ptr()


def test_what_is_followed_is_the_part_that_is_held() -> None:
    values = parameters(LAYOUTS["a third of a weight"])
    weight, bias = LAYOUTS["a third of a weight"].stored(values)
    np.testing.assert_array_equal(weight, values["in_proj"][4:8])
    np.testing.assert_array_equal(bias.ravel(), values["in_bias"][4:8])
    whole = parameters(LAYOUTS["gru"])
    assert all(map(lambda held, key: held is whole[key], LAYOUTS["gru"].stored(whole), LAYOUTS["gru"].parameters))


def test_layouts_are_values() -> None:
    assert dense(4, 3, 1) == dense(4, 3, 1) != dense(4, 3, 2)
    assert replace(dense(4, 3), row_groups=2) != dense(4, 3)
    assert convolutional(kernel_of_outputs(6, 2, (3,)), 3, per_group=True).row_groups == 3
    assert convolutional(kernel_of_outputs(6, 2, (3,)), 3).row_groups == 1
