"""`AnalogConv` of Flax: the geometries of `nnx.Conv`, and nnx' transformations."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from flax_cases import EMPTY, numbered

from crossohm.errors import ParameterError, ShapeError, UnsupportedError
from crossohm.flax import AnalogConv, AnalogConvTranspose, from_flax
from crossohm.testing.hardware import APART, hardware

RNG = np.random.default_rng(0)
#: Shapes of inputs, and arguments of `nnx.Conv`; kernels of two shapes, as each costs compilations.
GEOMETRIES: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "same-lower": ((2, 5, 2), {"kernel_size": 4, "padding": "SAME_LOWER"}),
    "number": ((1, 2, 4, 2), {"kernel_size": (4,), "padding": 2, "strides": None}),
    "causal": ((2, 5, 2), {"kernel_size": 4, "padding": "CAUSAL", "kernel_dilation": 2}),
    "masked": ((2, 5, 2), {"kernel_size": 4, "padding": "REFLECT", "mask": RNG.integers(0, 2, (4, 2, 4)) * 1.0}),
    "valid": ((6, 4, 2), {"kernel_size": (3, 2), "padding": "VALID", "kernel_dilation": 2, "use_bias": False}),
    "pairs": ((2, 5, 4, 2), {"kernel_size": (3, 2), "padding": [(-1, 2), 1], "strides": (1, 2)}),
    "circular": ((2, 5, 4, 2), {"kernel_size": (3, 2), "padding": "CIRCULAR", "kernel_dilation": (1, 2)}),
    "transposed": ((2, 3, 4, 2), {"kernel_size": (3, 2), "padding": [(1, 1), (2, 0)], "input_dilation": (2, 3)}),
}


def plain(**geometry: Any) -> Any:
    layer = nnx.Conv(2, 4, **geometry, rngs=nnx.Rngs(0))
    if geometry.get("use_bias", True):
        layer.bias.set_value(jnp.array([0.1, -0.2, 0.3, 0.4]))
    return layer


@pytest.mark.parametrize("name", GEOMETRIES)
def test_ideal_hardware_computes_the_digital_layer(name: str) -> None:
    shape, geometry = GEOMETRIES[name]
    digital, x = plain(**geometry), RNG.uniform(-1, 1, shape).astype("float32")
    analog = AnalogConv.from_flax(digital, bias_rows=len(shape) % 3, core_name=name, rngs=nnx.Rngs(0))
    found, expected = nnx.jit(lambda *layers: [layer(jnp.asarray(x)) for layer in layers])(analog, digital)
    np.testing.assert_allclose(found, expected, atol=2e-6)


#: For each: shape of the inputs, and arguments of `nnx.ConvTranspose`.
TRANSPOSED: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "same": ((2, 4, 2), {"kernel_size": (3,), "strides": 2}),
    "wide-steps": ((2, 4, 2), {"kernel_size": 2, "strides": 3, "transpose_kernel": True}),
    "valid": ((3, 2, 2), {"kernel_size": (3, 2), "padding": "VALID", "strides": (2, 1), "transpose_kernel": True}),
    "numbers": ((2, 3, 2, 2), {"kernel_size": (3, 2), "padding": [(1, 0), (2, 1)], "kernel_dilation": 2}),
}


@pytest.mark.parametrize("name", TRANSPOSED)
def test_transposed_convolutions_are_those_of_flax(name: str) -> None:
    shape, geometry = TRANSPOSED[name]
    digital, x = numbered(nnx.ConvTranspose(2, 4, **geometry, **EMPTY, rngs=nnx.Rngs(0))), RNG.uniform(-1, 1, shape)
    analog = from_flax(digital, None, len(shape) % 2, name=name, rngs=nnx.Rngs(0))
    assert type(analog) is AnalogConvTranspose
    found, expected = nnx.jit(lambda *layers: [layer(jnp.asarray(x, "float32")) for layer in layers])(analog, digital)
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_transposed_convolutions_that_add_outputs_up_stay_digital() -> None:
    layer = nnx.ConvTranspose(2, 4, 3, padding="CIRCULAR", rngs=nnx.Rngs(0))
    with pytest.raises(UnsupportedError, match="adds outputs up"):
        AnalogConvTranspose.from_flax(layer, rngs=nnx.Rngs(0))
    with pytest.warns(RuntimeWarning, match="adds outputs up"):
        assert type(from_flax(nnx.Sequential(layer), rngs=nnx.Rngs(0)).layers[0]) is nnx.ConvTranspose


def test_gradients_of_a_mapped_function_are_those_of_the_digital_layer() -> None:
    digital = plain(kernel_size=(3, 2), feature_group_count=2, padding="CIRCULAR")
    analog = AnalogConv.from_flax(digital, hardware(APART), 1, core_name="mapped", rngs=nnx.Rngs(0))
    x = RNG.uniform(-1, 1, (3, 4, 3, 2)).astype("float32")

    def loss(layer: Any, x: Any) -> Any:
        return (nnx.vmap(lambda m, one: m(one), in_axes=(None, 0))(layer, x) ** 2).sum()

    found, expected = (nnx.jit(nnx.grad(loss))(layer, x) for layer in (analog, digital))
    for name in ("kernel", "bias"):
        np.testing.assert_allclose(found[name].get_value(), expected[name].get_value(), rtol=1e-4, atol=1e-4)


def test_groups_with_arrays_of_their_own_spend_no_cells_between_them() -> None:
    digital = plain(kernel_size=(3, 2), feature_group_count=2)
    dense, alone = (
        AnalogConv.from_flax(digital, grouping=how, core_name=how, rngs=nnx.Rngs(0)) for how in ("dense", "per_group")
    )
    assert (dense.core.shape, alone.core.shape, alone.row_groups) == ((4, 12), (4, 6), 2)
    assert type(alone.to_flax()) is nnx.Conv
    assert not hasattr(alone.to_flax(), "grouping")


def test_what_flax_refuses_is_refused_in_words() -> None:
    def made(**geometry: Any) -> AnalogConv:
        return AnalogConv(2, 4, **geometry, rngs=nnx.Rngs(0))

    with pytest.raises(ParameterError, match="input_dilation"):
        made(kernel_size=4, input_dilation=2)(np.ones((1, 4, 2)))
    with pytest.raises(ParameterError, match="CAUSAL"):
        made(kernel_size=(3, 2), padding="CAUSAL")(np.ones((1, 4, 4, 2)))
    with pytest.raises(ShapeError, match="2 features"):
        made(kernel_size=4)(np.ones((1, 4, 3)))
    with pytest.raises(ParameterError, match="per_group"):
        made(kernel_size=4, grouping="each")
    with pytest.raises(UnsupportedError, match="leave conv_general_dilated out"):
        made(kernel_size=4, conv_general_dilated=print)
