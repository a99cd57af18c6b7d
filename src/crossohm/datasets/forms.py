"""What functions of a user's return, as a data set: pairs of arrays, loaders of batches, sets of single samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from crossohm.datasets._dataset import Dataset
from crossohm.errors import DataError
from crossohm.layers.samples import gives_samples, is_one_array, joined, on_host

#: Entries of a table that are what a network should answer, and no inputs.
TARGETS = ("labels", "label", "targets", "target")

_WAY_OUT = (
    "expected a crossohm.datasets.Dataset, a tuple (inputs, targets) of arrays, tables or tuples of arrays, or a "
    "loader of batches (inputs, targets), or of tables with an entry 'labels' or 'targets'"
)


def as_dataset(name: str, found: Any) -> Dataset:
    """What a function returned, as a data set.

    Args:
        name: Of the data set, for messages.
        found: A data set; a tuple ``(inputs, targets)``; batches of a loader; or single samples by number, as data sets
            of PyTorch give them.

    Raises:
        DataError: it is nothing of these, or its arrays do not fit together.
    """
    if isinstance(found, Dataset):
        return found
    if isinstance(found, tuple) and len(found) == 2:
        return dataset_of(name, *found)
    if gives_samples(found):
        pairs = [_pair(name, found[number]) for number in range(len(found))]
        return dataset_of(name, *(_joined(name, part, np.stack) for part in zip(*pairs, strict=True)))
    if isinstance(found, Iterable) and not isinstance(found, str | Mapping) and not is_one_array(found):
        pairs = [_pair(name, batch) for batch in found]
        if pairs:
            return dataset_of(name, *(_joined(name, part, np.concatenate) for part in zip(*pairs, strict=True)))
    raise DataError(f"data set {name!r}: returned a {type(found).__name__}; {_WAY_OUT}")


def _pair(name: str, batch: Any) -> tuple[Any, Any]:
    """Inputs and targets of a batch."""
    if isinstance(batch, Mapping):
        known = [key for key in TARGETS if key in batch]
        if known:
            return {key: value for key, value in batch.items() if key != known[0]}, batch[known[0]]
    elif isinstance(batch, list | tuple) and len(batch) >= 2:
        *inputs, targets = batch
        return (inputs[0] if len(inputs) == 1 else tuple(inputs)), targets
    raise DataError(f"data set {name!r}: gives batches of type {type(batch).__name__}; {_WAY_OUT}")


def _joined(name: str, parts: Sequence[Any], join: Any) -> Any:
    """Samples or batches as one.

    Raises:
        DataError: they do not fit together.
    """
    try:
        return joined(parts, join)
    except ValueError as error:
        raise DataError(
            f"data set {name!r}: batches do not fit together ({error}); pad them to one length, with negative targets "
            "where there is nothing to answer"
        ) from None


def dataset_of(
    name: str, inputs: Any, targets: Any, classes: tuple[str, ...] = (), outputs: tuple[str, ...] = ()
) -> Dataset:
    """Arrays of any library as a data set: measured quantities in single precision, other numbers as int64.

    Args:
        name: Of the data set.
        inputs: An array, or a table or tuple of them.
        targets: The same.
        classes: Names of the classes; by default the numbers up to the highest label, if there is one for each sample.
        outputs: Names of the target values.

    Raises:
        DataError: they do not fit together.
    """
    held = _numbers(name, inputs, bools=False), _numbers(name, targets, bools=False)
    labels = held[1]
    if not classes and isinstance(labels, np.ndarray) and labels.dtype == np.int64 and labels.ndim == 1:
        classes = tuple(map(str, range(int(labels.max(initial=-1)) + 1)))
    return Dataset(name, *held, classes, outputs)


def _numbers(name: str, given: Any, *, bools: bool) -> Any:
    """Arrays as networks take them; masks of a table stay what they are."""
    if isinstance(given, Mapping):
        return {key: _numbers(name, part, bools=True) for key, part in given.items()}
    if isinstance(given, list | tuple):
        return tuple(_numbers(name, part, bools=True) for part in given)
    host = on_host(given)
    if host.dtype.kind == "f":
        return host.astype(np.float32)
    if host.dtype.kind == "b" and bools:
        return host
    if host.dtype.kind in "iub":
        return host.astype(np.int64)
    raise DataError(f"data set {name!r}: holds an array of {host.dtype}; networks take numbers")
