"""A network that others trained, from its file: the published accuracy, kept on 8-bit hardware, on every backend."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from crossohm import CrossSimParameters, calibrate
from crossohm.calibration import Calibration
from crossohm.datasets import load_dataset
from crossohm.keras import from_keras, load_model

EIGHT_BITS = {
    "xbar.device.cell_bits": 8,
    "xbar.dac.mvm.model": "QuantizerDAC",
    "xbar.dac.mvm.bits": 8,
    "xbar.adc.mvm.model": "QuantizerADC",
    "xbar.adc.mvm.bits": 8,
    "xbar.adc.mvm.adc_range_option": "CALIBRATED",
}
#: Dropped when the file is read: it clips weights during training.
LEFT_OUT = "ignore:.*ClipPrecision:RuntimeWarning"


def images(data, count=None):
    return np.moveaxis(data.images[:count], 1, -1)


def network(data: Path):
    return load_model(data / "models" / "mnist_CNN6_v2.h5")


def classes(model, data: Path):
    """Predictions for the 10,000 test images of MNIST."""
    test = load_dataset("mnist", data_dir=data / "mnist", split="test")
    return model.predict(images(test), batch_size=500, verbose=0).argmax(1)


def calibrated(digital, data: Path):
    params = CrossSimParameters()
    params.update(EIGHT_BITS)
    train = load_dataset("mnist", data_dir=data / "mnist", split="train")
    return calibrate(digital, images(train, 300), params)


def on_hardware(data: Path, ranges: Path):
    """Predictions of the network on the hardware in a file."""
    return classes(from_keras(network(data), Calibration.load(ranges).hardware, seed=1), data)


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="PyTorch's process asks the other backends")
@pytest.mark.filterwarnings(LEFT_OUT)
def test_cnn6_v2_keeps_its_accuracy_on_8_bit_hardware(shared, tmp_path):
    data, ranges = shared / "data", tmp_path / "ranges.json"
    digital = network(data)
    labels = load_dataset("mnist", data_dir=data / "mnist", split="test").labels
    published = np.mean(classes(digital, data) == labels)
    assert abs(published - 0.988) < 0.002
    calibrated(digital, data).save(ranges)
    ours = on_hardware(data, ranges)
    assert abs(np.mean(ours == labels) - published) < 0.003
    for backend in ("jax", "tensorflow"):
        theirs = _on(backend, data, ranges, tmp_path / f"{backend}.npy")
        assert np.mean(theirs == ours) >= 0.999


def _on(backend: str, data: Path, ranges: Path, file: Path) -> np.ndarray:
    """Predictions of the same network on the same hardware, in a process of another backend."""
    code = (
        "import sys, warnings; from pathlib import Path; import numpy as np; warnings.simplefilter('ignore'); "
        f"sys.path.insert(0, {str(Path(__file__).parent)!r}); import test_keras_third_party as t; "
        f"np.save({str(file)!r}, t.on_hardware(Path({str(data)!r}), Path({str(ranges)!r})))"
    )
    environment = {**os.environ, "KERAS_BACKEND": backend}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True)
    return np.load(file)
