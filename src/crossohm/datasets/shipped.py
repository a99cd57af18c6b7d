"""Data sets that come with scikit-learn, split by counting instead of by a random generator."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossohm.errors import MissingDependencyError


def read_shipped(name: str) -> Any:
    """What scikit-learn holds of a data set, with ``target`` and ``target_names``.

    Raises:
        MissingDependencyError: scikit-learn is not installed.
    """
    try:
        datasets = import_module("sklearn.datasets")
    except ImportError:
        raise MissingDependencyError("scikit-learn", "data", f"The data set {name!r}") from None
    return getattr(datasets, f"load_{name}")()


def every_nth(labels: NDArray[np.integer], n: int) -> NDArray[np.bool_]:
    """True for every ``n``-th sample of each class, in file order."""
    return np.asarray(places(labels) % n == n - 1)


def places(labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """Place of each sample among those of its class, in file order, from 0."""
    found = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        of_class = labels == label
        found[of_class] = np.arange(of_class.sum())
    return found
