"""Several arrays with an entry for each sample: the inputs, or the targets, of networks that have more than one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from crossohm.errors import DataError


@final
class Columns:
    """Arrays that are sliced together.

    Args:
        name: Of the data set, for messages.
        parts: By the names of a network's arguments, or in their order.

    Raises:
        DataError: there are none, or they are not arrays of one length.
    """

    def __init__(self, name: str, parts: Mapping[str, Any] | tuple[Any, ...]) -> None:
        self._name = name
        self._parts = parts
        for key, array in self.items():
            if not (hasattr(array, "dtype") and getattr(array, "ndim", False)):
                raise DataError(f"{name}: {key} must be one array (n, ...), got a {type(array).__name__}")
        lengths = {key: len(array) for key, array in self.items()}
        if len(set(lengths.values())) != 1:
            raise DataError(f"{name}: {lengths or 'no arrays'}; expected arrays of one length")

    def items(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """Names, or numbers as text, and arrays."""
        parts = self._parts
        yield from parts.items() if isinstance(parts, Mapping) else ((str(at), one) for at, one in enumerate(parts))

    def __len__(self) -> int:
        return len(next(self.items())[1])

    def __getitem__(self, index: Any) -> Any:
        """A batch: a table, or a tuple, of arrays."""
        parts = self._parts
        if isinstance(parts, Mapping):
            return {key: array[index] for key, array in parts.items()}
        return tuple(array[index] for array in parts)

    def take(self, chosen: NDArray[np.integer] | slice) -> Columns:
        """Some of the samples."""
        return Columns(self._name, self[chosen])


def as_held(name: str, given: Any) -> Any:
    """One array as it is, several as `Columns`."""
    return Columns(name, given) if isinstance(given, Mapping | tuple) else given


def arrays_of(held: Any) -> Iterator[tuple[str, Any]]:
    """Names and arrays of what `as_held` gives; the name of a single one is empty."""
    return held.items() if isinstance(held, Columns) else iter([("", held)])


def part_of(held: Any, chosen: slice) -> Any:
    """Some of the samples of what `as_held` gives, in the same form."""
    return held.take(chosen) if isinstance(held, Columns) else held[chosen]
