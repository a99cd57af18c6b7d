"""Networks of Keras keep the laws of all networks; what is only theirs."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from crossohm import CrossSimParameters, calibrate
from crossohm.errors import InputError, NetworkError, UnsupportedError
from crossohm.keras import from_keras
from crossohm.keras.front_end import network
from crossohm.keras.network import KerasNetwork
from crossohm.layers.network import network_of
from crossohm.testing.hardware import CONVERTERS, hardware
from crossohm.testing.network import NetworkContract

layers = keras.layers


def _model(channels: str = "channels_last") -> Any:
    """A convolution, BatchNorm, a ReLU, an inner model and a dense layer."""
    keras.utils.set_random_seed(3)
    shape = (6, 6, 2) if channels == "channels_last" else (2, 6, 6)
    x = keras.Input(shape, name="x")
    y = layers.Conv2D(3, 3, name="conv", data_format=channels)(x)
    norm = layers.BatchNormalization(name="norm", axis=-1 if channels == "channels_last" else 1)
    y = layers.Flatten(name="flat")(layers.ReLU(name="relu")(norm(y)))
    y = layers.Dense(6, activation="relu", name="hidden")(y)
    inner = keras.Sequential([keras.Input((6,), name="z"), layers.Dense(4, name="head")], name="inner")
    model = keras.Model(x, inner(y), name="model")
    rng = np.random.default_rng(4)
    for weight in model.weights:
        weight.assign(rng.uniform(0.1, 0.5, weight.shape) * (1 if "var" in weight.name else rng.choice([-1, 1])))
    return model


class TestKerasNetwork(NetworkContract):
    """The contract of all front ends."""

    def network(self, batch_size: int = 250) -> KerasNetwork:
        return network(_model(), batch_size)

    def images(self) -> Any:
        return np.random.default_rng(0).normal(size=(5, 2, 6, 6)).astype("float32")

    def changed(self, network: Any) -> KerasNetwork:
        network.module.get_layer("hidden").bias.assign([1] * 6)
        return network


@pytest.mark.plain_keras
def test_channels_may_be_first_or_last() -> None:
    """Images of either form are the same images."""
    images = np.random.default_rng(0).normal(size=(3, 2, 6, 6)).astype("float32")
    one = network(_model()).outputs(images)
    np.testing.assert_array_equal(network(_model()).outputs(np.moveaxis(images, 1, -1)), one)


@pytest.mark.plain_keras
def test_models_find_their_front_end() -> None:
    """Also of classes of one's own."""
    assert isinstance(network_of(_model()), KerasNetwork)

    class Own(keras.Model):
        def call(self, x: Any) -> Any:
            return x

    assert isinstance(network_of(Own()), KerasNetwork)


@pytest.mark.plain_keras
def test_calibrated_hardware_fits_the_model() -> None:
    """Ranges found on the inputs keep the answers at eight bits, and belong to the layers they were found for."""
    model = _model()
    images = np.random.default_rng(0).normal(size=(64, 6, 6, 2)).astype("float32")
    coarse = hardware(CONVERTERS)
    found = calibrate(model, images, coarse)
    assert list(found.hardware) == ["conv", "hidden", "inner.head"]
    wanted = network(model).outputs(images)
    deviation = np.abs(network(from_keras(model, found.hardware, seed=1)).outputs(images) - wanted).max()
    assert deviation < 0.2 * np.abs(wanted).max()


@pytest.mark.plain_keras
def test_floors_are_known_where_a_relu_follows() -> None:
    """As a layer, as an activation; not where the network answers."""
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(3, name="a"),
            layers.Dropout(0.5),
            layers.ReLU(),
            layers.Dense(3, activation="relu", name="b"),
            layers.Dense(3, activation="tanh", name="c"),
            layers.Dense(2, name="d"),
        ]
    )
    model.get_layer("a").bias.assign([1.0, -2.0, 0.0])
    floors = network(from_keras(model)).floors
    assert list(floors) == ["a", "b"]
    np.testing.assert_array_equal(floors["a"], [-1, 2, 0])
    assert list(network(from_keras(model, bias_rows=1)).floors) == ["a", "b"]


@pytest.mark.plain_keras
def test_several_inputs_are_taken() -> None:
    """In order, by name, with labels."""
    x, y = keras.Input((3,), name="x"), keras.Input((3,), name="y")
    model = network(keras.Model([x, y], layers.Dense(2)(layers.Subtract()([x, y]))))
    one, two = np.ones((2, 3), "float32"), np.zeros((2, 3), "float32")
    for batch in ([one, two], [[one, two], one], {"y": two, "x": one}, [{"y": two, "x": one}, one]):
        model.take(batch)
    with pytest.raises(InputError, match="2 inputs"):
        model.take(one)
    with pytest.raises(InputError, match="x, y"):
        model.take({"x": one})


@pytest.mark.plain_keras
def test_what_does_not_fit_is_said() -> None:
    """The shape, and what the network answers."""
    with pytest.raises(NetworkError, match=r"\(2, 5\)"):
        network(_model()).outputs(np.zeros((2, 5), "float32"))
    x = keras.Input((3,))
    with pytest.raises(UnsupportedError, match=r"no output 'depth', only 0, 1"):
        several = network(keras.Model(x, [x, layers.Dense(2)(x)]))
        several.each_answer(np.zeros((2, 3), "float32"), lambda batch: None, names=("depth",))


def test_an_output_of_several_is_chosen() -> None:
    """The first is the main one."""
    x = keras.Input((3,))
    several, given = network(keras.Model(x, [x, layers.Dense(2)(x)])), np.ones((5, 3), "float32")
    np.testing.assert_array_equal(several.outputs(given), given)
    shapes: list[tuple[int, ...]] = []
    several.each_answer(given, lambda batch: shapes.append(batch["1"].shape), names=("1",))
    assert shapes == [(5, 2)]


def test_noise_repeats_with_the_network() -> None:
    """And leaves the generators of the layers where they were."""
    params = CrossSimParameters()
    params.update(
        {
            "xbar.device.read_noise.enable": True,
            "xbar.device.read_noise.model": "NormalIndependentDevice",
            "xbar.device.read_noise.magnitude": 0.1,
        }
    )
    noisy = network(from_keras(_model(), params, seed=1))
    images = np.random.default_rng(0).normal(size=(3, 6, 6, 2)).astype("float32")
    one = noisy.outputs(images)
    assert not np.array_equal(np.asarray(keras.ops.convert_to_numpy(noisy.module(images))), one)
    np.testing.assert_array_equal(noisy.outputs(images), one)
