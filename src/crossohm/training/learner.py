"""What a training study needs of a network on devices, whoever built it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.floating]


class Learner(Protocol):
    """Replicas of a network on devices, one for each seed, that learn from the same samples in the same order.

    `crossohm.training.perceptron.Perceptron` is one; front ends make one of a network of theirs (``learner`` of their
    module ``front_end``).
    """

    def train(
        self, x: Numbers, labels: NDArray[np.integer], lr: float, *, semantics: str = ..., batch: int = ...
    ) -> NDArray[np.float64]:
        """Learn from each sample once, in the order given; the mean loss of each replica."""

    def accuracy(self, x: Numbers, labels: NDArray[np.integer]) -> NDArray[np.float64]:
        """Share of the samples that each replica answers right."""

    def explain(self) -> str:
        """What the arrays are and how their writes are computed, as text."""

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Everything that training changes and everything drawn once, as arrays."""

    def load_state_dict(self, values: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what `state_dict` gave, bit for bit."""
