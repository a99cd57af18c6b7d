"""A trained ResNet-14 on resistive memory and on SONOS; published elsewhere: 89.4 % digital, 64.5 and 88.9 % on arrays.

The images here are JPEG copies, on which the digital network reaches 80.2 %, so figures are compared with the digital
ones. All 2,000 images and more chips: examples/cifar10_resnet14.py.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from _cifar10 import images, on_chips, trained
from cifar10_resnet14 import SETTINGS

from crossohm.torch import TorchNetwork

IMAGES = 300


@pytest.fixture(scope="module")
def network(shared: Path) -> TorchNetwork:
    return TorchNetwork(trained(shared / "data/models/resnet14_cifar10.pth"))


def test_sixteen_layers(network: TorchNetwork) -> None:
    layers = [network.module.get_submodule(name) for name in network.convertible]
    assert len(layers) == 16
    assert sum(layer.weight.numel() for layer in layers) == 174_128


def test_resistive_memory_is_far_below_sonos(shared: Path, network: TorchNetwork) -> None:
    x, labels = images(shared / "data/cifar10/test_2000.npz", IMAGES)
    digital = network.outputs(x).argmax(1)
    assert 0.76 < (digital == labels).mean() < 0.84
    found = {
        name: on_chips(network, SETTINGS[name], x, chips)
        for name, chips in (("resistive memory, no errors", 1), ("resistive memory (Milo)", 3), ("SONOS", 1))
    }
    kept = {
        name: np.mean([(classes == labels).mean() for classes in chips]) / (digital == labels).mean()
        for name, chips in found.items()
    }
    assert 0.55 < kept["resistive memory (Milo)"] < 0.8  # 64.5 of 89.4 %: 0.72; chips spread by 0.1
    assert kept["SONOS"] == pytest.approx(88.9 / 89.4, abs=0.03)
    assert kept["resistive memory, no errors"] > 0.96  # the errors are what costs, not the ratio of conductances
    assert kept["SONOS"] - kept["resistive memory (Milo)"] > 0.2
