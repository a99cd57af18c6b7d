"""Data sets by name."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from crossohm.datasets._dataset import Dataset
from crossohm.datasets.digits import read_digits
from crossohm.datasets.mnist import DIGIT_NAMES, FASHION_NAMES, read_mnist
from crossohm.errors import ParameterError, UnknownNameError

SPLITS = ("train", "test")

_READERS: dict[str, Callable[[Path | None, str, int | None], Dataset]] = {
    "digits": lambda data_dir, split, limit: read_digits(split, limit),
    "mnist": partial(read_mnist, "mnist", DIGIT_NAMES),
    "fashion_mnist": partial(read_mnist, "fashion_mnist", FASHION_NAMES),
}


def dataset_names() -> tuple[str, ...]:
    """Names that `load_dataset` accepts."""
    return tuple(_READERS)


def load_dataset(
    name: str, *, data_dir: str | os.PathLike[str] | None = None, split: str = "test", limit: int | None = None
) -> Dataset:
    """Load one split of a data set.

    Args:
        name: ``"digits"`` (8x8, comes with scikit-learn), ``"mnist"`` or ``"fashion_mnist"`` (28x28, IDX files).
        data_dir: Folder with the IDX files; not used by ``"digits"``.
        split: ``"train"`` or ``"test"``.
        limit: At most this many images, the first ones of the split; None for all.

    Raises:
        UnknownNameError: no such data set.
        ParameterError: no such split, or a limit that is not a positive integer.
        DataError: a file is missing or damaged.
        MissingDependencyError: ``"digits"`` without scikit-learn.
    """
    if name not in _READERS:
        near = difflib.get_close_matches(str(name), _READERS, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else ""
        raise UnknownNameError("dataset", name, "no such data set", allowed=", ".join(_READERS), remedy=hint)
    if split not in SPLITS:
        raise ParameterError("split", split, "no such split", allowed=", ".join(SPLITS))
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise ParameterError("limit", limit, "not a number of images", allowed="a positive integer, or None for all")
    return _READERS[name](None if data_dir is None else Path(data_dir), split, limit)
