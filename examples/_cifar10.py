"""CIFAR-10 images, and residual networks for them, digital and on arrays: what several examples share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from crossohm import CrossSimParameters
from crossohm.calibration.model import calibrate_network
from crossohm.models.torch.resnet_cifar10 import ResNetCifar10
from crossohm.torch import TorchNetwork

CALIBRATION = 200
MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def trained(path: Path) -> ResNetCifar10:
    """The network whose weights a state dict holds, in eval mode; it says how many blocks there are."""
    state = torch.load(path, "cpu", weights_only=True)
    blocks = sum(name.startswith("res1.") and name.endswith(".conv1.weight") for name in state)
    model = ResNetCifar10(6 * blocks + 2)
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
