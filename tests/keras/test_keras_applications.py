"""Kinds of networks in `keras.applications`, made small; ``benchmarks/keras_applications.py`` has them as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras.src.applications import resnet

from crossohm import CrossSimParameters
from crossohm.keras import analog_layers, conversion_report, convertible_layers, from_keras, load_model, to_keras

#: Ranges of converters are not calibrated here, so that inputs are clipped.
pytestmark = [pytest.mark.plain_keras, pytest.mark.filterwarnings("ignore::UserWarning")]

SIDE = 32
COMMON: dict[str, Any] = {"weights": None, "input_shape": (SIDE, SIDE, 3), "classes": 10}
NAMED = {**COMMON, "weights_name": ""}
NETWORKS: dict[str, Callable[[], Any]] = {
    "ResNet": lambda: resnet.ResNet(lambda x: resnet.stack_residual_blocks_v1(x, 8, 2), False, True, **NAMED),
}
NAMES = tuple(NETWORKS)


@pytest.fixture(autouse=True)
def in_double_precision() -> Iterator[None]:
    """So that networks which amplify rounding errors do not hide others."""
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_dtype_policy("float32")


def _network(name: str) -> tuple[Any, np.ndarray]:
    """With random weights, and BatchNorm statistics that let signals through; and images."""
    keras.utils.set_random_seed(1)
    model, images = NETWORKS[name](), np.random.default_rng(0).uniform(0, 255, (4, SIDE, SIDE, 3))
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(images, training=True)
    return model, images[:2]


def _answers(model: Any, images: np.ndarray) -> np.ndarray:
    return np.array(keras.ops.convert_to_numpy(model(images, training=False)))


@pytest.mark.parametrize("name", NAMES)
def test_networks_of_keras_come_onto_arrays_and_back(name: str, tmp_path: Path) -> None:
    """The digital answers on ideal hardware and after the way back; a chip is the same from its file."""
    model, images = _network(name)
    wanted = _answers(model, images)
    assert np.ptp(wanted, axis=0).max() > 1e-3  # signals reach the outputs
    ideal = from_keras(model, seed=1)
    np.testing.assert_allclose(_answers(ideal, images), wanted, rtol=0, atol=1e-10)
    back = to_keras(ideal)
    np.testing.assert_array_equal(_answers(back, images), wanted)
    for one, other in zip(back.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)

    hardware = CrossSimParameters.from_json("rram-8bit")
    hardware.xbar.device.read_noise.enable = False  # drawn anew in every pass
    chip = from_keras(model, hardware, seed=1)
    answers = _answers(chip, images)
    assert np.isfinite(answers).all() and not np.array_equal(answers, wanted)
    chip.save(tmp_path / "network.keras")
    np.testing.assert_array_equal(_answers(load_model(tmp_path / "network.keras"), images), answers)


@pytest.mark.parametrize("name", ["ResNet"])
def test_the_report_knows_every_layer(name: str) -> None:
    """All matrices are on arrays, and the report says of every BatchNorm whether it can be folded."""
    model, _ = _network(name)
    layers, report = convertible_layers(model), conversion_report(from_keras(model, seed=1))
    assert len(report.analog) == len(layers) and not report.digital
    norms = [layer.name for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert [norm.name.rpartition(".")[2] for norm in report.norms] == norms and all(n.reason for n in report.norms)
    foldable = [norm.name for norm in conversion_report(model).norms if not norm.reason]
    folded = from_keras(model, seed=1, fuse_batchnorm=True)
    assert len(conversion_report(folded).norms) == len(norms) - len(foldable)
    assert len(analog_layers(folded)) == len(layers)
