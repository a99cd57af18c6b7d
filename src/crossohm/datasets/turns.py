"""Order of the samples of labelled data: splits by counting, and classes in turn instead of one after the other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def every_nth(labels: NDArray[np.integer], n: int) -> NDArray[np.bool_]:
    """True for every ``n``-th sample of each class, in file order."""
    return np.asarray(_places(labels) % n == n - 1)


def in_turn(labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """Indices that put the first of each class first, then the second of each, and so on.

    Training sample by sample, or on the first samples, so sees all classes though the file is sorted by them.
    """
    return np.argsort(_places(labels), kind="stable")


def _places(labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """Place of each sample among those of its class, in file order, from 0."""
    found = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        of_class = labels == label
        found[of_class] = np.arange(of_class.sum())
    return found
