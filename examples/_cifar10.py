"""CIFAR-10 images, and residual networks for them, digital and on arrays: what several examples share."""

from __future__ import annotations

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


class ResNet(nn.Module):
    """For 32x32 images, of ``6 * blocks + 2`` layers; the first normalisation has the epsilon it was trained with."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16, eps=1e-3)
        self.res1 = nn.Sequential(Block(16, 16, 1), *(Block(16, 16, 1) for _ in range(blocks - 1)))
        self.res2 = nn.Sequential(Block(16, 32, 2), *(Block(32, 32, 1) for _ in range(blocks - 1)))
        self.res3 = nn.Sequential(Block(32, 64, 2), *(Block(64, 64, 1) for _ in range(blocks - 1)))
        self.classifier = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn1(self.conv1(x)))
        return self.classifier(self.res3(self.res2(self.res1(x))))


def trained(path: Path) -> ResNet:
    """The network whose weights a state dict holds, in eval mode; it says how many blocks there are."""
    state = torch.load(path, "cpu", weights_only=True)
    model = ResNet(blocks=sum(name.startswith("res1.") and name.endswith(".conv1.weight") for name in state))
    model.load_state_dict(state)
    return model.eval()


def images(path: Path, count: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Normalised images ``(count, 3, 32, 32)`` float32, and labels."""
    with np.load(path) as data:
        pixels, labels = data["x"][:count], data["y"][:count]
    x = (pixels.astype(np.float32) / 255 - np.float32(MEAN)) / np.float32(SPREAD)
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2)), labels


def on_chips(network: TorchNetwork, settings: dict[str, Any], x: np.ndarray, chips: int) -> list[np.ndarray]:
    """Classes that each chip answers."""
    params = CrossSimParameters()
    params.update(settings)
    layers = [params] * len(network.convertible)
    if settings:
        layers = calibrate_network(network, layers, x[:CALIBRATION], percentile=99.99)
    draws = chips if params.xbar.device.programming_error.enable else 1  # without errors all chips are alike
    return [network.on_hardware(layers, seed).outputs(x).argmax(1) for seed in range(1, draws + 1)]
