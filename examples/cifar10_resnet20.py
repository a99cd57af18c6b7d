"""A trained ResNet-20 on analog hardware: how often it answers as the digital one. Some minutes on two cores.

    python examples/cifar10_resnet20.py --images cifar10.npz --weights resnet20_cifar10.pth

The weights are a state dict of the CIFAR ResNet-20 (He et al., https://arxiv.org/abs/1512.03385) with 1x1 projections
as shortcuts; the images are an npz file with ``x`` (count, 32, 32, 3) uint8 RGB and ``y`` labels. BatchNorm is folded;
ranges of inputs and ADCs come from the first 200 images, whose labels are not used. Rows with errors are means over
several chips.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from crossohm import CrossSimParameters
from crossohm.calibration.model import calibrate_network
from crossohm.torch import TorchNetwork

CALIBRATION = 200
MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Block(nn.Module):
    """Two convolutions and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + shortcut)


class ResNet20(nn.Module):
    """For 32x32 images; the first normalisation has the epsilon it was trained with."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16, eps=1e-3)
        self.res1 = nn.Sequential(Block(16, 16, 1), Block(16, 16, 1), Block(16, 16, 1))
        self.res2 = nn.Sequential(Block(16, 32, 2), Block(32, 32, 1), Block(32, 32, 1))
        self.res3 = nn.Sequential(Block(32, 64, 2), Block(64, 64, 1), Block(64, 64, 1))
        self.classifier = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn1(self.conv1(x)))
        return self.classifier(self.res3(self.res2(self.res1(x))))


def trained(path: Path) -> ResNet20:
    """The network with the weights of a state dict, in eval mode."""
    model = ResNet20()
    model.load_state_dict(torch.load(path, "cpu", weights_only=True))
    return model.eval()


def images(path: Path, count: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Normalised images ``(count, 3, 32, 32)`` float32, and labels."""
    with np.load(path) as data:
        pixels, labels = data["x"][:count], data["y"][:count]
    x = (pixels.astype(np.float32) / 255 - np.float32(MEAN)) / np.float32(SPREAD)
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2)), labels


EIGHT_BITS: dict[str, Any] = {
    "xbar.device.Rmax": 1e5,
    "xbar.device.Rmin": 1e3,
    "xbar.device.cell_bits": 7,  # a pair of cells adds the sign bit
    "xbar.dac.mvm.model": "SignMagnitudeDAC",
    "xbar.dac.mvm.bits": 8,
    "xbar.adc.mvm.model": "QuantizerADC",
    "xbar.adc.mvm.bits": 8,
}
SMALL = {**EIGHT_BITS, "core.rows_max": 144}


def error(size: float) -> dict[str, Any]:
    """A Gaussian programming error, proportional to the conductance."""
    section = "xbar.device.programming_error"
    return {f"{section}.enable": True, f"{section}.model": "NormalProportionalDevice", f"{section}.magnitude": size}


SETTINGS: dict[str, dict[str, Any]] = {
    "ideal": {},
    "8-bit weights, inputs and ADCs": EIGHT_BITS,
    "the same, 144-row arrays": SMALL,
    "the same, 5 % programming error": {**SMALL, **error(0.05)},
    "the same, 20 % programming error": {**SMALL, **error(0.20)},
}


def on_chips(network: TorchNetwork, settings: dict[str, Any], x: np.ndarray, chips: int) -> list[np.ndarray]:
    """Classes that each chip answers."""
    params = CrossSimParameters()
    params.update(settings)
    layers = [params] * len(network.convertible)
    if settings:
        layers = calibrate_network(network, layers, x[:CALIBRATION], percentile=99.99)
    draws = chips if params.xbar.device.programming_error.enable else 1
    return [network.on_hardware(layers, seed).outputs(x).argmax(1) for seed in range(1, draws + 1)]


def main() -> None:
    parser = argparse.ArgumentParser(description="CIFAR-10 accuracy of ResNet-20 on analog hardware.")
    parser.add_argument("--images", type=Path, required=True, help="npz file with x and y")
    parser.add_argument("--weights", type=Path, required=True, help="state dict of the network")
    parser.add_argument("--count", type=int, help="images, the first ones (default: all)")
    parser.add_argument("--chips", type=int, default=3, help="simulated chips per row with errors")
    options = parser.parse_args()
    x, labels = images(options.images, options.count)
    network = TorchNetwork(trained(options.weights))
    digital = network.outputs(x).argmax(1)
    print(f"{'setting':36}accuracy   same class as digital\n{'digital':36}{(digital == labels).mean():8.2%}")
    for name, settings in SETTINGS.items():
        found = on_chips(network, settings, x, options.chips)
        accuracy, same = (np.mean([(classes == other).mean() for classes in found]) for other in (labels, digital))
        print(f"{name:36}{accuracy:8.2%}   {same:8.2%}", flush=True)


if __name__ == "__main__":
    main()
