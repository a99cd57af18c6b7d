"""BatchNorm is folded where that changes nothing, and stays where it might; the report says why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from crossohm import CrossSimParameters, ParameterError, calibrate
from crossohm.keras import analog_layers, conversion_report, from_keras, to_keras

pytestmark = pytest.mark.plain_keras

layers = keras.layers
BatchNorm = layers.BatchNormalization


def _drawn(model: Any) -> Any:
    rng = np.random.default_rng(1)
    for weight in model.weights:
        weight.assign(rng.uniform(0.2, 0.8, weight.shape))
    return model


def _after(layer: Any, *shape: int, axis: int = -1) -> Callable[[], Any]:
    def make() -> Any:
        x = keras.Input(shape)
        return keras.Model(x, layers.ReLU()(BatchNorm(axis=axis, name="norm")(layer()(x))))

    return make


FOLDED = {
    "dense": _after(lambda: layers.Dense(3, use_bias=False), 4),
    "dense3d": _after(lambda: layers.Dense(3), 5, 4),
    "conv": _after(lambda: layers.Conv2D(4, 3, groups=2), 6, 6, 2),
    "first": _after(lambda: layers.Conv2D(3, 2, data_format="channels_first"), 2, 6, 6, axis=1),
    "depthwise": _after(lambda: layers.DepthwiseConv2D(3, depth_multiplier=2), 6, 6, 2),
    "transposed": _after(lambda: layers.Conv1DTranspose(3, 2, strides=2), 6, 2),
}


def _kept(layer: Any, norm: Any, **options: Any) -> Callable[[], Any]:
    def make() -> Any:
        x = keras.Input((6, 6, 2))
        return keras.Model(x, norm(layer(x)), **options)

    return make


def _branch() -> Any:
    x = keras.Input((4,))
    y = layers.Dense(4)(x)
    return keras.Model(x, layers.Add()([BatchNorm(name="norm")(y), y]))


def _output() -> Any:
    x = keras.Input((4,))
    y = layers.Dense(4)(x)
    return keras.Model(x, [BatchNorm(name="norm")(y), y])


def _twice() -> Any:
    x = keras.Input((4,))
    layer = layers.Dense(4)
    return keras.Model(x, BatchNorm(name="norm")(layer(layer(x))))


def _leading() -> Any:
    return keras.Sequential([keras.Input((4,)), BatchNorm(name="norm"), layers.Dense(3)])


KEPT = {
    "activation": lambda: _kept(layers.Conv2D(3, 3, activation="relu"), BatchNorm(name="norm"))(),
    "axis": lambda: _kept(layers.Conv2D(3, 3), BatchNorm(name="norm", axis=1))(),
    "frozen": lambda: _kept(layers.Conv2D(3, 3), BatchNorm(name="norm", trainable=False))(),
    "branch": _branch,
    "output": _output,
    "twice": _twice,
    "leading": _leading,
}


def _answers(model: Any) -> list[np.ndarray]:
    x = np.random.default_rng(0).uniform(-1, 1, (3, *model.input_shape[1:])).astype("float32")
    return [keras.ops.convert_to_numpy(part) for part in keras.tree.flatten(model(x, training=False))]


@pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="convolutions with channels first need a GPU")
def test_channels_first_is_folded() -> None:
    """Along axis one."""
    _check_folded("first")


@pytest.mark.parametrize("name", [name for name in FOLDED if name != "first"])
def test_what_is_safe_is_folded(name: str) -> None:
    """The answers stay, the normalisation is gone."""
    _check_folded(name)


def _check_folded(name: str) -> None:
    model = _drawn(FOLDED[name]())
    wanted = _answers(model)
    analog = from_keras(model, fuse_batchnorm=True)
    for one in (analog, to_keras(analog)):
        assert not any(isinstance(layer, BatchNorm) for layer in one.layers)
        assert "norm" in [layer.name for layer in one.layers]
        for found, right in zip(_answers(one), wanted, strict=True):
            np.testing.assert_allclose(found, right, rtol=0, atol=2e-5 * np.abs(right).max())
    np.testing.assert_array_equal(_answers(model), wanted)


@pytest.mark.parametrize("name", KEPT)
def test_what_might_change_the_model_stays(name: str) -> None:
    """With the reason; the answers stay in any case."""
    model = _drawn(KEPT[name]())
    with pytest.warns(RuntimeWarning, match="BatchNorm stays digital.*norm: "):
        analog = from_keras(model, fuse_batchnorm=True)
    assert any(isinstance(layer, BatchNorm) for layer in analog.layers)
    for found, right in zip(_answers(analog), _answers(model), strict=True):
        np.testing.assert_allclose(found, right, rtol=0, atol=2e-5 * np.abs(right).max())


@pytest.mark.parametrize("name", KEPT)
def test_the_report_says_why_it_stays(name: str) -> None:
    """In the words of the warning, before and after conversion."""
    model = _drawn(KEPT[name]())
    with pytest.warns(RuntimeWarning) as caught:
        analog = from_keras(model, fuse_batchnorm=True)
    for report in map(conversion_report, (model, analog)):
        [norm] = report.norms
        assert norm.name == "norm" and norm.reason and f"norm: {norm.reason}" in str(caught[0].message)
        assert f"norm (BatchNorm): digital; not folded: {norm.reason}" in str(report)


def test_the_report_says_what_would_be_folded() -> None:
    """And that it is too late for that on arrays; what is folded is no more in it."""
    model = FOLDED["conv"]()
    assert "norm (BatchNorm): digital; fuse_batchnorm=True folds it" in str(conversion_report(model))
    [norm] = conversion_report(from_keras(model)).norms
    assert "on arrays already" in norm.reason
    assert not conversion_report(from_keras(model, fuse_batchnorm=True)).norms


def test_calibrated_hardware_remembers_the_folding(tmp_path: Path) -> None:
    """A conversion does as the calibration did, another is refused, and files keep it."""
    model = _drawn(FOLDED["conv"]())
    images = np.random.default_rng(0).uniform(size=(8, 6, 6, 2)).astype("float32")
    params = CrossSimParameters.from_json("rram-8bit")
    found = calibrate(model, images, params)
    analog = from_keras(model, found.hardware, seed=1)
    assert not any(isinstance(layer, BatchNorm) for layer in analog.layers)
    with pytest.raises(ParameterError, match="folded"):
        from_keras(model, found.hardware, fuse_batchnorm=False)
    analog.save(tmp_path / "net.keras")
    again = keras.saving.load_model(tmp_path / "net.keras")
    one, other = (np.asarray(analog_layers(model)[0].core) for model in (analog, again))
    np.testing.assert_array_equal(one, other)
