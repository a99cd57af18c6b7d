"""Arrays in functions that Keras compiles: the same answers, the same gradients, no second compilation."""

from __future__ import annotations

from itertools import cycle

import keras
import numpy as np
import pytest

from crossohm.keras import AnalogConv2D, AnalogDense
from crossohm.testing.hardware import APART, CONVERTERS, PROGRAMMING_ERROR, READ_NOISE, STYLES, hardware

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(0, 1, (70, 8, 7, 1)).astype("float32")
CLASSES = RNG.integers(0, 5, 70)


def small_network(params, **choices):
    """Two layers with arrays, weights that are the same on every backend."""
    model = keras.Sequential(
        [
            keras.Input((8, 7, 1)),
            AnalogConv2D(
                filters=4, kernel_size=3, strides=2, padding="same", params=params, seed=1, name="a", **choices
            ),
            keras.layers.ReLU(),
            keras.layers.Flatten(),
            AnalogDense(units=5, params=params, seed=1, bias_rows=2, name="b", **choices),
        ]
    )
    rng = np.random.default_rng(5)
    for variable in model.weights:
        variable.assign(rng.uniform(-0.4, 0.4, variable.shape))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss, metrics=["accuracy"])
    return model


def eagerly(model, x):
    return keras.ops.convert_to_numpy(model(x, training=False))


def predicted(model, x):
    return model.predict(x, verbose=0, batch_size=32)


CHAINS = [{}, CONVERTERS, APART]


# Each style with one chain: what they compute together is tested without Keras, in tests/core. JAX takes 5 s for each.
PAIRS = list(zip(STYLES, cycle(CHAINS), strict=False))


@pytest.mark.parametrize(("style", "chain"), PAIRS[::3] if keras.backend.backend() == "jax" else PAIRS)
def test_compiled_answers_are_those_of_the_arrays(style, chain):
    """Through `predict`, whose last batch is smaller, in every style."""
    model = small_network(hardware(STYLES[style], chain, PROGRAMMING_ERROR))
    found, expected = predicted(model, IMAGES), eagerly(model, IMAGES)
    step = np.abs(expected).max() / 50 if chain is CONVERTERS else 1e-5  # rounding may move a conversion by a level
    assert np.abs(found - expected).max() < step
    assert np.mean(np.abs(found - expected) < 1e-5) > 0.99


@pytest.mark.parametrize("sync", ["auto", "manual"])
def test_changed_weights_reach_compiled_functions_as_the_policy_says(sync):
    model = small_network(hardware(PROGRAMMING_ERROR), sync=sync)
    before = predicted(model, IMAGES)
    kernel = model.layers[0].kernel
    kernel.assign(kernel * 1.5)
    changed = predicted(model, IMAGES)
    if sync == "manual":
        np.testing.assert_array_equal(changed, before)
        model.layers[0].synchronize()
        changed = predicted(model, IMAGES)
    assert np.abs(changed - before).max() > 0.01
    np.testing.assert_allclose(changed, eagerly(model, IMAGES), atol=1e-5)


def test_the_host_knows_what_compiled_training_wrote():
    model = small_network(hardware(PROGRAMMING_ERROR))
    model.fit(IMAGES, CLASSES, epochs=2, batch_size=32, verbose=0)
    answers = predicted(model, IMAGES)
    for layer in (model.layers[0], model.layers[-1]):
        ideal, held = (keras.ops.convert_to_numpy(m) for m in (layer.form_matrix(), layer.get_matrix()))
        assert 0 < np.abs(held - ideal).max() < 0.5
    np.testing.assert_allclose(answers, eagerly(model, IMAGES), atol=1e-5)


@pytest.mark.parametrize("gradient", ["programmed", "chain"])
def test_training_on_ideal_hardware_is_digital_training(gradient):
    analog = small_network(hardware(APART), gradient=gradient)
    digital = keras.Sequential([keras.Input((8, 7, 1)), *(_plain(layer) for layer in analog.layers)])
    digital.compile(keras.optimizers.SGD(0.1), analog.loss, metrics=["accuracy"])
    losses = [
        model.fit(IMAGES, CLASSES, epochs=4, batch_size=32, shuffle=False, verbose=0).history["loss"]
        for model in (analog, digital)
    ]
    np.testing.assert_allclose(*losses, rtol=1e-4)


def _plain(layer):
    return layer.to_keras() if hasattr(layer, "to_keras") else type(layer).from_config(layer.get_config())


def test_nothing_is_compiled_again_for_a_write():
    """Neither for training steps nor for weights that were assigned in between."""
    traces = []

    class Counting(keras.layers.Layer):
        def call(self, x):
            traces.append(x.shape)
            return x

    params = hardware(PROGRAMMING_ERROR, CONVERTERS)
    model = keras.Sequential([keras.Input((6,)), AnalogDense(units=3, params=params, seed=1), Counting()])
    model.compile("sgd", "mse", run_eagerly=False)
    if keras.backend.backend() == "torch":
        pytest.skip("PyTorch runs without compilation")
    x, y = RNG.uniform(-1, 1, (64, 6)).astype("float32"), np.zeros((64, 3))
    model.fit(x, y, batch_size=32, verbose=0)
    predicted(model, x)
    count = len(traces)
    for _ in range(10):
        model.fit(x, y, batch_size=32, verbose=0)
        model.layers[0].kernel.assign(model.layers[0].kernel * 0.9)
        predicted(model, x)
    assert len(traces) == count


def test_noise_is_drawn_anew_and_repeats_with_the_seed_of_keras():
    answers = []
    for _ in range(2):
        keras.utils.set_random_seed(3)
        model = small_network(hardware(READ_NOISE))
        answers += [predicted(model, IMAGES[:32]), predicted(model, IMAGES[:32])]
    assert np.abs(answers[0] - answers[1]).max() > 1e-3
    np.testing.assert_array_equal(answers[0], answers[2])
    np.testing.assert_array_equal(answers[1], answers[3])


def test_other_hardware_is_never_answered_for_by_an_old_function():
    """It is compiled again, or says that it has to be."""
    model = small_network(hardware(PROGRAMMING_ERROR))
    predicted(model, IMAGES)
    model.layers[0].params = hardware(CONVERTERS, {"core.style": "OFFSET"})
    expected = eagerly(model, IMAGES)
    try:
        found = predicted(model, IMAGES)
    except Exception as error:  # each backend wraps what the host raises in a class of its own
        assert "compile it again" in str(error)
        model.compile()
        found = predicted(model, IMAGES)
    np.testing.assert_allclose(found, expected, atol=np.abs(expected).max() / 50)


def test_a_model_saved_after_training_answers_as_it_did(tmp_path):
    """Its last step changed weights after they were written into the arrays."""
    model = small_network(hardware(PROGRAMMING_ERROR))
    model.fit(IMAGES, CLASSES, epochs=1, batch_size=32, verbose=0)
    model.save(tmp_path / "net.keras")
    again = keras.models.load_model(tmp_path / "net.keras")
    expected = predicted(model, IMAGES)
    np.testing.assert_allclose(predicted(again, IMAGES), expected, atol=1e-6)
    for ours, theirs in zip((again.layers[0], again.layers[-1]), (model.layers[0], model.layers[-1]), strict=True):
        np.testing.assert_array_equal(ours.matrices[0].built.get_matrix(), theirs.matrices[0].built.get_matrix())
    ideal = keras.ops.convert_to_numpy(again.layers[0].form_matrix())
    assert np.abs(again.layers[0].matrices[0].built.get_matrix() - ideal).max() < 0.5


def test_another_gradient_takes_effect_when_the_model_is_compiled_again():
    model = small_network(hardware(APART))
    model.fit(IMAGES, CLASSES, epochs=1, batch_size=32, verbose=0)
    for layer in (model.layers[0], model.layers[-1]):
        layer.gradient = "chain"
    model.compile(keras.optimizers.SGD(0.1), model.loss)
    losses = model.fit(IMAGES, CLASSES, epochs=3, batch_size=32, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
