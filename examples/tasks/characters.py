"""A language model of characters: which one comes next?

    python examples/tasks/characters.py

Data: the descriptions of scikit-learn's data sets, which ship with it, in pieces of 64 characters; every tenth piece is
for tests. The network sees a character and the 28 before it through dilated convolutions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from _study import main
from sklearn import datasets
from torch import Tensor, nn

from crossohm.datasets import Dataset

LENGTH = 64
LETTERS = " \nabcdefghijklmnopqrstuvwxyz0123456789.,-:()"


def data(data_dir: Any = None, split: str = "test") -> Dataset:
    loaders = (datasets.load_diabetes, datasets.load_iris, datasets.load_wine, datasets.load_breast_cancer)
    text = "\n".join(load().DESCR for load in loaders).lower()
    tokens = np.array([LETTERS.index(letter) for letter in text if letter in LETTERS], np.int64)
    pieces = len(tokens) // LENGTH - 1
    now = tokens[: pieces * LENGTH].reshape(pieces, LENGTH)
    following = tokens[1 : pieces * LENGTH + 1].reshape(pieces, LENGTH)  # the target at each place: what comes next
    tests = np.arange(pieces) % 10 == 9
    chosen = tests if split == "test" else ~tests
    return Dataset(f"characters/{split}", now[chosen], following[chosen], tuple(LETTERS))


class Reader(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(len(LETTERS), 32)
        self.past = nn.ModuleList(nn.Conv1d(32, 32, 3, dilation=2**depth) for depth in (0, 1, 2, 3))
        self.next = nn.Conv1d(32, len(LETTERS), 1)

    def forward(self, tokens: Tensor) -> dict[str, Tensor]:
        x = self.embedding(tokens).transpose(1, 2)
        for depth, layer in enumerate(self.past):
            x = x + nn.functional.relu(layer(nn.functional.pad(x, (2 * 2**depth, 0))))  # nothing of the future
        return {"hidden": x, "logits": self.next(x)}  # (texts, letters, places)


def loss(answers: Any, targets: Tensor) -> Tensor:
    return nn.functional.cross_entropy(answers["logits"], targets)


if __name__ == "__main__":
    main(__file__, Reader, data, loss, epochs=30, rate=0.01)
