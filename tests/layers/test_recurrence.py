"""Recurrent cells by their matrices: with exact products they are the cells of PyTorch and Keras, in every library."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow as tf
import torch

from crossohm.backends import backend_of
from crossohm.layers import CellParameters
from crossohm.layers.recurrence.cell import RecurrentCell
from crossohm.layers.recurrence.gates import Gates, early_reset_gru_gates, gru_gates, lstm_gates, rnn_gates

UNITS, INPUTS, BATCH = 3, 2, 4
Values = dict[str, Any]


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-x)))


ACTIVATIONS: dict[str, tuple[Any, Any]] = {
    "numpy": (np.tanh, sigmoid),
    "torch": (torch.tanh, torch.sigmoid),
    "jax": (jnp.tanh, jax.nn.sigmoid),
    "tensorflow": (tf.tanh, tf.sigmoid),
}
LIBRARIES: dict[str, Callable[[np.ndarray], Any]] = {
    "numpy": np.asarray,
    "torch": torch.tensor,
    "jax": jnp.asarray,
    "tensorflow": tf.constant,
}
EVERY = pytest.mark.parametrize("library", LIBRARIES)
#: Matrix columns for the biases of inputs and state.
HELD = pytest.mark.parametrize("columns", [(0, 0), (1, 0), (0, 2), (1, 1)])

TORCH = CellParameters()
KERAS = CellParameters(("kernel", "recurrent_kernel"), ("bias", None), inputs_first=True)
KERAS_JOINT = CellParameters(("kernel", "recurrent_kernel"), ("bias", "bias"), inputs_first=True)
#: Which of reset, update and new Keras' gates are.
KERAS_ORDER = (1, 0, 2)


def parameters(gates: int, keras: bool = False, joint: bool = False) -> dict[str, np.ndarray]:
    rng, rows = np.random.default_rng(7), gates * UNITS
    if keras:
        shapes: dict[str, tuple[int, ...]] = {"kernel": (INPUTS, rows), "recurrent_kernel": (UNITS, rows)}
        shapes["bias"] = (2, rows) if joint else (rows,)
    else:
        shapes = {"weight_ih": (rows, INPUTS), "weight_hh": (rows, UNITS), "bias_ih": (rows,), "bias_hh": (rows,)}
    return {name: rng.normal(size=shape).astype("float32") for name, shape in shapes.items()}


def exact_step(cell: RecurrentCell, values: dict[str, np.ndarray], library: str, *states: np.ndarray) -> Any:
    """The next state by exact products with the matrices of the cell."""
    own = {name: LIBRARIES[library](value) for name, value in values.items()}
    matrices = [layout.matrix(own) for layout in cell.layouts().values()]
    step = cell.stepping([lambda v, m=matrix: v @ backend_of(m).transposed(m) for matrix in matrices], own)
    x, *state = (LIBRARIES[library](value) for value in states)
    return [backend_of(part).to_numpy(part) for part in step(x, tuple(state))]


def vectors(*sizes: int) -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    return [rng.normal(size=(BATCH, size)).astype("float32") for size in sizes]


def torch_cell(kind: type[Any], values: dict[str, np.ndarray]) -> Any:
    cell = kind(INPUTS, UNITS)
    cell.load_state_dict({name: torch.tensor(value) for name, value in values.items()})
    return cell


def gates_of(kind: str, library: str) -> Gates:
    tanh, gate = ACTIVATIONS[library]
    return {"rnn": rnn_gates(tanh), "lstm": lstm_gates(tanh, gate), "gru": gru_gates(tanh, gate)}[kind]


@EVERY
@HELD
@pytest.mark.parametrize(
    ("kind", "digital", "gates"),
    [("rnn", torch.nn.RNNCell, 1), ("lstm", torch.nn.LSTMCell, 4), ("gru", torch.nn.GRUCell, 3)],
)
def test_cells_of_pytorch(kind: str, digital: type[Any], gates: int, columns: tuple[int, int], library: str) -> None:
    values = parameters(gates)
    cell = RecurrentCell(gates_of(kind, library), (UNITS, INPUTS, UNITS), TORCH, columns)
    x, *state = vectors(INPUTS, *[UNITS] * (1 + cell.gates.memories))
    given = tuple(map(torch.tensor, state))
    expected = torch_cell(digital, values)(torch.tensor(x), given if len(given) > 1 else given[0])
    found = exact_step(cell, values, library, x, *state)
    assert len(found) == 1 + cell.gates.memories
    for part, wanted in zip(found, expected if len(given) > 1 else [expected], strict=True):
        np.testing.assert_allclose(part, wanted.detach(), rtol=1e-4, atol=1e-5)


def keras_gru(values: dict[str, np.ndarray], x: np.ndarray, h: np.ndarray, reset_after: bool) -> np.ndarray:
    """As Keras documents it."""
    of_input, of_state = values["bias"] if reset_after else (values["bias"], np.zeros_like(values["bias"]))
    xz, xr, xh = np.split(x @ values["kernel"] + of_input, 3, axis=1)
    uz, ur, uh = np.split(values["recurrent_kernel"], 3, axis=1)
    bz, br, bh = np.split(of_state, 3)
    z, r = sigmoid(xz + h @ uz + bz), sigmoid(xr + h @ ur + br)
    new = np.tanh(xh + r * (h @ uh + bh)) if reset_after else np.tanh(xh + (r * h) @ uh)
    return np.asarray(z * h + (1 - z) * new)


@EVERY
@HELD
def test_late_reset_of_keras(columns: tuple[int, int], library: str) -> None:
    values = parameters(3, keras=True, joint=True)
    gates = gru_gates(*ACTIVATIONS[library], KERAS_ORDER)
    cell = RecurrentCell(gates, (UNITS, INPUTS, UNITS), KERAS_JOINT, columns)
    x, h = vectors(INPUTS, UNITS)
    (found,) = exact_step(cell, values, library, x, h)
    np.testing.assert_allclose(found, keras_gru(values, x, h, reset_after=True), rtol=1e-4, atol=1e-5)


@EVERY
@pytest.mark.parametrize("columns", [0, 1, 2])
def test_early_reset_of_keras(columns: int, library: str) -> None:
    values = parameters(3, keras=True)
    gates = early_reset_gru_gates(*ACTIVATIONS[library], KERAS_ORDER)
    cell = RecurrentCell(gates, (UNITS, INPUTS, UNITS), KERAS, (columns, 0))
    x, h = vectors(INPUTS, UNITS)
    (found,) = exact_step(cell, values, library, x, h)
    np.testing.assert_allclose(found, keras_gru(values, x, h, reset_after=False), rtol=1e-4, atol=1e-5)


def test_an_early_reset_needs_two_matrices_without_idle_cells() -> None:
    cell = RecurrentCell(early_reset_gru_gates(np.tanh, sigmoid, KERAS_ORDER), (UNITS, INPUTS, UNITS), KERAS, (1, 0))
    shapes = {name: layout.shape for name, layout in cell.layouts().items()}
    assert shapes == {"": (2 * UNITS, INPUTS + UNITS + 1), ".candidate": (UNITS, INPUTS + UNITS + 1)}
    assert sum(rows * columns for rows, columns in shapes.values()) == sum(map(np.size, parameters(3, True).values()))


def test_what_is_added_digitally() -> None:
    gates = gru_gates(np.tanh, sigmoid)

    def digital(names: CellParameters, *columns: int) -> tuple[str, ...]:
        return RecurrentCell(gates, (UNITS, INPUTS, UNITS), names, columns).digital_biases  # type: ignore[arg-type]

    assert digital(TORCH, 0, 0) == ("bias_ih", "bias_hh")
    assert digital(TORCH, 1, 0) == ("bias_hh",)
    assert digital(TORCH, 1, 1) == ()
    assert digital(KERAS_JOINT, 0, 0) == ("bias",)
    assert digital(KERAS, 2, 0) == ()
    nameless = CellParameters(biases=(None, None))
    assert digital(nameless, 1, 1) == ()
    assert RecurrentCell(gates, (UNITS, INPUTS, UNITS), nameless, (1, 1)).ones == 0
