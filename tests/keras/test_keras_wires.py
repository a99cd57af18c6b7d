"""Gradients through the wires of arrays, on Keras."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from crossohm import UnsupportedError
from crossohm.keras import AnalogDense
from crossohm.testing.hardware import hardware

WIRES = {
    "xbar.array.parasitics.enable": True,
    "xbar.array.parasitics.Rp_row": 20.0,
    "xbar.array.parasitics.Rp_col": 30.0,
}
X = np.random.default_rng(1).normal(size=(5, 6)).astype("float32")


def trained(gradient: str, eager: bool) -> np.ndarray:
    """The kernel after one step."""
    keras.utils.set_random_seed(1)
    layer = AnalogDense(units=4, params=hardware(WIRES), seed=1)
    layer.gradient = gradient
    model = keras.Sequential([keras.Input((6,)), layer])
    model.compile("sgd", "mse", run_eagerly=eager)
    model.fit(X, X[:, :4], batch_size=5, epochs=1, verbose=0)
    return np.asarray(keras.ops.convert_to_numpy(layer.kernel))


def test_training_sees_the_wires(backend: str) -> None:
    if backend == "jax":
        pytest.skip("JAX trains compiled functions only")
    assert np.abs(trained("wires", True) - trained("programmed", True)).max() > 1e-6


def test_compiled_training_refuses_them(backend: str) -> None:
    if backend == "torch":
        pytest.skip("PyTorch runs without compilation")
    with pytest.raises(UnsupportedError, match="run_eagerly"):
        trained("wires", False)
