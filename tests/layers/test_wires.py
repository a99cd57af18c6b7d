"""The gradient through wires is the same in every library that differentiates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from crossohm import AnalogCore
from crossohm.layers.wires import through_wires
from crossohm.testing.hardware import STYLES, hardware

MATRIX = np.random.default_rng(1).uniform(-0.9, 0.9, (4, 6)).astype(np.float32)
WEIGHT = np.random.default_rng(2).normal(size=(4, 6)).astype(np.float32)
WIRES = {
    "xbar.array.parasitics.enable": True,
    "xbar.array.parasitics.Rp_row": 20.0,
    "xbar.array.parasitics.Rp_col": 30.0,
}


@pytest.mark.parametrize("style", ["balanced", "interleaved", "unit-column", "sliced-offset"])
def test_jax_and_torch_go_through_wires_alike(style: str) -> None:
    torch, jax = pytest.importorskip("torch"), pytest.importorskip("jax")
    core = AnalogCore(MATRIX, hardware(STYLES[style], WIRES), seed=1)
    leaf = torch.tensor(MATRIX, requires_grad=True)
    (through_wires(lambda: core, leaf) * torch.tensor(WEIGHT)).sum().backward()
    found = jax.grad(lambda matrix: (through_wires(lambda: core, matrix) * WEIGHT).sum())(jax.numpy.asarray(MATRIX))
    np.testing.assert_allclose(np.asarray(found), leaf.grad.numpy(), rtol=1e-5, atol=1e-6)


def test_a_compiled_gradient_is_that_of_the_same_function_before() -> None:
    jax = pytest.importorskip("jax")
    core = AnalogCore(MATRIX, hardware(STYLES["balanced"], WIRES), seed=1)

    def loss(matrix: Any) -> Any:
        return (through_wires(lambda: core, matrix) * WEIGHT).sum()

    gradient, matrix = jax.grad(loss), jax.numpy.asarray(MATRIX)
    np.testing.assert_allclose(np.asarray(jax.jit(gradient)(matrix)), np.asarray(gradient(matrix)), rtol=1e-6)
