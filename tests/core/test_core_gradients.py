"""Gradients of a core's products by their inputs, in every dtype of the libraries that have them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow as tf
import torch
from core_hardware import STYLES, core_on
from covering import every_pair

RNG = np.random.default_rng(7)
MATRIX, X, UPSTREAM = RNG.uniform(-1, 1, (5, 9)), RNG.uniform(-1, 1, (9, 6)), RNG.normal(size=(5, 6))
#: Wider than the inputs, and not one.
RANGE = {
    f"core.mapping.inputs.{operation}.{side}": limit
    for operation in ("mvm", "vmm")
    for side, limit in (("min", -4.0), ("max", 4.0))
}


def both(changes: dict[str, Any]) -> dict[str, Any]:
    """For both operations."""
    return {path.replace("mvm", operation): value for path, value in changes.items() for operation in ("mvm", "vmm")}


def converters(dac: str, adc: str, bits: int = 20, **fields: Any) -> dict[str, Any]:
    inputs = {"model": dac, "bits": 22, **fields}
    outputs = {"model": adc, "bits": bits, "adc_range_option": "MAX"}
    return both(
        {f"xbar.dac.mvm.{name}": value for name, value in inputs.items()}
        | {f"xbar.adc.mvm.{name}": value for name, value in outputs.items()}
    )


CHAINS = {
    "ideal": {},
    "quantizers": converters("QuantizerDAC", "QuantizerADC"),
    "sign-magnitude": converters("SignMagnitudeDAC", "SignMagnitudeADC"),
    "SAR": converters("SignMagnitudeDAC", "SarADC", 10),
    "input slices": converters("SignMagnitudeDAC", "QuantizerADC", bits=22, input_bitslicing=True)
    | both({"xbar.adc.mvm.adc_per_ibit": True, "xbar.dac.mvm.bits": 17}),
    "clipped inputs": both({"core.mapping.inputs.mvm.clipping": True}),
    "noise": {
        "xbar.device.read_noise.enable": True,
        "xbar.device.read_noise.model": "NormalIndependentDevice",
        "xbar.device.read_noise.magnitude": 1e-7,
    },
}


def torch_gradient(function: Callable[[Any], Any], x: np.ndarray, upstream: np.ndarray, dtype: str) -> np.ndarray:
    given = torch.tensor(x, dtype=getattr(torch, dtype), requires_grad=True)
    y = function(given)
    y.backward(torch.tensor(upstream, dtype=y.dtype))
    assert given.grad is not None
    assert given.grad.dtype == given.dtype
    return given.grad.double().numpy()


def jax_gradient(function: Callable[[Any], Any], x: np.ndarray, upstream: np.ndarray, dtype: str) -> np.ndarray:
    given = jnp.asarray(x, dtype=dtype)
    found = jax.grad(lambda v: (function(v) * upstream).sum().astype("float32"))(given)
    assert found.dtype == given.dtype
    return np.asarray(found, dtype=np.float64)


def tensorflow_gradient(function: Callable[[Any], Any], x: np.ndarray, upstream: np.ndarray, dtype: str) -> np.ndarray:
    given = tf.constant(x, dtype)
    with tf.GradientTape() as tape:
        tape.watch(given)
        y = function(given)
    found = tape.gradient(y, given, output_gradients=tf.constant(upstream, y.dtype))
    assert found.dtype == given.dtype
    return np.asarray(found, dtype=np.float64)


TORCH = {"torch-double": ("float64", 1e-4), "torch-single": ("float32", 1e-4), "torch-half": ("bfloat16", 1e-2)}
JAX = {"jax-single": ("float32", 1e-4), "jax-half": ("bfloat16", 2e-2)}
TENSORFLOW = {name.replace("torch", "tensorflow"): row for name, row in TORCH.items()}
LIBRARIES = {name: (torch_gradient, *row) for name, row in TORCH.items()}
LIBRARIES |= {name: (tensorflow_gradient, *row) for name, row in TENSORFLOW.items()}
LIBRARIES |= {name: (jax_gradient, *row) for name, row in JAX.items()}
EVERY_LIBRARY = pytest.mark.parametrize(("gradient", "dtype", "tolerance"), LIBRARIES.values(), ids=LIBRARIES)


@pytest.mark.parametrize(
    ("style", "chain", "library"),
    # JAX takes a second to trace each of them.
    [
        *every_pair(STYLES, CHAINS, TORCH | TENSORFLOW),
        *every_pair(["offset", "sliced-digital-subtraction"], CHAINS, JAX),
    ],
)
def test_fine_converters_have_the_gradient_of_the_stored_matrix(style, chain, library):
    gradient, dtype, tolerance = LIBRARIES[library]
    core = core_on(MATRIX.astype("float32"), RANGE, STYLES[style], CHAINS[chain])
    generators = {torch_gradient: torch.Generator().manual_seed(1), jax_gradient: jax.random.key(1)}
    rng = generators.get(gradient)
    exact = core.get_matrix().astype(np.float64)
    found = gradient(lambda x: core.matmul(x, rng=rng), X, UPSTREAM, dtype)
    assert np.abs(found - exact.T @ UPSTREAM).max() < tolerance * np.abs(exact.T @ UPSTREAM).max()
    found = gradient(lambda y: core.rmatmul(y, rng=rng), UPSTREAM.T, X.T, dtype)
    assert np.abs(found - X.T @ exact.T).max() < tolerance * np.abs(X.T @ exact.T).max()


@EVERY_LIBRARY
@pytest.mark.parametrize("clipping", [True, False])
@pytest.mark.parametrize("model", ["SignMagnitudeDAC", "QuantizerDAC"])
def test_inputs_at_the_limit_are_inside_and_beyond_it_are_not(model, clipping, gradient, dtype, tolerance):
    for limit in (0.75, 3.0) if dtype == "bfloat16" else (0.7, 1.0, 3.9, 11.3):
        sides = {"min": -limit, "max": limit, "clipping": clipping}
        bounds = {f"core.mapping.inputs.mvm.{side}": value for side, value in sides.items()}
        core = core_on(np.ones((1, 5), "float32"), bounds, {"xbar.dac.mvm.model": model, "xbar.dac.mvm.bits": 8})
        x = np.array([-1.02, -1.0, 0.0, 1.0, 1.02]) * limit
        found = gradient(lambda x, core=core: core @ x, x, np.ones(1), dtype)
        np.testing.assert_allclose(found, [0, 1, 1, 1, 0], atol=tolerance)


@EVERY_LIBRARY
def test_zeros_at_the_beginning_of_unsigned_inputs_have_their_whole_gradient(gradient, dtype, tolerance):
    for converted, clipping in ((8, False), (0, True)):
        inputs = {"core.mapping.inputs.mvm.min": 0.0, "core.mapping.inputs.mvm.max": 1.0}
        dac = {"xbar.dac.mvm.model": "QuantizerDAC", "xbar.dac.mvm.bits": converted, "xbar.dac.mvm.signed": False}
        core = core_on(np.ones((1, 3), "float32"), inputs, dac, {"core.mapping.inputs.mvm.clipping": clipping})
        found = gradient(lambda x, core=core: core @ x, np.array([0.0, 0.5, 1.0]), np.ones(1), dtype)
        np.testing.assert_allclose(found, [1, 1, 1], atol=tolerance)
