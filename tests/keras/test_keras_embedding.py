"""Tables in arrays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from crossohm import AnalogCore
from crossohm.errors import InputError, UnsupportedError
from crossohm.keras import AnalogDense, AnalogEmbedding, analog_layers, from_keras, register, to_keras
from crossohm.keras.conversion.kinds import ANALOG_KINDS
from crossohm.testing.hardware import PROGRAMMING_ERROR, hardware

layers = keras.layers
TOKENS = np.array([[1, 4, 4], [3, 2, 6]])


@pytest.fixture
def table() -> Any:
    layer = layers.Embedding(7, 5, name="table")
    layer.build()
    layer.set_weights([np.random.default_rng(3).uniform(-0.5, 0.5, (7, 5))])
    return layer


@pytest.fixture
def asked_for() -> Iterator[None]:
    register(AnalogEmbedding)
    yield
    del ANALOG_KINDS[layers.Embedding]


def _numbers(value: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(value))


@pytest.mark.plain_keras
def test_ideal_tables_equal_keras(table: Any) -> None:
    """In pieces, for any shape of tokens and also for whole numbers that are floats."""
    analog = AnalogEmbedding.from_keras(table, hardware({"core.rows_max": 3, "core.cols_max": 2}), 2, seed=1)
    assert tuple(analog.form_matrix().shape) == (5, 7)
    for tokens in (TOKENS, TOKENS[:0], TOKENS[0], TOKENS.astype("float32")):
        np.testing.assert_allclose(_numbers(analog(tokens)), _numbers(table(tokens)), atol=1e-6)


@pytest.mark.plain_keras
def test_errors_are_those_of_the_column_read(table: Any) -> None:
    """The chip is that of the same matrix, seed and name anywhere; a plain layer may take what it holds."""
    params = hardware(PROGRAMMING_ERROR)
    analog = AnalogEmbedding.from_keras(table, params, seed=1)
    held = _numbers(analog.get_core_weights()[0])
    core = AnalogCore(_numbers(table.embeddings).T, params, seed=1, name="table")
    np.testing.assert_array_equal(held.T, core.get_matrix())
    assert np.abs(held - _numbers(table.embeddings)).max() > 1e-2
    np.testing.assert_allclose(_numbers(analog(TOKENS)), held[TOKENS], atol=1e-5)
    plain = to_keras(analog, physical_weights=True)
    assert type(plain) is layers.Embedding
    np.testing.assert_array_equal(_numbers(plain.embeddings), held)


@pytest.mark.usefixtures("asked_for")
def test_tables_are_converted_on_request(tmp_path: Path) -> None:
    """Masks reach layers behind them; compiled training changes the rows of tokens seen; files keep the chip."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((3,), dtype="int32"),
            layers.Embedding(7, 4, mask_zero=True, name="table"),
            layers.GlobalAveragePooling1D(name="mean"),  # of what the mask leaves
            layers.Dense(2, name="head"),
        ]
    )
    analog = from_keras(model, hardware(), seed=1)
    assert [type(layer) for layer in analog_layers(analog)] == [AnalogEmbedding, AnalogDense]
    tokens = np.array([[1, 4, 0], [3, 0, 0]])
    np.testing.assert_allclose(analog.predict(tokens, verbose=0), model.predict(tokens, verbose=0), atol=1e-5)
    before = _numbers(analog.get_layer("table").embeddings)
    analog.compile("sgd", "mse")
    analog.fit(tokens, np.ones((2, 2)), verbose=0)
    changed = (_numbers(analog.get_layer("table").embeddings) != before).any(axis=1)
    np.testing.assert_array_equal(changed, [False, True, False, True, True, False, False])
    analog.save(tmp_path / "net.keras")
    again = keras.saving.load_model(tmp_path / "net.keras")
    np.testing.assert_array_equal(again.predict(tokens, verbose=0), analog.predict(tokens, verbose=0))


@pytest.mark.plain_keras
def test_tables_stay_digital_unasked(table: Any) -> None:
    """A product with a whole table per token is what few want."""
    model = keras.Sequential([keras.Input((3,), dtype="int32"), table, layers.Dense(2)])
    assert [type(layer) for layer in analog_layers(from_keras(model, seed=1))] == [AnalogDense]


@pytest.mark.plain_keras
@pytest.mark.usefixtures("asked_for")
def test_what_a_table_refuses(table: Any) -> None:
    """Tokens outside of it, and additions of low rank."""
    analog = AnalogEmbedding.from_keras(table, seed=1)
    for wrong in (-1, 7):
        with pytest.raises(InputError, match="table of 7"):
            analog(np.array([wrong, 2]))
    with pytest.raises(UnsupportedError, match="lora_rank"):
        AnalogEmbedding(input_dim=7, output_dim=5, lora_rank=2)
    with pytest.raises(UnsupportedError):
        AnalogEmbedding.from_keras(layers.Embedding(7, 5, lora_rank=2))
