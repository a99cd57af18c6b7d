"""`AnalogLinear` of Flax: laws of a layer on arrays, in nnx' transformations and states."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from flax import nnx

from crossohm import AnalogCore
from crossohm.errors import StaleArraysError, UnsupportedError
from crossohm.flax import AnalogLinear
from crossohm.testing.hardware import APART, PROGRAMMING_ERROR, READ_NOISE, hardware

X = np.random.default_rng(0).uniform(-1, 1, (7, 5)).astype("float32")  # of NumPy, as users have them


def layer(params=None, bias_rows=0, **choices):
    made = AnalogLinear(
        5, 3, params=params, bias_rows=bias_rows, seed=1, core_name="flax-linear", rngs=nnx.Rngs(0, noise=2), **choices
    )
    made.bias.set_value(jnp.array([0.1, -0.2, 0.3]))
    return made


def digital(analog, x=X):
    return np.asarray(x @ analog.kernel.get_value() + analog.bias.get_value())


@pytest.mark.parametrize("bias_rows", [0, 2])
def test_ideal_hardware_computes_the_digital_layer_eagerly_and_compiled(bias_rows):
    analog = layer(None, bias_rows)
    for answer in (analog(X), nnx.jit(lambda m, x: m(x))(analog, X), analog(X[0]), analog(X[None])):
        np.testing.assert_allclose(np.asarray(answer).reshape(-1, 3)[0], digital(analog)[0], atol=1e-6)


def test_a_seed_is_a_chip_and_the_same_one_in_numpy():
    analog = layer(hardware(PROGRAMMING_ERROR))
    core = AnalogCore(np.asarray(analog.kernel.get_value()).T, hardware(PROGRAMMING_ERROR), seed=1, name="flax-linear")
    np.testing.assert_array_equal(core.get_matrix(), np.asarray(analog.get_matrix()))


@pytest.mark.parametrize("gradient", ["programmed", "chain"])
@pytest.mark.parametrize("bias_rows", [0, 2])
def test_ideal_gradients_are_those_of_the_digital_layer(gradient, bias_rows):
    analog = layer(hardware(APART), bias_rows, gradient=gradient)
    found = nnx.jit(nnx.grad(lambda m: (m(X) ** 2).sum()))(analog)
    twin = nnx.Linear(5, 3, rngs=nnx.Rngs(0))
    twin.bias.set_value(analog.bias.get_value())
    expected = nnx.grad(lambda m: (m(X) ** 2).sum())(twin)
    for name in ("kernel", "bias"):
        np.testing.assert_allclose(found[name].get_value(), expected[name].get_value(), rtol=1e-4, atol=1e-5)


def test_training_writes_the_arrays_and_traces_once():
    analog, traces = layer(hardware(PROGRAMMING_ERROR)), []
    optimizer = nnx.Optimizer(analog, optax.sgd(0.05), wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer, x):
        traces.append(1)
        loss, grads = nnx.value_and_grad(lambda m: (m(x) ** 2).mean())(model)
        optimizer.update(model, grads)
        return loss

    losses = [float(step(analog, optimizer, X)) for _ in range(6)]
    assert len(traces) == 1
    assert losses[-1] < losses[0]
    np.testing.assert_allclose(analog(X), digital(analog), atol=0.3)
    held = np.asarray(analog.get_matrix())
    assert 0 < np.abs(held - np.asarray(analog.form_matrix())).max() < 0.3


def test_the_state_is_the_chip():
    """Also in another layer, compiled or not, and clones live on their own."""
    analog, twin = layer(hardware(PROGRAMMING_ERROR)), layer(hardware(PROGRAMMING_ERROR))
    twin.reinitialize(9)
    answers = np.asarray(analog(X))
    state = nnx.state(analog)
    clone = nnx.clone(analog)
    clone.kernel.set_value(0.5 * clone.kernel.get_value())
    clone(X)
    np.testing.assert_array_equal(analog(X), answers)
    nnx.update(twin, state)
    np.testing.assert_array_equal(twin(X), answers)
    np.testing.assert_array_equal(twin.get_matrix(), analog.get_matrix())


def test_changed_parameters_reach_compiled_functions_as_the_policy_says():
    analog, run = layer(), nnx.jit(lambda m, x: m(x))
    before = np.asarray(run(analog, X))
    analog.kernel.set_value(0.5 * analog.kernel.get_value())
    np.testing.assert_allclose(run(analog, X), digital(analog), atol=1e-6)
    analog.sync = "manual"
    changed = np.asarray(run(analog, X))
    analog.kernel.set_value(2 * analog.kernel.get_value())
    np.testing.assert_array_equal(run(analog, X), changed)
    analog.synchronize()
    np.testing.assert_allclose(run(analog, X), before, atol=1e-6)
    analog.sync = "error"
    analog.kernel.set_value(2 * analog.kernel.get_value())
    with pytest.raises(StaleArraysError, match="kernel"):
        analog(X)


def test_orbax_brings_the_chip_back(tmp_path):
    analog, twin = layer(hardware(PROGRAMMING_ERROR)), layer(hardware(PROGRAMMING_ERROR))
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "state", nnx.state(analog, nnx.Not(nnx.RngState)))
        checkpointer.wait_until_finished()
        twin.reinitialize(9)
        target = nnx.state(twin, nnx.Not(nnx.RngState))
        nnx.update(twin, checkpointer.restore(tmp_path / "state", target))
    np.testing.assert_array_equal(twin(X), analog(X))


def test_noise_comes_from_the_stream_of_the_layer():
    one, other = layer(hardware(READ_NOISE)), layer(hardware(READ_NOISE))
    first, second = np.asarray(one(X)), np.asarray(one(X))
    assert np.abs(first - second).max() > 1e-4
    np.testing.assert_array_equal(first, other(X))


def test_vectors_of_a_batch_are_mapped():
    analog = layer(hardware(PROGRAMMING_ERROR))
    answers = analog(X)
    found = nnx.vmap(lambda m, x: m(x), in_axes=(None, 0))(analog, X)
    np.testing.assert_allclose(found, answers, atol=1e-6)


@pytest.mark.parametrize("name", ["precision", "preferred_element_type"])
def test_ways_to_compute_the_product_are_refused(name: str) -> None:
    with pytest.raises(UnsupportedError, match=f"^{name} = .*leave {name} out"):
        AnalogLinear(3, 2, rngs=nnx.Rngs(0), **{name: jnp.float32})
