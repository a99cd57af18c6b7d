"""A segmentation: which pixels are background, disc, bar?

    python examples/tasks/segmentation.py

Data: generated; one disc and one bar of random size, place and grey on a noisy ground, 32 x 32 pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from _study import main
from torch import Tensor, nn

from crossohm.datasets import Dataset

SIDE = 32


def data(data_dir: Any = None, split: str = "test") -> Dataset:
    rng = np.random.default_rng(0 if split == "train" else 1)
    count = 600 if split == "train" else 100
    y, x = np.mgrid[:SIDE, :SIDE]
    classes = np.zeros((count, SIDE, SIDE), np.int64)
    images = rng.normal(0.3, 0.15, (count, 1, SIDE, SIDE))
    for image, found in zip(images[:, 0], classes, strict=True):
        for label in (1, 2):
            size, row, column = rng.integers(4, 8), *rng.integers(8, SIDE - 8, 2)
            far = np.hypot(y - row, x - column) if label == 1 else np.maximum(3 * abs(y - row), abs(x - column))
            found[far <= size] = label
            image[far <= size] += rng.uniform(0.3, 0.6)
    return Dataset(f"shapes/{split}", images.astype(np.float32), classes, ("ground", "disc", "bar"))


class Net(nn.Module):
    """Down and up again; the fine picture is added at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Sequential(nn.Conv2d(1, 12, 3, padding=1), nn.ReLU())
        self.coarse = nn.Sequential(
            nn.Conv2d(12, 24, 3, padding=1, stride=2), nn.ReLU(), nn.Conv2d(24, 32, 3, padding=1, stride=2), nn.ReLU(),
            nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(),
            nn.ConvTranspose2d(32, 12, 4, stride=4),
        )  # fmt: skip
        self.classes = nn.Conv2d(24, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        fine = self.fine(x)
        return self.classes(torch.cat([fine, nn.functional.relu(self.coarse(fine))], dim=1))


if __name__ == "__main__":
    main(__file__, Net, data, nn.functional.cross_entropy, epochs=14, rate=0.01)
