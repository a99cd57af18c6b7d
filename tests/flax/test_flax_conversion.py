"""Whole models of Flax on arrays and back: laws of the conversion."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from flax import nnx

import crossohm.flax as cx
from crossohm.errors import CrossOhmError, ParameterError, UnknownNameError, UnsupportedError
from crossohm.testing.hardware import PROGRAMMING_ERROR, READ_NOISE, hardware

X = np.random.default_rng(0).uniform(-1, 1, (6, 4)).astype("float32")
NAMES = ["blocks.0", "blocks.1.layers.0", "heads.mean", "plain.0", "stem"]


class Net(nnx.Module):
    """Layers in every place there is; the stem is used twice, the last layer has the weights of the first block."""

    def __init__(self, rngs):
        def linear():
            return nnx.Linear(4, 4, rngs=rngs)

        self.stem = linear()
        self.blocks = nnx.List([linear(), nnx.Sequential(linear(), nnx.relu)])
        self.heads = nnx.Dict(mean=linear())
        self.plain = nnx.data((linear(), "a note"))
        self.plain[0].kernel = self.blocks[0].kernel
        self.twice = self.stem
        self.norm = nnx.LayerNorm(4, rngs=rngs)

    def __call__(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        x = self.twice(x) + self.heads["mean"](x)
        return self.norm(self.plain[0](x))


def net():
    return Net(nnx.Rngs(0))


def converted(model, params=None, **choices):
    return cx.from_flax(model, params, seed=1, rngs=nnx.Rngs(noise=2), **choices)


def _params(model):
    return [np.asarray(leaf.get_value()) for _, leaf in nnx.to_flat_state(nnx.state(model, nnx.Param))]


def test_ideal_hardware_answers_as_the_model_which_is_left_alone_and_comes_back_exactly():
    model = net()
    before = _params(model)
    analog = converted(model, bias_rows={"heads.*": 1})
    np.testing.assert_allclose(analog(X), model(X), atol=2e-5)
    assert [layer.core_name for layer in cx.analog_layers(analog)] == NAMES
    assert len(cx.convertible_layers(model)) == len(NAMES)
    assert not cx.analog_layers(model)
    back = cx.to_flax(analog)
    np.testing.assert_array_equal(back(X), model(X))
    assert nnx.graphdef(back) == nnx.graphdef(model)
    for found, expected in zip(_params(back), before, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_what_is_shared_stays_shared_in_training_too():
    analog = converted(net(), hardware(PROGRAMMING_ERROR))
    assert analog.twice is analog.stem
    assert analog.plain[0].kernel is analog.blocks[0].kernel
    assert not np.array_equal(analog.plain[0].get_matrix(), analog.blocks[0].get_matrix())  # arrays of its own
    optimizer = nnx.Optimizer(analog, optax.sgd(0.1), wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer):
        optimizer.update(model, nnx.grad(lambda m: (m(X) ** 3).sum())(model))

    step(analog, optimizer)
    back = cx.to_flax(analog)
    assert back.plain[0].kernel is back.blocks[0].kernel
    assert back.twice is back.stem
    assert np.abs(back.stem.kernel.get_value() - net().stem.kernel.get_value()).max() > 1e-6


def test_patterns_choose_and_other_layers_stay_digital():
    analog = converted(net(), {"blocks.*": hardware(PROGRAMMING_ERROR), "stem": None})
    assert [layer.core_name for layer in cx.analog_layers(analog)] == ["blocks.0", "blocks.1.layers.0", "stem"]
    assert type(analog.heads["mean"]) is nnx.Linear
    report = cx.conversion_report(analog)
    assert [layer.name for layer in report.analog] == ["blocks.0", "blocks.1.layers.0", "stem"]
    assert {layer.reason for layer in report.digital} == {"it can be converted"}


def test_a_seed_and_a_name_are_a_chip_and_another_seed_is_another():
    params = hardware(PROGRAMMING_ERROR)
    first, again = converted(net(), params), converted(net(), params)
    np.testing.assert_array_equal(first.stem.get_matrix(), again.stem.get_matrix())
    part = converted(net().blocks, params, name="blocks")
    np.testing.assert_array_equal(part[0].get_matrix(), first.blocks[0].get_matrix())
    cx.reinitialize(again, seed=5)
    assert not np.array_equal(first.stem.get_matrix(), again.stem.get_matrix())
    cx.reinitialize(again, seed=1)
    np.testing.assert_array_equal(first.stem.get_matrix(), again.stem.get_matrix())
    held = np.asarray(again.stem.get_matrix())
    cx.synchronize(again)
    assert not np.array_equal(again.stem.get_matrix(), held)


def test_physical_weights_are_those_in_the_arrays_of_the_layers_that_are_named():
    analog = converted(net(), hardware(PROGRAMMING_ERROR))
    back = cx.to_flax(analog, ["plain.0"])
    np.testing.assert_allclose(back.plain[0].kernel.get_value().T, analog.plain[0].get_matrix(), rtol=1e-6)
    np.testing.assert_array_equal(back.blocks[0].kernel.get_value(), analog.blocks[0].kernel.get_value())


@pytest.mark.slow
def test_orbax_brings_the_chip_and_the_noise_of_a_whole_model_back(tmp_path):
    params = hardware(PROGRAMMING_ERROR, READ_NOISE)
    model = nnx.List([nnx.Linear(4, 4, rngs=nnx.Rngs(0))])
    analog, other = converted(model, params), cx.from_flax(model, params, seed=9, rngs=nnx.Rngs(noise=7))
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "state", nnx.state(analog))
        checkpointer.wait_until_finished()
        nnx.update(other, checkpointer.restore(tmp_path / "state", nnx.state(other)))
    for found, saved in zip(cx.analog_layers(other), cx.analog_layers(analog), strict=True):
        np.testing.assert_array_equal(found(X), saved(X))
        np.testing.assert_array_equal(found.get_matrix(), saved.get_matrix())


def test_names_and_order_are_those_of_clones_with_more_than_ten_layers_too():
    model = nnx.List([nnx.Linear(2, 2, rngs=nnx.Rngs(0)) for _ in range(11)])
    assert [layer.core_name for layer in cx.analog_layers(nnx.clone(converted(model)))] == [str(n) for n in range(11)]


def test_a_single_layer_is_a_model():
    analog = converted(nnx.Linear(4, 3, rngs=nnx.Rngs(0)), [hardware(PROGRAMMING_ERROR)])
    assert type(analog) is cx.AnalogLinear
    assert type(cx.to_flax(analog)) is nnx.Linear


class Own(nnx.Linear):
    """Nobody knows how it multiplies."""


class Scores(nnx.Module):
    """A matrix of its own."""

    def __init__(self):
        self.table = nnx.Param(jnp.ones((2, 2)))


def test_what_cannot_be_converted_is_named_with_the_reason():
    rngs = nnx.Rngs(0)
    model = nnx.Sequential(nnx.Linear(4, 4, rngs=rngs), Own(4, 4, rngs=rngs), Scores())
    with pytest.warns(RuntimeWarning, match=r"layers\.1 \(Own\): only Linear itself.*layers\.2 \(Scores\): .* table"):
        analog = converted(model)
    assert [type(layer) for layer in analog.layers] == [cx.AnalogLinear, Own, Scores]
    with pytest.raises(ParameterError, match="is no model of Flax NNX"):
        converted(lambda x: x)
    with pytest.raises(UnknownNameError):
        converted(net(), {"stem2": None})
    with pytest.raises(ParameterError, match="physical_weights"):
        cx.to_flax(converted(net()), ["nowhere"])
    with pytest.raises(UnsupportedError, match="dot_general") as caught:
        converted(nnx.Sequential(nnx.Linear(4, 4, dot_general=lambda *a, **k: None, rngs=rngs)))
    assert "layers.0" in caught.value.__notes__[0]


def test_convolutions_come_along_with_the_grouping_chosen_for_them():
    model = nnx.Sequential(
        nnx.Conv(2, 4, (3,), feature_group_count=2, rngs=nnx.Rngs(0)), nnx.Linear(4, 2, rngs=nnx.Rngs(1))
    )
    x = X.reshape(2, 6, 2)
    analog = converted(model, grouping={"layers.0": "per_group"})
    assert [type(layer) for layer in analog.layers] == [cx.AnalogConv, cx.AnalogLinear]
    assert analog.layers[0].row_groups == 2
    np.testing.assert_allclose(analog(x), model(x), atol=1e-5)
    back = cx.to_flax(analog)
    assert nnx.graphdef(back) == nnx.graphdef(model)
    np.testing.assert_array_equal(back(x), model(x))


def test_users_register_kinds():
    with pytest.raises(CrossOhmError, match="cannot be registered"):
        cx.register(Own)

    class AnalogOwn(cx.AnalogLayer, Own):
        digital_type = Own
        layout, __call__ = cx.AnalogLinear.layout, cx.AnalogLinear.__call__

    from crossohm.flax.conversion.kinds import ANALOG_KINDS

    cx.register(AnalogOwn)
    try:
        model = Own(4, 3, rngs=nnx.Rngs(0))
        np.testing.assert_allclose(converted(model)(X), model(X), atol=1e-6)
    finally:
        del ANALOG_KINDS[Own]
