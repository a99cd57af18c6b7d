"""Attention and equations of Keras: masks, scores and shapes are Keras' own, and what is no product stays digital."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from crossohm.errors import ParameterError
from crossohm.keras import conversion_report, from_keras, to_keras
from crossohm.testing.hardware import PROGRAMMING_ERROR, hardware

RNG = np.random.default_rng(4)


def tensor(*shape: int) -> Any:
    return keras.ops.convert_to_tensor(RNG.normal(size=shape).astype("float32"))


QUERY, VALUE, KEY = tensor(2, 4, 6), tensor(2, 3, 6), tensor(2, 3, 6)


def numbers(result: Any) -> list[np.ndarray]:
    found = [value for value in keras.tree.flatten(result) if value is not None]
    return [np.asarray(keras.ops.convert_to_numpy(value)) for value in found]


def assert_alike(layer: Any, *inputs: Any, **options: Any) -> None:
    layer(*inputs)
    for variable in layer.weights:
        variable.assign(RNG.uniform(-0.5, 0.5, variable.shape))
    analog = from_keras(layer, None, 1, seed=1)
    pairs = zip(numbers(analog(*inputs, **options)), numbers(layer(*inputs, **options)), strict=True)
    for found, expected in pairs:
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.plain_keras
@pytest.mark.parametrize(
    "options",
    [
        {"attention_mask": np.array([[1, 0, 1], [1, 1, 0], [0, 1, 1], [1, 1, 1]], dtype=bool)},
        {"return_attention_scores": True},
        {"use_causal_mask": True},
    ],
    ids=["mask", "scores", "causal"],
)
@pytest.mark.parametrize("grouped", [False, True])
def test_masks_and_scores_are_those_of_keras(options: dict[str, Any], grouped: bool) -> None:
    kinds = {
        False: keras.layers.MultiHeadAttention(num_heads=2, key_dim=3),
        True: keras.layers.GroupQueryAttention(head_dim=3, num_query_heads=4, num_key_value_heads=2),
    }
    assert_alike(kinds[grouped], QUERY, VALUE, KEY, **options)


@pytest.mark.plain_keras
def test_a_padding_mask_travels_through_an_analog_network() -> None:
    words = keras.Input((5,), dtype="int32")
    x = keras.layers.Embedding(7, 6, mask_zero=True)(words)
    model = keras.Model(words, keras.layers.MultiHeadAttention(2, 3)(x, x))
    given = np.array([[1, 2, 3, 0, 0], [4, 5, 6, 1, 2]], dtype="int32")
    analog = from_keras(model, seed=1)
    np.testing.assert_allclose(analog.predict(given, verbose=0), model.predict(given, verbose=0), atol=1e-5)


@pytest.mark.plain_keras
def test_attention_over_several_axes() -> None:
    layer = keras.layers.MultiHeadAttention(num_heads=2, key_dim=3, attention_axes=(1, 2))
    assert_alike(layer, tensor(2, 3, 2, 4), tensor(2, 3, 2, 4))


def test_projections_have_errors_of_their_own_and_go_back() -> None:
    layer = keras.layers.MultiHeadAttention(num_heads=2, key_dim=3, dropout=0.25, seed=9)
    layer(QUERY, VALUE)
    analog = from_keras(layer, hardware(PROGRAMMING_ERROR), seed=1)
    assert [matrix.name for matrix in analog.matrices] == [
        "core.query",
        "core.key",
        "core.value",
        "core.attention_output",
    ]
    assert (analog.seed, to_keras(analog).seed, to_keras(analog).dropout) == (1, 9, 0.25)
    held = to_keras(analog, physical_weights=True)
    for ours, plain in zip(analog.get_core_weights(), held.weights, strict=True):
        np.testing.assert_allclose(*numbers([ours, plain]), rtol=1e-6)


@pytest.mark.plain_keras
def test_what_multiplies_positions_by_matrices_of_their_own_stays_digital() -> None:
    x = keras.Input((4, 5))
    own = keras.layers.EinsumDense("abc,bcd->abd", output_shape=(4, 3), name="own")(x)
    shared = keras.layers.EinsumDense("abd,de->abe", output_shape=(4, 2), name="shared")(own)
    with pytest.warns(RuntimeWarning, match="own"):
        analog = from_keras(keras.Model(x, shared), seed=1)
    assert [type(layer).__name__ for layer in analog.layers[1:]] == ["EinsumDense", "AnalogEinsumDense"]
    assert "own" in str(conversion_report(analog))


@pytest.mark.plain_keras
def test_a_bias_that_rows_share_cannot_lie_in_the_arrays() -> None:
    layer = keras.layers.EinsumDense("abc,cde->abde", output_shape=(None, 2, 3), bias_axes="e")
    layer.build((2, 4, 5))
    with pytest.raises(ParameterError, match=r"bias_rows.*not one number for each row"):
        from_keras(layer, None, 1)
    x = tensor(2, 4, 5)
    np.testing.assert_allclose(*numbers([from_keras(layer, seed=1)(x), layer(x)]), atol=1e-5)
