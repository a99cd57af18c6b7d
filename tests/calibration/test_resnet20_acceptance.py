"""`examples/cifar10_calibration.py` in small: ResNet-20 with few ADC bits, memory and time of calibration."""

from __future__ import annotations

import importlib.util
import sys
import time
import tracemalloc
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import crossohm
from crossohm.torch import TorchNetwork

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
IMAGES, APART = 120, 40


@cache
def example() -> Any:
    """The script that prints the table."""
    sys.path.insert(0, str(EXAMPLES))
    try:
        spec = importlib.util.spec_from_file_location("cifar10_calibration", EXAMPLES / "cifar10_calibration.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(EXAMPLES))


@pytest.fixture(scope="module")
def network(shared: Path) -> TorchNetwork:
    return TorchNetwork(example().trained(shared / "data" / "models" / "resnet20_cifar10.pth"), batch_size=50)


@pytest.fixture(scope="module")
def data(shared: Path) -> np.ndarray:
    return example().images(shared / "data" / "cifar10" / "test_2000.npz")[0]


@pytest.mark.slow
def test_few_bits_answer_as_the_digital_network(network: TorchNetwork, data: np.ndarray) -> None:
    """The same class as digital, not the right one: 120 images could not tell a point of accuracy."""
    x, apart = data[:IMAGES], data[-APART:]
    digital = network.outputs(x).argmax(axis=1)

    def same(bits: int, **way: Any) -> float:
        found = crossohm.calibrate(network, apart, example().hardware(bits, len(network.convertible)), **way)
        return example().accuracy(network, list(found.hardware.values()), x, digital)

    assert same(6) > 0.92
    assert same(5) > 0.88
    assert same(6, keep_adc_ranges=True) < 0.5


def test_time_and_memory_are_bounded(network: TorchNetwork, data: np.ndarray) -> None:
    """Histograms do not grow with the images, and calibration costs few passes through the network."""
    layers = example().hardware(6, len(network.convertible))
    found = crossohm.calibrate(network, data[:3], layers)  # imports and first-use tables are not what is measured
    tracemalloc.start()
    held = {}
    for count in (5, 15):
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        crossohm.calibrate(network, data[:count], layers)
        held[count] = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    assert held[15] < 1.5 * held[5] < 150e6
    analog = network.on_hardware(list(found.hardware.values()), seed=1)
    times = []
    for work in (lambda: analog.outputs(data[:20]), lambda: crossohm.calibrate(network, data[:20], layers)):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    assert times[1] < 10 * times[0]
