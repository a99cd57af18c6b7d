"""Recurrent cells of Flax on arrays, in `flax.nnx.RNN`: whole sequences."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from flax_cases import EMPTY_CELL, numbered

import crossohm
import crossohm.flax as cx
from crossohm.errors import ShapeError
from crossohm.testing.hardware import APART, CONVERTERS, PROGRAMMING_ERROR, READ_NOISE, hardware

RNG = np.random.default_rng(0)
X = RNG.uniform(-1, 1, (2, 4, 3)).astype("float32")


def sequence(kind: Any, **choices: Any) -> Any:
    return numbered(nnx.RNN(kind(3, 2, **choices, **EMPTY_CELL, rngs=nnx.Rngs(0))))


def converted(model: Any, *hardware: Any, **choices: Any) -> Any:
    return cx.from_flax(model, *hardware, seed=1, rngs=nnx.Rngs(0), **choices)


@pytest.mark.parametrize("gradient", ["programmed", pytest.param("chain", marks=pytest.mark.slow)])
def test_sequences_and_their_gradients_are_those_of_the_digital_cells(gradient: Any) -> None:
    """Compiled in one function, in both directions of time."""
    digital = nnx.Bidirectional(sequence(nnx.GRUCell), sequence(nnx.SimpleCell, residual=True))
    analog = converted(digital, hardware(APART), 2, gradient=gradient)
    names = [layer.core_name for layer in cx.analog_layers(analog)]
    assert names == ["backward_rnn.cell", "forward_rnn.cell"]

    @nnx.jit
    def run(*models: Any) -> Any:
        return [nnx.value_and_grad(lambda m: (m(X) ** 2).sum())(model) for model in models]

    (found, by), (expected, wanted) = run(analog, digital)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    for (path, one), (_, other) in zip(nnx.to_flat_state(by), nnx.to_flat_state(wanted), strict=True):
        np.testing.assert_allclose(one.get_value(), other.get_value(), rtol=1e-4, atol=1e-5, err_msg=str(path))


def test_all_steps_have_one_chip_and_each_has_noise_of_its_own() -> None:
    """Also where the arrays are written inside the loop, which happens once."""
    digital = sequence(nnx.OptimizedLSTMCell)
    analog = converted(digital, hardware(PROGRAMMING_ERROR))
    run = nnx.jit(lambda model: model(X))
    run(analog)
    kernel = analog.cell.dense_i.kernel
    kernel.set_value(0.5 * kernel.get_value())
    found = run(analog)
    np.testing.assert_allclose(found, cx.to_flax(analog, physical_weights=True)(X), atol=1e-5)
    assert {block.record.writes for block in analog.cell.matrices[0].built.blocks} == {2}

    noisy = sequence(nnx.SimpleCell)
    noisy.cell.dense_h.kernel.set_value(jnp.zeros((2, 2)))  # steps are alike but for noise
    noisy, same = converted(noisy, hardware(READ_NOISE)), nnx.jit(lambda model: model(jnp.ones((1, 3, 3))))
    steps = np.concatenate([same(noisy), same(noisy)])[..., 0].ravel()
    assert len(set(steps)) == 6
    assert np.ptp(steps) < 0.5


def test_an_lstm_is_the_chip_of_one_of_torch() -> None:
    torch, analog_torch = pytest.importorskip("torch"), pytest.importorskip("crossohm.torch")
    params, joint = hardware(PROGRAMMING_ERROR), sequence(nnx.OptimizedLSTMCell)
    theirs = torch.nn.LSTMCell(3, 2)
    values = [joint.cell.dense_i.kernel, joint.cell.dense_h.kernel, joint.cell.dense_h.bias]
    for name, value in zip(("weight_ih", "weight_hh", "bias_hh"), values, strict=True):
        getattr(theirs, name).data = torch.from_numpy(np.array(value.get_value()).T.copy())
    wanted = analog_torch.AnalogLSTMCell.from_torch(theirs, params, 0, 1, seed=1, name="torch.cell").get_matrix()
    apart = sequence(nnx.LSTMCell)
    for number, gate in enumerate("ifgo"):
        part = slice(2 * number, 2 * number + 2)
        getattr(apart.cell, "if_" if gate == "f" else f"i{gate}").kernel.set_value(values[0].get_value()[:, part])
        of_state = getattr(apart.cell, f"h{gate}")
        of_state.kernel.set_value(values[1].get_value()[:, part])
        of_state.bias.set_value(values[2].get_value()[part])
    for model in (joint, apart):
        analog = converted(model, params, 1, name="torch")
        np.testing.assert_array_equal(analog.cell.get_matrix(), wanted)
        back = cx.to_flax(analog)
        assert nnx.graphdef(back) == nnx.graphdef(model)


def test_calibration_sees_every_time_step() -> None:
    """Also that the last input of a sequence is the largest."""
    params, steps = hardware(CONVERTERS), X.copy()
    steps[:, -1] *= 7.0
    found = crossohm.calibrate(sequence(nnx.SimpleCell), steps, params)
    (cell,) = found.hardware.values()
    assert cell.core.mapping.inputs.mvm.max > 4.0


def test_inputs_with_another_number_of_features_are_refused() -> None:
    cell = converted(sequence(nnx.GRUCell)).cell
    with pytest.raises(ShapeError, match=r"AnalogGRUCell\(in_features=3\)"):
        cell(jnp.zeros((2, 2)), jnp.ones((2, 4)))
