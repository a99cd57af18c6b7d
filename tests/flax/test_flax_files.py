"""States of models in files."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import crossohm.flax as cx
from crossohm.errors import DataError
from crossohm.testing.hardware import PROGRAMMING_ERROR, READ_NOISE, hardware

X = np.random.default_rng(0).uniform(-1, 1, (3, 4)).astype("float32")


def net(outputs=2):
    rngs = nnx.Rngs(0)
    return nnx.Sequential(nnx.Linear(4, 3, rngs=rngs), nnx.BatchNorm(3, rngs=rngs), nnx.Linear(3, outputs, rngs=rngs))


@pytest.mark.slow
def test_a_file_brings_weights_statistics_chip_and_noise_back_to_any_hardware(tmp_path):
    model = net()
    model.layers[1].mean.set_value(jnp.ones(3))
    analog = cx.from_flax(model, hardware(PROGRAMMING_ERROR, READ_NOISE), seed=1, rngs=nnx.Rngs(noise=1))
    analog.layers[0].kernel.set_value(jnp.ones((4, 3)))
    analog.eval()
    cx.save_state(analog, tmp_path / "chip.safetensors")
    other = cx.from_flax(net(), {"layers.*": None}, 1, seed=3, rngs=nnx.Rngs(noise=2))
    other.eval()
    cx.load_state(other, tmp_path / "chip.safetensors")
    for _ in range(2):
        np.testing.assert_array_equal(other(X), analog(X))
    for found, saved in zip(cx.analog_layers(other), cx.analog_layers(analog), strict=True):
        np.testing.assert_array_equal(found.get_matrix(), saved.get_matrix())
        assert (found.seed, found.bias_rows, found.params) == (saved.seed, 0, saved.params)
    digital = net()
    cx.load_state(digital, tmp_path / "chip.safetensors")
    assert np.all(digital.layers[0].kernel.get_value() == 1)
    assert np.all(digital.layers[1].mean.get_value() == 1)


def test_files_of_other_models_are_refused_and_change_nothing(tmp_path):
    cx.save_state(net(), tmp_path / "net.safetensors")
    model = net(outputs=3)
    for wrong, message in (
        (model, r"layers/2/bias \(2,\) instead of \(3,\)"),
        (nnx.Sequential(*model.layers[:2]), "lacks: layers/2/bias"),
        (cx.from_flax(net(), rngs=nnx.Rngs(0)), "lacks layers/0/arrays:chip"),
    ):
        with pytest.raises(DataError, match=message):
            cx.load_state(wrong, tmp_path / "net.safetensors")
    np.testing.assert_array_equal(model.layers[0].kernel.get_value(), net(3).layers[0].kernel.get_value())
    (tmp_path / "other.safetensors").write_bytes(b"nothing")
    with pytest.raises(DataError, match="safetensors"):
        cx.load_state(net(), tmp_path / "other.safetensors")
