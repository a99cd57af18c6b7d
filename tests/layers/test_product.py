"""The product through the converter chain has one gradient, whichever library follows it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from crossohm import AnalogCore
from crossohm.backends import backend_of
from crossohm.chain import Dense
from crossohm.layers.product import chain_product
from crossohm.testing.hardware import APART, CONVERTERS, PROGRAMMING_ERROR, STYLES, hardware

MATRIX = np.random.default_rng(1).normal(size=(4, 6)).astype(np.float32)
X = np.random.default_rng(2).uniform(-1.3, 1.3, size=(5, 6)).astype(np.float32)
HARDWARE: dict[str, tuple[Any, ...]] = {
    "ideal": (),
    "converters": (CONVERTERS,),
    "errors": (CONVERTERS, PROGRAMMING_ERROR),
    "offset": (STYLES["offset"], CONVERTERS),
    "apart": (APART, CONVERTERS, {"core.rows_max": 4}),
}


@pytest.mark.filterwarnings("ignore:.*beyond the input range")
@pytest.mark.parametrize("kind", HARDWARE)
def test_libraries_follow_the_chain_alike(kind):
    torch, jax, tf = map(pytest.importorskip, ("torch", "jax", "tensorflow"))
    params, contraction = hardware(*HARDWARE[kind]), Dense(6)
    weights = np.linspace(-1, 1, 20, dtype=np.float32).reshape(5, 4)

    core = AnalogCore(MATRIX, params, seed=1, name="core")
    leaves = [torch.tensor(value, requires_grad=True) for value in (MATRIX, X)]
    y = chain_product(core, contraction, *leaves)
    (y * torch.tensor(weights)).sum().backward()

    same = AnalogCore(MATRIX, params, seed=1, name="core")

    def loss(matrix: Any, x: Any) -> Any:
        y = chain_product(same, contraction, matrix, x)
        return backend_of(y).xp.sum(y * weights)

    found = jax.grad(loss, argnums=(0, 1))(*map(jax.numpy.asarray, (MATRIX, X)))
    constants = [tf.constant(value) for value in (MATRIX, X)]
    with tf.GradientTape() as tape:
        tape.watch(constants)
        total = loss(*constants)
    for *ours, theirs in zip(found, tape.gradient(total, constants), leaves, strict=True):
        for own in ours:
            np.testing.assert_allclose(np.asarray(own), theirs.grad.numpy(), rtol=1e-4, atol=1e-5)
    if kind == "ideal":
        np.testing.assert_allclose(np.asarray(found[0]), weights.T @ X, rtol=1e-4, atol=1e-5)
