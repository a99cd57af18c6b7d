"""Gradients through the wires of arrays, on Keras: where it compiles, they are computed by calls of the host."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from crossohm.keras import AnalogDense
from crossohm.testing.hardware import hardware

WIRES = {
    "xbar.array.parasitics.enable": True,
    "xbar.array.parasitics.Rp_row": 20.0,
    "xbar.array.parasitics.Rp_col": 30.0,
}
X = np.random.default_rng(1).normal(size=(5, 6)).astype("float32")
KERNEL = np.random.default_rng(2).uniform(-0.9, 0.9, (6, 4)).astype("float32")
STEPS = 3


def trained(gradient: str, eager: bool = False) -> np.ndarray:
    """The kernel after some steps, each of which writes the arrays."""
    layer = AnalogDense(units=4, use_bias=False, params=hardware(WIRES), seed=1)
    layer.gradient = gradient
    model = keras.Sequential([keras.Input((6,)), layer])
    layer.kernel.assign(KERNEL)
    model.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=eager)
    model.fit(X, X[:, :4], batch_size=5, epochs=STEPS, verbose=0)
    return np.asarray(keras.ops.convert_to_numpy(layer.kernel))


def trained_on_torch() -> np.ndarray:
    """The same by PyTorch's layers."""
    torch = pytest.importorskip("torch")
    from crossohm.torch import AnalogLinear

    digital = torch.nn.Linear(6, 4, bias=False)
    digital.weight.data = torch.tensor(KERNEL.T.copy())
    layer = AnalogLinear.from_torch(digital, hardware(WIRES), seed=1)
    layer.gradient = "wires"
    optimizer = torch.optim.SGD(layer.parameters(), 0.1)
    for _ in range(STEPS):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(layer(torch.tensor(X)), torch.tensor(X[:, :4])).backward()
        optimizer.step()
    return layer.weight.detach().numpy().T


def test_training_sees_the_wires() -> None:
    found = trained("wires")
    assert np.abs(found - trained("programmed")).max() > 1e-4
    np.testing.assert_allclose(found, trained_on_torch(), rtol=1e-4, atol=1e-5)


def test_eager_training_sees_them_alike(backend: str) -> None:
    if backend == "jax":
        pytest.skip("JAX trains compiled functions only")
    np.testing.assert_allclose(trained("wires", eager=True), trained("wires"), rtol=1e-5, atol=1e-6)
