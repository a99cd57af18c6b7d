"""`examples/cifar10_calibration.py` in small: ResNet-20 with few ADC bits, and the time of calibration."""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable
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


@pytest.mark.slow
def test_calibration_costs_a_few_passes(network: TorchNetwork, data: np.ndarray) -> None:
    """Each image costs less than ten passes on hardware; programming and search, which do not grow, are left out."""
    layers = example().hardware(6, len(network.convertible))
    ranged = list(crossohm.calibrate(network, data[:5], layers).hardware.values())
    analog = network.on_hardware(ranged, seed=1)
    analog.outputs(data[:5])

    def seconds(work: Callable[[], object]) -> float:
        start = time.process_time()
        work()
        return time.process_time() - start

    few, many = (seconds(lambda n=n: crossohm.calibrate(network, data[:n], layers)) for n in (5, 55))
    assert many - few < 10 * seconds(lambda: analog.outputs(data[:50]))
