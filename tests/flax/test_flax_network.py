"""Networks of Flax keep the laws of all networks; what is only theirs."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from crossohm import calibrate
from crossohm.errors import InputError, NetworkError, ParameterError, UnsupportedError
from crossohm.flax import FlaxNetwork, conversion_report, from_flax
from crossohm.flax.front_end import network, require_device
from crossohm.layers.network import network_of
from crossohm.testing.hardware import CONVERTERS, PROGRAMMING_ERROR, READ_NOISE, hardware
from crossohm.testing.network import NetworkContract


class Net(nnx.Module):
    """A convolution, BatchNorm, a ReLU, dropout, and dense layers in a model of their own."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.conv = nnx.Conv(2, 3, (3, 3), padding="VALID", use_bias=False, rngs=rngs)
        self.norm = nnx.BatchNorm(3, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.inner = nnx.Sequential(nnx.Linear(48, 6, rngs=rngs), nnx.relu, nnx.Linear(6, 4, rngs=rngs))

    def __call__(self, x: Any) -> Any:
        y = self.drop(nnx.relu(self.norm(self.conv(x))))
        return self.inner(y.reshape(len(y), -1))


def _model() -> Net:
    model, rng = Net(nnx.Rngs(0)), np.random.default_rng(3)
    for norm, low in ((model.norm.mean, -0.2), (model.norm.var, 0.5)):
        norm.set_value(jnp.asarray(rng.uniform(low, low + 0.5, 3), "float32"))
    return model


class TestFlaxNetwork(NetworkContract):
    """The contract of all front ends."""

    def network(self, batch_size: int = 250) -> FlaxNetwork:
        return network(_model(), batch_size)

    def images(self) -> Any:
        return np.random.default_rng(0).normal(size=(5, 2, 6, 6)).astype("float32")

    def changed(self, network: Any) -> FlaxNetwork:
        network.module.inner.layers[0].bias.set_value(jnp.ones(6))
        return network


def test_models_find_their_front_end() -> None:
    """Theirs is the class of a user."""
    assert isinstance(network_of(_model()), FlaxNetwork)
    with pytest.raises(UnsupportedError, match="no layers"):
        network(nnx.LayerNorm(3, rngs=nnx.Rngs(0)))


def test_channels_may_be_first_or_last() -> None:
    """Images of either form are the same images."""
    images = np.random.default_rng(0).normal(size=(3, 2, 6, 6)).astype("float32")
    one = network(_model()).outputs(images)
    np.testing.assert_array_equal(network(_model()).outputs(np.moveaxis(images, 1, -1)), one)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_calibrated_hardware_fits_the_model() -> None:
    """Ranges found on the inputs keep the answers at eight bits; they belong to layers with BatchNorm in them."""
    model, images = _model(), np.random.default_rng(0).normal(size=(64, 6, 6, 2)).astype("float32")
    found = calibrate(model, images, hardware(CONVERTERS)).hardware
    assert list(found) == ["conv", "inner.layers.0", "inner.layers.2"]
    wanted = network(model).outputs(images)
    alone = pytest.raises(ParameterError, match="folded into it")
    with pytest.warns(RuntimeWarning, match="norm: what it follows is shown by an example only"), alone:
        from_flax(model, found, rngs=nnx.Rngs(0))
    analog = from_flax(model, found, seed=1, example=images, rngs=nnx.Rngs(0))
    assert np.abs(network(analog).outputs(images) - wanted).max() < 0.2 * np.abs(wanted).max()


def test_floors_are_known_where_a_relu_follows() -> None:
    """Of BatchNorm that is folded the beta; not where the network answers."""
    told = network(_model()).seeing(np.zeros((1, 6, 6, 2), "float32"))
    chip = told.on_hardware([None if name.endswith("2") else hardware() for name in told.convertible], 1)
    floors = chip.floors
    assert list(floors) == ["conv", "inner.layers.0"]
    noisy = told.on_hardware([hardware(READ_NOISE), None, None], 1)  # draws random numbers while it is looked through
    assert list(noisy.floors) == ["conv"]
    np.testing.assert_array_equal(floors["conv"], -chip.module.conv.bias.get_value())
    assert np.all(floors["conv"])


class Pair(nnx.Module):
    """Two inputs, and what says that it is not trained."""

    def __init__(self) -> None:
        self.head = nnx.Linear(3, 2, rngs=nnx.Rngs(0))

    def __call__(self, x: Any, y: Any, *, train: bool) -> Any:
        return self.head(x - y) * (np.nan if train else 1)


def test_several_inputs_are_taken() -> None:
    """In order, by name, with labels."""
    model, one, two = network(Pair()), np.ones((2, 3), "float32"), np.zeros((2, 3), "float32")
    for batch in ([one, two], [[one, two], one], {"y": two, "x": one}, [{"y": two, "x": one}, one]):
        with model.record(["head"]) as kept:
            model.take(batch)
        np.testing.assert_allclose(kept["head"][0], Pair().head(jnp.ones((2, 3))), rtol=1e-5)
    with pytest.raises(InputError, match="2 inputs"):
        model.take(one)
    with pytest.raises(InputError, match="x, y"):
        model.take({"x": one})


def test_what_does_not_fit_is_said() -> None:
    """The shape, and what the network answers; a device that is not there."""
    with pytest.raises(NetworkError, match=r"\(2, 5\)"):
        network(_model()).outputs(np.zeros((2, 5), "float32"))
    summed = nnx.Sequential(nnx.Linear(3, 3, rngs=nnx.Rngs(0)), lambda x: (x.sum(), x.sum()))
    with pytest.raises(UnsupportedError, match="a tuple"):
        network(summed).outputs(np.zeros((2, 3), "float32"))
    require_device("cpu:0", "device")
    with pytest.raises(ParameterError, match="cpu:0"):
        require_device("cpu:7", "device")


def test_noise_repeats_with_the_network_and_leaves_the_state_of_the_model_alone() -> None:
    """Generators and running statistics are where they were; compiled or looked at, the noise is the same."""
    rngs = nnx.Rngs(0, noise=1)
    model = nnx.Sequential(nnx.Linear(3, 2, rngs=rngs), nnx.BatchNorm(2, rngs=rngs), nnx.Dropout(0.5, rngs=rngs))
    analog = from_flax(model, hardware(READ_NOISE), seed=1, rngs=rngs)
    noisy, before = network(analog, batch_size=2), _values(analog)
    images = np.random.default_rng(0).normal(size=(2, 3)).astype("float32")[[0, 1, 0, 1]]
    one = noisy.outputs(images)
    np.testing.assert_array_equal(noisy.outputs(images), one)
    assert not np.array_equal(one[:2], one[2:])
    with noisy.cores["layers.0"].profile() as seen:
        np.testing.assert_allclose(noisy.outputs(images), one, atol=1e-5)
    assert seen.inputs["mvm"].total == images.size
    assert not analog.layers[1].use_running_average
    assert all(map(np.array_equal, _values(analog), before))


def _values(model: Any) -> list[Any]:
    return jax.tree.leaves(nnx.state(model, nnx.Not(nnx.RngKey)))


def test_a_model_is_compiled_once_per_shape_of_batches() -> None:
    """Also when its parameters change."""
    calls = []

    def counted(x: Any) -> Any:
        calls.append(x.shape)
        return x

    one = network(nnx.Sequential(nnx.Linear(3, 2, rngs=nnx.Rngs(0)), counted), batch_size=2)
    for value in (1.0, 2.0):
        one.module.layers[0].bias.set_value(jnp.full(2, value))
        found = one.outputs(np.zeros((6, 3), "float32"))
        np.testing.assert_array_equal(found, np.full((6, 2), value))
    assert calls == [(2, 2)]


def test_reports_say_what_becomes_of_norms() -> None:
    """With an example, without one, and where the statistics are of the batch."""
    x = np.zeros((2, 6, 6, 2), "float32")
    assert "shown by an example" in str(conversion_report(_model()))
    (norm,) = conversion_report(_model(), x).norms
    assert norm.name == "norm" and not norm.reason


class Tagger(nnx.Module):
    """A cell in a loop."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.memory = nnx.RNN(nnx.SimpleCell(3, 2, rngs=rngs))
        self.head = nnx.Linear(2, 2, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        return self.head(self.memory(x)[:, -1])


def test_what_happens_in_loops_over_time_is_seen() -> None:
    """Inputs of arrays, vectors per image and outputs of cells, once for each step."""
    digital, images = network(Tagger(nnx.Rngs(0))), np.random.default_rng(0).normal(size=(5, 4, 3)).astype("float32")
    chip = digital.seeing(images).on_hardware([hardware(PROGRAMMING_ERROR) for _ in digital.convertible], 1)
    assert chip.vectors_per_image(images[0]) == {"head": 1, "memory.cell": 4}
    with chip.compared(digital) as found, chip.record(["memory.cell"]) as kept:
        answers = chip.outputs(images)
    assert [part.shape for part in kept["memory.cell"]] == [(5, 2)] * 4
    assert all(0 < one.noise < one.signal for one in found.values())
    np.testing.assert_allclose(answers, chip.outputs(images), atol=1e-6)
    with chip.cores["memory.cell"].profile() as seen:
        chip.outputs(images)
    assert seen.inputs["mvm"].total == 5 * 4 * 5
