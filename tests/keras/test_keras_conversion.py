"""`from_keras` and back: any graph, names, chips, and nothing changed that is not the copy's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from crossohm import AnalogCore, CrossSimParameters
from crossohm.errors import ParameterError, UnknownNameError, UnsupportedError
from crossohm.keras import (
    AnalogConv2D,
    AnalogDense,
    analog_layers,
    conversion_report,
    convertible_layers,
    from_keras,
    inconvertible_layers,
    reinitialize,
    to_keras,
)

layers, ops = keras.layers, keras.ops
pytestmark = [pytest.mark.filterwarnings("ignore:.*lambda.*:UserWarning"), pytest.mark.plain_keras]

#: Largest deviation of an ideal analog model in single precision, relative to the largest output.
ROUNDING = 1e-5


def _numbers(value: Any) -> list[np.ndarray]:
    """All arrays of an answer, in order."""
    return [ops.convert_to_numpy(part) for part in keras.tree.flatten(value)]


def _images(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, shape).astype("float32")


def _noisy() -> CrossSimParameters:
    params = CrossSimParameters()
    params.update(
        {
            "xbar.device.programming_error.enable": True,
            "xbar.device.programming_error.model": "NormalIndependentDevice",
            "xbar.device.programming_error.magnitude": 0.05,
        }
    )
    return params


@keras.saving.register_keras_serializable("crossohm-tests")
class Block(layers.Layer):
    """A layer of a user with layers in attributes, lists and dictionaries."""

    def __init__(self, units: int, **options: Any) -> None:
        super().__init__(**options)
        self.units = units
        self.first = layers.Dense(units, activation="relu", name="first")
        self.rest = [layers.Dense(units, name=f"rest{number}") for number in range(2)]
        self.named = {"last": layers.Dense(units, name="last")}

    def build(self, input_shape: Any) -> None:
        for layer in (self.first, *self.rest, self.named["last"]):
            layer.build(input_shape)
            input_shape = (*input_shape[:-1], self.units)
        super().build(input_shape)

    def call(self, x: Any) -> Any:
        x = self.first(x)
        for layer in self.rest:
            x = x + layer(x)
        return self.named["last"](x)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


class Network(keras.Model):
    """A model of a user."""

    def __init__(self, units: int = 3, **options: Any) -> None:
        super().__init__(**options)
        self.units = units
        self.block = Block(units, name="block")
        self.head = layers.Dense(2, name="head")

    def call(self, x: Any) -> Any:
        return self.head(self.block(x))

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "units": self.units}


def _ordered() -> Any:
    """Non-commutative merges, in an order that is not that of definition."""
    x = keras.Input((4,))
    a, b = layers.Dense(3)(x), layers.Dense(3)(x)
    return keras.Model(x, layers.Concatenate()([layers.Subtract()([b, a]), b, a]))


def _several() -> Any:
    """Two inputs and outputs, in a dictionary, one of them an input."""
    x, y = keras.Input((4,), name="x"), keras.Input((4,), name="y")
    z = layers.Add()([x, layers.Dense(4)(y)])
    return keras.Model([x, y], {"sum": z, "head": layers.Dense(2)(z), "x": x})


def _shared() -> Any:
    """One layer at two places, with operations between."""
    x = keras.Input((4,))
    layer = layers.Dense(4, name="shared")
    return keras.Model(x, ops.relu(layer(ops.tanh(layer(x)) * 2.0) - x)[:, 1:])


def _nested() -> Any:
    x = keras.Input((6, 6, 2))
    inner = keras.Sequential([keras.Input((6, 6, 2)), layers.Conv2D(3, 3, name="conv"), layers.ReLU()], name="inner")
    deep = keras.Model(x, keras.Sequential([inner, layers.Flatten()], name="middle")(x), name="deep")
    return keras.Model(x, layers.Dense(2, name="head")(deep(x)))


def _normalised() -> Any:
    x = keras.Input((6, 6, 2))
    y = layers.BatchNormalization()(layers.SeparableConv2D(3, 3)(x))
    y = layers.Lambda(lambda v: 2 * v)(layers.Activation(lambda v: v + 1)(y))
    normalisation = layers.Normalization(axis=-1)
    normalisation.adapt(_images(4, 6, 6, 2))
    return keras.Model(x, layers.GlobalAveragePooling2D()(layers.Conv2D(3, 1)(y)) + ops.mean(normalisation(x)))


def _wrapped() -> Any:
    x = keras.Input((3, 4))
    return keras.Model(x, layers.Bidirectional(layers.SimpleRNN(2))(layers.TimeDistributed(layers.Dense(5))(x)))


def _sequential() -> Any:
    return keras.Sequential([layers.Conv1D(3, 2), layers.Flatten(), layers.Dense(2)])


MODELS: dict[str, tuple[Callable[[], Any], tuple[tuple[int, ...], ...]]] = {
    "ordered": (_ordered, ((5, 4),)),
    "several": (_several, ((5, 4), (5, 4))),
    "shared": (_shared, ((5, 4),)),
    "nested": (_nested, ((2, 6, 6, 2),)),
    "normalised": (_normalised, ((2, 6, 6, 2),)),
    "wrapped": (_wrapped, ((2, 3, 4),)),
    "sequential": (_sequential, ((2, 5, 3),)),
    "subclassed": (Network, ((5, 4),)),
    "single": (lambda: layers.Dense(3), ((5, 4),)),
}


def _made(name: str) -> tuple[Any, Any]:
    """A model with weights, all of them drawn, and inputs for it."""
    make, shapes = MODELS[name]
    model, inputs = make(), [_images(*shape) for shape in shapes]
    inputs = inputs[0] if len(inputs) == 1 else inputs
    model(inputs)
    rng = np.random.default_rng(1)
    for weight in model.trainable_weights:
        weight.assign(rng.uniform(0.1, 0.6, weight.shape))
    return model, inputs


@pytest.mark.filterwarnings("ignore:layers with weights that stay digital")
@pytest.mark.parametrize("name", MODELS)
class TestAnyModel:
    """Every form a model can have."""

    def test_ideal_hardware_answers_as_the_digital_model(self, name: str) -> None:
        """In the same form, up to rounding."""
        model, inputs = _made(name)
        wanted, found = model(inputs), from_keras(model)(inputs)
        keras.tree.assert_same_structure(found, wanted)
        for one, other in zip(_numbers(found), _numbers(wanted), strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=ROUNDING * np.abs(other).max())

    def test_the_way_back_is_exact(self, name: str) -> None:
        """Weights and answers, bit for bit."""
        model, inputs = _made(name)
        back = to_keras(from_keras(model, _noisy(), seed=1))
        assert type(back) is type(model) and not analog_layers(back)
        for one, other in zip(_numbers(back.weights), _numbers(model.weights), strict=True):
            np.testing.assert_array_equal(one, other)
        for one, other in zip(_numbers(back(inputs)), _numbers(model(inputs)), strict=True):
            np.testing.assert_array_equal(one, other)

    def test_the_model_is_left_alone(self, name: str) -> None:
        """Whatever is done to the analog one."""
        model, inputs = _made(name)
        names, before = [layer.name for layer in convertible_layers(model)], _numbers(model(inputs))
        analog = from_keras(model, _noisy(), seed=1)
        assert [layer.name for layer in analog_layers(analog)] == names
        for weight in analog.weights:
            weight.assign(weight + 1)
        assert [layer.name for layer in convertible_layers(model)] == names and not analog_layers(model)
        for one, other in zip(_numbers(model(inputs)), before, strict=True):
            np.testing.assert_array_equal(one, other)

    def test_frozen_layers_stay_frozen(self, name: str) -> None:
        """Each by itself."""
        model, _ = _made(name)
        convertible_layers(model)[0].trainable = False
        analog = from_keras(model)
        assert [w.name for w in analog.trainable_weights] == [w.name for w in model.trainable_weights]
        model.trainable = False
        assert not from_keras(model).trainable_weights

    def test_seeds_are_chips(self, name: str) -> None:
        """In all layers, also on another chip afterwards."""
        model, inputs = _made(name)
        one, same, other = (from_keras(model, _noisy(), seed=seed) for seed in (1, 1, 2))
        for a, b in zip(_numbers(one(inputs)), _numbers(same(inputs)), strict=True):
            np.testing.assert_array_equal(a, b)
        reinitialize(same, 2)
        for a, b, c in zip(analog_layers(one), analog_layers(same), analog_layers(other), strict=True):
            np.testing.assert_array_equal(np.asarray(b.core), np.asarray(c.core))
            assert not np.array_equal(np.asarray(a.core), np.asarray(b.core))


def test_layers_of_users_are_looked_into() -> None:
    """Attributes, lists, dictionaries, wrappers, nested models."""
    analog = from_keras(_made("subclassed")[0])
    places = [layer.name for layer in conversion_report(analog).analog]
    assert places == ["block.first", "block.rest0", "block.rest1", "block.last", "head"]
    assert isinstance(analog.block.rest[1], AnalogDense) and isinstance(analog.block.named["last"], AnalogDense)
    wrapped = from_keras(keras.Sequential([keras.Input((3, 4)), layers.TimeDistributed(layers.Dense(5))]))
    assert isinstance(wrapped.layers[0].layer, AnalogDense)


def test_lists_and_parameters_are_left_alone() -> None:
    """And have one entry per convertible layer, nested ones included."""
    model, _ = _made("nested")
    given, rows = [_noisy(), CrossSimParameters()], [1, 0]
    analog = from_keras(model, given, rows, seed=1)
    assert len(given) == 2 and rows == [1, 0] and given[0] == _noisy()
    assert [layer.bias_rows for layer in analog_layers(analog)] == rows
    assert [layer.params.xbar.device.programming_error.enable for layer in analog_layers(analog)] == [True, False]
    with pytest.raises(ParameterError, match="list of 1"):
        from_keras(model, [_noisy()])


def test_patterns_choose_layers_by_place() -> None:
    """Those of no pattern stay digital."""
    model, _ = _made("nested")
    analog = from_keras(model, {"deep.*": CrossSimParameters()})
    assert [layer.name for layer in conversion_report(analog).analog] == ["deep.middle.inner.conv"]
    assert [layer.name for layer in convertible_layers(analog)] == ["head"]
    assert convertible_layers(model, expand_nested=False) == [model.get_layer("head")]
    with pytest.raises(UnknownNameError, match="deeep"):
        from_keras(model, {"deeep.*": CrossSimParameters()})


def test_one_matrix_is_one_chip_everywhere() -> None:
    """That of an array of the layer's place as its name."""
    model, _ = _made("nested")
    layer = from_keras(model, _noisy(), seed=7).get_layer("deep").get_layer("middle").get_layer("inner").layers[0]
    assert isinstance(layer, AnalogConv2D)
    matrix = ops.convert_to_numpy(layer.form_matrix())
    core = AnalogCore(matrix, _noisy(), seed=7, name="deep.middle.inner.conv")
    np.testing.assert_array_equal(ops.convert_to_numpy(layer.get_matrix()), core.get_matrix())


def test_physical_weights_by_name() -> None:
    """Those of chosen layers only."""
    model, _ = _made("ordered")
    analog = from_keras(model, _noisy(), seed=1)
    first, second = [layer.name for layer in analog_layers(analog)]
    back = to_keras(analog, physical_weights=[second])
    np.testing.assert_array_equal(*_numbers([back.get_layer(first).kernel, model.get_layer(first).kernel]))
    held = ops.convert_to_numpy(analog.get_layer(second).get_core_weights()[0])
    np.testing.assert_array_equal(ops.convert_to_numpy(back.get_layer(second).kernel), held)
    with pytest.raises(ParameterError, match="third"):
        to_keras(analog, physical_weights=["third"])


def test_compiled_models_are_converted() -> None:
    """Whatever they were compiled with; they stay compiled, their copy is not."""
    model, _ = _made("ordered")
    model.compile("sgd", lambda y, p: ops.mean(y - p))
    assert not from_keras(model).compiled and model.compiled


def test_converted_models_are_saved_with_their_chips(tmp_path: Path) -> None:
    """Layers of users and nested models included."""
    for name in ("nested", "several", "shared"):
        model, inputs = _made(name)
        analog = from_keras(model, _noisy(), seed=3)
        wanted = _numbers(analog(inputs))
        analog.save(tmp_path / f"{name}.keras")
        again = keras.saving.load_model(tmp_path / f"{name}.keras")
        for one, other in zip(_numbers(again(inputs)), wanted, strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=ROUNDING * np.abs(other).max())


def test_what_stays_digital_is_named() -> None:
    """With the reason, and what could be done."""

    class Scaled(layers.Dense):
        pass

    model = keras.Sequential([keras.Input((4,)), layers.Dense(3), Scaled(3, name="scaled")])
    with pytest.warns(RuntimeWarning, match="scaled.*only Dense itself is converted"):
        analog = from_keras(model)
    report = conversion_report(analog)
    assert [layer.name for layer in report.digital] == ["scaled"] and len(report.analog) == 1
    assert [layer.name for layer in inconvertible_layers(analog)] == [layer.name for layer in analog.layers]


def test_what_cannot_be_rebuilt_says_the_way_out() -> None:
    """Classes whose configuration lacks something."""

    class Closed(keras.Model):
        def __init__(self, net: Any) -> None:
            super().__init__()
            self.net = net

        def call(self, x: Any) -> Any:
            return self.net(x)

    model = Closed(layers.Dense(3))
    model(_images(2, 4))
    with pytest.raises(UnsupportedError, match="get_config"):
        from_keras(model)
    with pytest.raises(ParameterError, match="no model"):
        from_keras("net.keras")


class Forgetful(keras.Model):
    """A model whose configuration leaves out what its answers depend on."""

    def __init__(self, scale: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        self.scale = scale
        self.head = layers.Dense(3, name="head")

    def call(self, x: Any, y: Any = None) -> Any:
        return self.scale * self.head(x) + (0 if y is None else y)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}


def test_a_copy_that_answers_otherwise_is_refused() -> None:
    """Also inside of a functional model; what answers alike passes."""
    x = _images(2, 4)
    for scale in (1.0, 2.0):
        model, inputs = Forgetful(scale), keras.Input((4,))
        model(x)
        around = keras.Model(inputs, layers.ReLU()(Forgetful(scale)(inputs)))
        for one in (model, around):
            if scale == 1.0:
                assert len(analog_layers(from_keras(one))) == 1
                continue
            with pytest.raises(UnsupportedError, match=r"answers otherwise.*Forgetful.*get_config"):
                from_keras(one)


def test_an_example_is_answered() -> None:
    """In any form a call has."""
    model, x = Forgetful(2.0), _images(2, 4)
    model(x)
    for example in (x, (x, x[:, :1]), {"x": x, "y": x[:, :1]}):
        with pytest.raises(UnsupportedError, match="answers otherwise"):
            from_keras(model, example=example)
    assert len(analog_layers(from_keras(model, example=np.zeros((2, 4), "float32")))) == 1


class Sum(layers.Layer):
    """Of what is there."""

    def call(self, x: Any, y: Any = None) -> Any:
        return x if y is None else x + y

    def compute_output_shape(self, x_shape: Any, y_shape: Any = None) -> Any:
        return x_shape


def test_optional_inputs_stay_optional() -> None:
    """There and back."""
    x, y = keras.Input((4,)), keras.Input((3,), optional=True)
    model = keras.Model([x, y], Sum()(layers.Dense(3)(x), y))
    inputs = [_images(2, 4), None]
    for one in (from_keras(model), to_keras(from_keras(model))):
        np.testing.assert_allclose(*_numbers([one(inputs), model(inputs)]), rtol=0, atol=ROUNDING)
