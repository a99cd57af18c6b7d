"""Data sets that come with scikit-learn."""

from __future__ import annotations

from importlib import import_module
from typing import Any

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
