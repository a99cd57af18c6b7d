"""Recurrent layers of Keras: masks, states, noise of every time step, cells, both directions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import pytest

from crossohm import CrossSimParameters
from crossohm.errors import UnsupportedError
from crossohm.keras import analog_layers, from_keras
from crossohm.testing.hardware import PROGRAMMING_ERROR, hardware

RNG = np.random.default_rng(2)
X = RNG.normal(size=(3, 5, 4)).astype("float32")
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 1, 1, 0, 1]], dtype=bool)
KINDS: Mapping[str, Callable[..., Any]] = {
    "simple": keras.layers.SimpleRNN,
    "lstm": keras.layers.LSTM,
    "gru": keras.layers.GRU,
    "early": lambda units, **options: keras.layers.GRU(units, reset_after=False, **options),
    "rnn": lambda units, **options: keras.layers.RNN(keras.layers.LSTMCell(units), **options),
}


def with_weights(layer: Any, shape: tuple[int, ...] = X.shape) -> Any:
    layer.build(shape)
    for variable in layer.weights:
        variable.assign(RNG.uniform(-0.5, 0.5, variable.shape))
    return layer


def numbers(result: Any) -> list[np.ndarray]:
    return [np.asarray(keras.ops.convert_to_numpy(value)) for value in keras.tree.flatten(result)]


def assert_alike(analog: Any, digital: Any, *inputs: Any, **options: Any) -> None:
    pairs = zip(numbers(analog(*inputs, **options)), numbers(digital(*inputs, **options)), strict=True)
    for found, expected in pairs:
        np.testing.assert_allclose(found, expected, atol=1e-5)


def noisy() -> CrossSimParameters:
    params = CrossSimParameters()
    params.xbar.device.read_noise.enable = True
    params.xbar.device.read_noise.model = "NormalIndependentDevice"
    params.xbar.device.read_noise.magnitude = 0.05
    return params


@pytest.mark.plain_keras
@pytest.mark.parametrize("kind", KINDS if keras.backend.backend() == "torch" else ["rnn", "early"])
@pytest.mark.parametrize("bias_rows", [0, 1])
def test_masks_states_and_directions_are_those_of_the_digital_layer(kind: str, bias_rows: int) -> None:
    digital = with_weights(KINDS[kind](6, return_sequences=True, return_state=True, go_backwards=True))
    analog = from_keras(digital, None, bias_rows, seed=1)
    memories = 2 if kind in ("lstm", "rnn") else 1
    states = [RNG.normal(size=(3, 6)).astype("float32") for _ in range(memories)]
    assert_alike(analog, digital, X)
    mask = keras.ops.convert_to_tensor(MASK)
    assert_alike(analog, digital, X, mask=mask, initial_state=[keras.ops.convert_to_tensor(s) for s in states])


@pytest.mark.plain_keras
def test_a_stateful_layer_remembers() -> None:
    digital = with_weights(keras.layers.GRU(3, stateful=True))
    analog = from_keras(digital, seed=1)
    assert_alike(analog, digital, X)
    assert_alike(analog, digital, X[:, ::-1])
    analog.reset_state()
    digital.reset_state()
    assert_alike(analog, digital, X)


@pytest.mark.parametrize("compiled", [False, True])
def test_every_time_step_draws_noise_of_its_own(compiled: bool) -> None:
    """Constant inputs, and nothing comes from the state: steps differ by noise alone, and so do calls."""
    layer = keras.layers.SimpleRNN(4, activation=None, return_sequences=True)
    model = keras.Sequential([keras.Input((6, 3)), layer])
    layer.cell.recurrent_kernel.assign(np.zeros((4, 4)))
    analog = from_keras(model, noisy(), seed=1)
    x = np.ones((2, 6, 3), dtype="float32")

    def outputs() -> np.ndarray:
        return np.asarray(analog.predict(x, verbose=0)) if compiled else numbers(analog(x))[0]

    first, second = outputs(), outputs()
    for y in (first, second):
        assert len({tuple(step) for row in y for step in row}) == 12
    assert not np.isin(second, first).any()


def test_pausing_sequences_do_not_stop_the_noise_of_others() -> None:
    layer = with_weights(keras.layers.SimpleRNN(4, activation=None, return_sequences=True), (2, 6, 3))
    layer.cell.recurrent_kernel.assign(np.zeros((4, 4)))
    analog = from_keras(layer, noisy(), seed=1)
    x = np.ones((2, 6, 3), dtype="float32")
    pausing = keras.ops.convert_to_tensor(np.array([[1, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1]], dtype=bool))
    (y,) = numbers(analog(x, mask=pausing))
    assert len({tuple(step) for step in y[1]}) == 6


def test_a_network_with_noise_in_both_matrices_of_a_cell_trains() -> None:
    model = keras.Sequential([keras.Input((5, 4)), keras.layers.GRU(4, reset_after=False, dropout=0.2)])
    analog = from_keras(model, noisy(), seed=1)
    before = [weight.copy() for weight in analog.get_weights()]
    analog.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")
    analog.fit(X, np.zeros((3, 4), dtype="float32"), epochs=2, verbose=0)
    assert all((was != now).any() for was, now in zip(before, analog.get_weights(), strict=True))


@pytest.mark.plain_keras
def test_what_is_dropped_scales_what_drives_the_arrays() -> None:
    """Dropout of inputs alone: the state at the end is that of the digital layer for inputs with the mask."""
    digital = with_weights(keras.layers.SimpleRNN(4, dropout=0.5, recurrent_dropout=0.25))
    analog = from_keras(digital, seed=1)
    kept = analog.cell.get_dropout_mask(keras.ops.convert_to_tensor(X[:, 0]))
    state = analog.cell.get_recurrent_dropout_mask(keras.ops.zeros((3, 4)))
    digital.cell._dropout_mask, digital.cell._recurrent_dropout_mask = kept, state
    assert_alike(analog, digital, X, training=True)


@pytest.mark.plain_keras
@pytest.mark.parametrize("kind", ["SimpleRNN", "LSTM", "GRU"])
def test_a_cell_is_a_time_step(kind: str) -> None:
    cell = with_weights(getattr(keras.layers, f"{kind}Cell")(6), (3, 4))
    analog = from_keras(cell, None, 1, seed=1)
    states = [
        keras.ops.convert_to_tensor(RNG.normal(size=(3, 6)).astype("float32")) for _ in range(1 + (kind == "LSTM"))
    ]
    assert_alike(analog, cell, keras.ops.convert_to_tensor(X[:, 0]), states)


def test_cells_cannot_look_after_their_arrays_in_a_compiled_loop(backend: str) -> None:
    stacked = keras.layers.RNN([keras.layers.LSTMCell(3), keras.layers.LSTMCell(2)])
    stacked.build(X.shape)
    analog = from_keras(stacked, seed=1)
    if backend == "torch":
        assert_alike(analog, stacked, X)
        return
    with pytest.raises(UnsupportedError, match="in a loop of"):
        analog(X)


@pytest.mark.plain_keras
def test_both_directions_have_arrays_with_errors_of_their_own() -> None:
    model = keras.Sequential([keras.Input((5, 4)), keras.layers.Bidirectional(keras.layers.LSTM(3))])
    assert_alike(from_keras(model, seed=1), model, X)
    forward, backward = analog_layers(from_keras(model, hardware(PROGRAMMING_ERROR), seed=1))
    assert forward.core.name != backward.core.name


def test_equal_cells_are_equal_chips_in_pytorch() -> None:
    torch = pytest.importorskip("torch")
    from crossohm.torch import AnalogGRUCell

    cell = with_weights(keras.layers.GRUCell(3), (2, 4))
    ours = from_keras(cell, hardware(PROGRAMMING_ERROR), 1, seed=5)
    theirs = AnalogGRUCell(hardware(PROGRAMMING_ERROR), 4, 3, bias_ih_rows=1, bias_hh_rows=1, seed=5)
    kernel, recurrent, bias = (np.array(weight) for weight in cell.get_weights())
    values = {"weight_ih": kernel, "weight_hh": recurrent, "bias_ih": bias[0], "bias_hh": bias[1]}
    with torch.no_grad():
        for name, value in values.items():
            update, reset, new = np.split(value, 3, axis=-1)
            getattr(theirs, name).copy_(torch.tensor(np.concatenate([reset, update, new], axis=-1).T))
    theirs.reinitialize(5)
    for one, other in zip(ours.core.blocks, theirs.core.blocks, strict=True):
        np.testing.assert_array_equal(one.record.conductance, other.record.conductance)


@pytest.mark.plain_keras
def test_a_file_of_weights_that_arrays_do_not_hold_yet_has_them_written() -> None:
    layer = from_keras(with_weights(keras.layers.LSTM(3)), hardware(PROGRAMMING_ERROR), seed=1)
    layer.cell.kernel.assign(layer.cell.kernel * 2)
    store: dict[str, Any] = {}
    layer.save_own_variables(store)
    layer.load_own_variables({key: np.asarray(value) for key, value in store.items()})
    layer(X)
    assert layer.matrices[0].is_written()


@pytest.mark.plain_keras
def test_copies_of_networks_keep_weights_of_cells_and_their_chip() -> None:
    inputs = keras.Input((5, 4))
    h = keras.layers.LSTM(3, return_sequences=True)(inputs)
    model = keras.Model(inputs, keras.layers.MultiHeadAttention(2, 3)(h, h))
    analog = from_keras(model, hardware(PROGRAMMING_ERROR), seed=1)
    with_more = from_keras(keras.Sequential([keras.Input((5, 4)), analog]), seed=2)
    np.testing.assert_array_equal(with_more.predict(X, verbose=0), analog.predict(X, verbose=0))
