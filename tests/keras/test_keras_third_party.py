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


def classes(shared: Path):
    """Predictions for the 10,000 test images of MNIST: digital, on 8-bit hardware, and the labels."""
    digital = load_model(shared / "models" / "mnist_CNN6_v2.h5")
    train, test = (load_dataset("mnist", data_dir=shared / "mnist", split=split) for split in ("train", "test"))
    params = CrossSimParameters()
    params.update(EIGHT_BITS)
    analog = from_keras(digital, calibrate(digital, images(train, 300), params).hardware, seed=1)
    found = [model.predict(images(test), batch_size=500, verbose=0).argmax(1) for model in (digital, analog)]
    return *found, test.labels


@pytest.mark.filterwarnings(LEFT_OUT)
def test_cnn6_v2_keeps_its_accuracy_on_8_bit_hardware(shared, tmp_path):
    digital, analog, labels = classes(shared / "data")
    published, found = np.mean(digital == labels), np.mean(analog == labels)
    assert abs(published - 0.988) < 0.002
    assert abs(found - published) < 0.003
    if keras.backend.backend() == "torch":  # the fastest of the three compares them
        for backend in ("jax", "tensorflow"):
            theirs = _on(backend, shared / "data", tmp_path / f"{backend}.npy")
            assert np.mean(theirs == analog) >= 0.999


def _on(backend: str, data: Path, file: Path) -> np.ndarray:
    """Predictions of the same network on the same hardware, in a process of another backend."""
    code = (
        "import sys, warnings; from pathlib import Path; import numpy as np; warnings.simplefilter('ignore'); "
        f"sys.path.insert(0, {str(Path(__file__).parent)!r}); import test_keras_third_party as t; "
        f"np.save({str(file)!r}, t.classes(Path({str(data)!r}))[1])"
    )
    environment = {**os.environ, "KERAS_BACKEND": backend}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True)
    return np.load(file)
