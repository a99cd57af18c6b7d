"""Products over any axes, attention and tables of Flax on arrays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from flax_cases import EMPTY, numbered

import crossohm.flax as cx
from crossohm.errors import InputError, ParameterError, ShapeError, UnsupportedError
from crossohm.flax.conversion.kinds import ANALOG_KINDS
from crossohm.testing.hardware import PROGRAMMING_ERROR, hardware

RNG = np.random.default_rng(0)


def numbers(*shape: int) -> Any:
    return jnp.asarray(RNG.uniform(-1, 1, shape), "float32")


def converted(model: Any, *hardware: Any) -> Any:
    return cx.from_flax(model, *hardware, seed=1, rngs=nnx.Rngs(0))


def test_attention_has_its_projections_on_arrays() -> None:
    """Plain conversion of its parts; in a mapped and compiled function too, and back."""
    model = numbered(nnx.MultiHeadAttention(2, 6, qkv_features=4, decode=False, **EMPTY, rngs=nnx.Rngs(0)))
    analog, x, context = converted(model, None, 1), numbers(2, 3, 6), numbers(2, 5, 6)
    shapes = {layer.core_name: layer.core.shape for layer in cx.analog_layers(analog)}
    assert shapes == {"key": (4, 7), "out": (6, 5), "query": (4, 7), "value": (4, 7)}

    @nnx.jit
    def run(*models: Any) -> Any:
        mapped = nnx.vmap(lambda m, one: m(one), in_axes=(None, 0))
        return [(m(x, context), mapped(m, x)) for m in models]

    for found, expected in zip(*run(analog, model), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert nnx.graphdef(cx.to_flax(analog)) == nnx.graphdef(model)


def test_a_projection_is_the_chip_of_the_same_matrix_in_a_linear_layer() -> None:
    """Whatever the axes; an equation too."""
    params, kernel = hardware(PROGRAMMING_ERROR), numbers(2, 3, 4)
    general = nnx.LinearGeneral((2, 3), 4, axis=(-2, -1), **EMPTY, rngs=nnx.Rngs(0))
    flat = nnx.Linear(6, 4, **EMPTY, rngs=nnx.Rngs(0))
    equation = nnx.Einsum("...ab,cab->...c", (4, 2, 3), (4,), **EMPTY, rngs=nnx.Rngs(0))
    general.kernel.set_value(kernel)
    flat.kernel.set_value(kernel.reshape(6, 4))
    equation.kernel.set_value(jnp.moveaxis(kernel, -1, 0))
    held = [np.asarray(converted(layer, params, 1).get_matrix()) for layer in (flat, general, equation)]
    np.testing.assert_array_equal(held[1], held[0])
    np.testing.assert_array_equal(held[2], held[0])


def test_what_is_no_product_with_one_matrix_stays_digital_and_is_named() -> None:
    several = nnx.Einsum("nta,nab->ntb", (2, 3, 4), **EMPTY, rngs=nnx.Rngs(0))
    with pytest.warns(RuntimeWarning, match=r"layers\.1 \(Einsum\): .*'nta,nab->ntb'"):
        analog = converted(nnx.Sequential(nnx.Linear(3, 3, **EMPTY, rngs=nnx.Rngs(0)), several))
    assert type(analog.layers[1]) is nnx.Einsum
    with pytest.raises(UnsupportedError, match="every index of it has a matrix of its own"):
        cx.AnalogEinsum.from_flax(several, rngs=nnx.Rngs(0))


def test_what_does_not_fit_is_refused_in_words() -> None:
    general = converted(nnx.LinearGeneral((2, 3), 4, axis=(-2, -1), **EMPTY, rngs=nnx.Rngs(0)))
    for shape in ((5, 3, 2), (6,)):
        with pytest.raises(ShapeError, match=r"expected sizes \(2, 3\) at axes"):
            general(jnp.ones(shape))
    with pytest.raises(UnsupportedError, match="leave it out"):
        general(jnp.ones((2, 3)), out_sharding="somewhere")
    equation = converted(nnx.Einsum("ab,bc->ac", (3, 4), **EMPTY, rngs=nnx.Rngs(0)))
    for wrong in ((5, 4), (2, 5, 3)):
        with pytest.raises(ShapeError, match=r"AnalogEinsum\('ab,bc->ac'\) with a kernel of shape \(3, 4\)"):
            equation(jnp.ones(wrong))
    with pytest.raises(ParameterError, match="einsum_str"):
        equation(jnp.ones((2, 3)), "ab,bc->ca")


@pytest.fixture
def asked_for() -> Iterator[None]:
    cx.register(cx.AnalogEmbed)
    yield
    del ANALOG_KINDS[nnx.Embed]


@pytest.mark.usefixtures("asked_for")
def test_tables_are_read_and_multiplied_where_that_was_asked_for() -> None:
    """Answers and gradients are those of the digital layer."""
    table, tokens = nnx.Embed(7, 5, rngs=nnx.Rngs(0)), jnp.array([[1, 4, 4], [3, 2, 6]])
    analog = converted(table)
    assert analog.core.shape == (5, 7)
    for given in (tokens, tokens[0], tokens[0, 0]):
        np.testing.assert_allclose(analog(given), table(given), atol=1e-6)
    with pytest.raises(InputError, match="table of 7"):
        analog(tokens + 1)
    with pytest.raises(InputError, match="no integers"):
        analog(tokens.astype("float32"))
    with pytest.raises(ShapeError, match="features=5"):
        analog.attend(jnp.ones((2, 4)))

    def loss(layer: Any) -> Any:
        return (layer.attend(layer(tokens)) ** 2).sum()

    for gradient in ("programmed", "chain"):
        analog.gradient = gradient
        run = nnx.jit(lambda *layers: [nnx.grad(loss)(layer)["embedding"].get_value() for layer in layers])
        np.testing.assert_allclose(*run(analog, table), rtol=1e-5, atol=1e-5)
    erring = cx.AnalogEmbed.from_flax(table, hardware(PROGRAMMING_ERROR), seed=1, rngs=nnx.Rngs(0))
    query = numbers(2, 3, 5)
    np.testing.assert_allclose(erring.attend(query), query @ erring.get_matrix(), atol=1e-5)


def test_tables_stay_digital_unless_that_was_asked_for() -> None:
    analog = converted(nnx.Sequential(nnx.Embed(7, 5, rngs=nnx.Rngs(0)), nnx.Linear(5, 2, **EMPTY, rngs=nnx.Rngs(0))))
    assert [type(layer) for layer in analog.layers] == [nnx.Embed, cx.AnalogLinear]
