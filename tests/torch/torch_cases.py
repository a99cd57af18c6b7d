"""Layers, inputs and hardware that the tests of the PyTorch front end share."""

from __future__ import annotations

from typing import Any

import torch
from layer_cases import LAYERS
from torch import Tensor, nn

from crossohm.testing.hardware import CONVERTERS, PROGRAMMING_ERROR, READ_NOISE, hardware
from crossohm.testing.hardware import STYLES as EVERY_STYLE
from crossohm.testing.layer import SMALL_ARRAYS

__all__ = [
    "CASES",
    "CONVERTERS",
    "NAMES",
    "PROGRAMMING_ERROR",
    "READ_NOISE",
    "SLICED",
    "SMALL_ARRAYS",
    "STYLES",
    "digital",
    "hardware",
    "inputs",
    "relative_error",
    "resnet",
]


#: One layer for every way inputs meet a matrix.
NAMES = [
    "linear-batch",
    "linear-sequence",
    "linear-no-bias",
    "conv1d-strided",
    "conv1d-circular",
    "conv2d",
    "conv2d-pointwise",
    "conv2d-same",
    "conv2d-reflect",
    "conv2d-grouped",
    "conv2d-depthwise",
    "conv2d-unbatched",
    "conv3d-strided",
    "transposed1d-strided",
    "transposed2d-grouped",
    "apart1d",
    "apart2d-depthwise",
    "apart-transposed2d",
]
CASES = [LAYERS[name] for name in NAMES]

STYLES = {name: EVERY_STYLE[name] for name in ("balanced", "two-sided", "digital-subtraction", "offset", "unit-column")}
SLICED = {name: EVERY_STYLE[f"sliced-{kind}"] for name, kind in (("sliced", "balanced"), ("sliced-offset", "offset"))}


def digital(kind: type[nn.Module], options: dict[str, Any], dtype: torch.dtype = torch.float64) -> nn.Module:
    torch.manual_seed(3)
    return kind(**options, dtype=dtype)


def inputs(shape: tuple[int, ...], dtype: torch.dtype = torch.float64) -> Tensor:
    """Numbers in -1..1, the default input range."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(4), dtype=dtype) * 2 - 1


def relative_error(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).detach().abs().max() / expected.detach().abs().max())


class Block(nn.Module):
    """A residual block with a projection on its shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet(nn.Module):
    """Two residual blocks between a stem and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.layer1 = Block(4, 4, 1)
        self.layer2 = Block(4, 6, 2)
        self.head = nn.Linear(6, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer2(self.layer1(self.stem(x))).mean((2, 3)))


def resnet(dtype: torch.dtype = torch.float64) -> ResNet:
    """In eval mode, with running statistics unlike those of a fresh network."""
    torch.manual_seed(5)
    model = ResNet().to(dtype)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in (
                (module.running_mean, -0.2, 0.2),
                (module.running_var, 0.5, 2.0),
                (module.weight, 0.5, 1.5),
                (module.bias, -0.2, 0.2),
            ):
                tensor.data.uniform_(low, high)
    return model.eval()
