"""The shipped architectures, as plain PyTorch. Images come in as ``(n, 1, height, width)``, 0..1; logits go out."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn


def digits_cnn() -> nn.Sequential:
    """6,622 parameters for 8x8 images; has BatchNorm, so folding it into the convolutions can be tried."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 12, 3, padding=1, bias=False),
            norm1=nn.BatchNorm2d(12),
            relu1=nn.ReLU(),
            conv2=nn.Conv2d(12, 24, 3, padding=1, bias=False),
            norm2=nn.BatchNorm2d(24),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            drop=nn.Dropout(0.3),
            fc=nn.Linear(24 * 4 * 4, 10),
        )
    )


def mnist_cnn() -> nn.Sequential:
    """16,938 parameters for 28x28 images; no layer needs more than 288 array rows."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 16, 3, padding=1),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(16, 32, 3, padding=1),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            conv3=nn.Conv2d(32, 32, 3, padding=1),
            relu3=nn.ReLU(),
            pool3=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            drop=nn.Dropout(0.3),
            fc=nn.Linear(32 * 3 * 3, 10),
        )
    )
