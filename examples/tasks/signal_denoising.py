"""A convolution along time: clean signals from noisy ones.

    python examples/tasks/signal_denoising.py

Data: generated; three sines of random frequency, phase and height, and noise of half their power.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from _study import main
from torch import nn

from crossohm.datasets import Dataset


def data(data_dir: Any = None, split: str = "test") -> Dataset:
    rng = np.random.default_rng(0 if split == "train" else 1)
    count = 1000 if split == "train" else 200
    time = np.arange(128) / 128
    frequency, phase, height = (
        rng.uniform(1, 6, (count, 3, 1)),
        rng.uniform(0, 1, (count, 3, 1)),
        rng.random((count, 3, 1)),
    )
    clean = (height * np.sin(2 * np.pi * (frequency * time + phase))).sum(axis=1, keepdims=True)
    noise = rng.normal(0, clean.std() / 2**0.5, clean.shape)
    return Dataset(f"signals/{split}", (clean + noise).astype(np.float32), clean.astype(np.float32))


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(1, 16, 9, padding=4), nn.ReLU(), nn.Conv1d(16, 16, 9, padding=4), nn.ReLU(),
        nn.Conv1d(16, 1, 9, padding=4),
    )  # fmt: skip


if __name__ == "__main__":
    main(__file__, network, data, nn.functional.mse_loss, epochs=12, rate=0.01)
