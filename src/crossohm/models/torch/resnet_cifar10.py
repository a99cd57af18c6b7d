"""Residual networks for CIFAR-10, depths 14, 20, 32 and 56, as plain PyTorch.

Architecture: K. He et al., Deep residual learning for image recognition, CVPR 2016, section 4.2, with 1x1 convolutions
and BatchNorm on the shortcuts that change shape. The names of layers and the constants of the first BatchNorm are
those of the public checkpoints ``resnet<depth>_cifar10.pth``.
"""

from __future__ import annotations

from typing import final

import torch
from torch import nn

from crossohm.errors import ParameterError


@final
class ResNetCifar10(nn.Module):
    """A residual network of ``6 n + 2`` layers for images ``(batch, 3, 32, 32)``; logits ``(batch, classes)`` go out.

    Args:
        depth: 14, 20, 32, 56, or any other ``6 n + 2``.
        classes: Number of outputs.

    Raises:
        ParameterError: a depth that is not ``6 n + 2``.
    """

    def __init__(self, depth: int = 20, classes: int = 10) -> None:
        super().__init__()
        blocks, rest = divmod(depth - 2, 6)
        if rest or blocks < 1:
            raise ParameterError("depth", depth, "no such residual network", allowed="6 n + 2: 14, 20, 32, 56")
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16, eps=1e-3, momentum=0.99)
        self.relu = nn.ReLU()
        self.res1 = _stage(16, 16, 1, blocks)
        self.res2 = _stage(16, 32, 2, blocks)
        self.res3 = _stage(32, 64, 2, blocks)
        self.classifier = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits ``(batch, classes)``."""
        x = self.relu(self.bn1(self.conv1(x)))
        return self.classifier(self.res3(self.res2(self.res1(x))))


@final
class _Block(nn.Module):
    """Two 3x3 convolutions with a shortcut around them."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(x)) + shortcut)


def _stage(inputs: int, outputs: int, stride: int, blocks: int) -> nn.Sequential:
    rest = [_Block(outputs, outputs, 1) for _ in range(blocks - 1)]
    return nn.Sequential(_Block(inputs, outputs, stride), *rest)
