"""Batches of one array, or of tables or tuples of arrays: made of samples, joined, and of one sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossohm.backends import backend_of, is_array


def one_batch(sample: Any) -> Any:
    """A batch of one sample: every array with an axis before all others."""
    if isinstance(sample, Mapping):
        return {name: one_batch(part) for name, part in sample.items()}
    if isinstance(sample, tuple):
        return tuple(map(one_batch, sample))
    return np.asarray(sample)[np.newaxis]


def joined(parts: Sequence[Any], join: Callable[[Sequence[NDArray[Any]]], NDArray[Any]]) -> Any:
    """Samples stacked, or batches concatenated, with each array of their tables and tuples by itself.

    Args:
        parts: At least one, of one form; arrays of any library, and numbers.
        join: ``np.stack`` or ``np.concatenate``.

    Raises:
        ValueError: arrays have shapes that do not fit together.
    """
    first = parts[0]
    if isinstance(first, Mapping):
        return {name: joined([part[name] for part in parts], join) for name in first}
    if isinstance(first, list | tuple):
        return tuple(joined(each, join) for each in zip(*parts, strict=True))
    return join([on_host(part) for part in parts])


def on_host(value: Any) -> NDArray[Any]:
    """An array of any library, or what NumPy makes one of, as a NumPy array."""
    return np.asarray(backend_of(value).to_numpy(value) if is_one_array(value) else value)


def is_one_array(value: Any) -> bool:
    """True for arrays of any library, whose loaders and data sets are none."""
    return is_array(value) and hasattr(value, "ndim")


def gives_samples(data: Any) -> bool:
    """True for what has single samples by their number, as data sets of PyTorch: no array, list or table."""
    has_numbers = hasattr(data, "__getitem__") and hasattr(data, "__len__")
    return has_numbers and not isinstance(data, Sequence | Mapping) and not is_one_array(data)
