"""A regression on a table: how a disease goes on, from ten measurements of each of 442 patients.

    python examples/tasks/tabular_regression.py

Data: scikit-learn's diabetes, which ships with it; every fifth patient is for tests.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from _study import main
from sklearn.datasets import load_diabetes
from torch import nn

from crossohm.datasets import Dataset
from crossohm.metrics import metric


def data(data_dir: Any = None, split: str = "test") -> Dataset:
    found = load_diabetes()
    tests = np.arange(len(found.target)) % 5 == 4
    chosen = tests if split == "test" else ~tests
    x = (found.data * len(found.data) ** 0.5).astype(np.float32)  # columns of spread 1
    y = found.target[:, None].astype(np.float32)
    return Dataset(f"diabetes/{split}", x[chosen], y[chosen], outputs=("progression",))


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 1), Scale(75, 150))


class Scale(nn.Module):
    """Brings answers of size one to the scale of the targets; digital, behind the arrays."""

    def __init__(self, spread: float, mean: float) -> None:
        super().__init__()
        self.spread, self.mean = spread, mean

    def forward(self, x: Any) -> Any:
        return x * self.spread + self.mean


@metric(label="Patients told within 50 points", unit="%", higher_is_better=True)
def close(answers: Any, targets: Any, *, within: float = 50) -> Any:
    return np.abs(answers - targets)[:, 0] <= within


if __name__ == "__main__":
    main(__file__, network, data, nn.functional.mse_loss, epochs=40, rate=0.01)
