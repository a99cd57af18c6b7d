"""Inputs of a network from whatever holds them: an array, a data set, a loader of batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from crossohm.backends import backend_of
from crossohm.errors import InputError, ParameterError
from crossohm.layers.network import Calibratable, Progress, TakesBatches
from crossohm.layers.samples import gives_samples, is_one_array, joined

#: Enough inputs to see what a network makes of them, and more than the one that some networks squeeze away.
_FEW = 2

#: Images of a stack that are read at a time.
_BLOCK = 256


@final
class ImageSource:
    """Images, or other inputs, that can be looked at several times.

    Args:
        data: An array ``(images, ...)`` of any library or a stack of files that is read when sliced, an object with
            such as ``images``, a mapping that is one batch, an iterable of batches as loaders give them, or an object
            that gives single samples by their number, as data sets of PyTorch do. An iterator, which can be used only
            once, is kept in memory. What a batch may be, the network says: an array or a sequence that begins with
            one, and more if it is one of `TakesBatches`.
        limit: Most images used, the first ones; None: all.

    Raises:
        InputError: ``data`` holds no images.
        ParameterError: ``limit`` is no positive number.
    """

    def __init__(self, data: Any, limit: int | None = None) -> None:
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int | np.integer) or limit < 1):
            raise ParameterError(
                "limit", limit, "is no number of images", allowed="a positive integer, or None for all"
            )
        data = getattr(data, "images", data)
        self._limit = limit
        self._batches: Iterable[Any] = [data] if is_one_array(data) or isinstance(data, Mapping) else data
        if _Blocks.suits(data):
            self._batches = _Blocks(data)
        elif gives_samples(data):
            self._batches = _Samples(data)
        if not isinstance(self._batches, Iterable):
            raise InputError(
                f"data of type {type(data).__name__} holds no images; pass an array (images, ...), an object with such "
                "an array as .images, or an iterable of batches"
            )
        if isinstance(self._batches, Iterator):
            self._batches = list(self._limited())
        self._total = limit or 0

    def few(self) -> Any:
        """A batch to look at: the first, or the first images where all are in one array.

        Raises:
            InputError: there is none.
        """
        for batch in self._limited():
            return batch[:_FEW] if is_one_array(batch) else batch
        raise _nothing()

    def pass_through(self, network: Calibratable, stage: str, progress: Progress) -> int:
        """Let the network answer all images; returns how many.

        Raises:
            InputError: there is none, or the network does not take them.
        """
        done = 0
        for batch in self._limited():
            size = _size(batch)

            def step(stage: str, ready: int, _: int, before: int = done, size: int = size) -> None:
                progress(stage, before + ready, max(self._total, before + size))

            if isinstance(network, TakesBatches):
                network.take(batch, stage, step)
            else:
                network.outputs(_images(batch), stage, step)
            done += size
        if not done:
            raise _nothing()
        self._total = done
        return done

    def _limited(self) -> Iterator[Any]:
        left = self._limit
        for batch in self._batches:
            if left is not None and left <= 0:
                return
            size = _size(batch)
            if left is not None:
                batch = _cut(batch, size, left) if left < size else batch
                left -= size
            if size:
                yield batch


def _nothing() -> InputError:
    return InputError("there are no images to calibrate with; at least one is needed")


def _size(batch: Any) -> int:
    """How many inputs a batch has: the length of its first array."""
    found = next(_arrays(batch), None)
    fewest = 1 if isinstance(batch, Mapping) or (found is not None and _counts(found)) else 2
    if found is None or found.ndim < fewest:
        form = "" if found is None else f" that begins with an array of shape {tuple(found.shape)}"
        raise InputError(
            f"batch of type {type(batch).__name__}{form}: expected an array (images, ...), or a sequence that begins "
            "with one, or a mapping with arrays"
        )
    return len(found)


def _counts(array: Any) -> bool:
    """True for arrays of whole numbers: a single axis of them may be tokens, one of measured values is an image."""
    return backend_of(array).dtype_name(array).startswith(("int", "uint", "bool"))


def _arrays(batch: Any) -> Iterator[Any]:
    if is_one_array(batch):
        yield batch
    elif isinstance(batch, Mapping | list | tuple):
        for part in batch.values() if isinstance(batch, Mapping) else batch:
            yield from _arrays(part)


def _cut(batch: Any, size: int, left: int) -> Any:
    """The first inputs of a batch; what is not an array with an entry for each input stays whole."""
    if is_one_array(batch):
        return batch[:left] if batch.ndim and len(batch) == size else batch
    if isinstance(batch, Mapping):
        return {name: _cut(part, size, left) for name, part in batch.items()}
    if type(batch) in (list, tuple):
        return type(batch)(_cut(part, size, left) for part in batch)
    return batch


def _images(batch: Any) -> NDArray[np.float32]:
    """A batch, ``(images, ...)``, single precision, without its labels."""
    found = batch[0] if isinstance(batch, list | tuple) and batch else batch
    if not is_one_array(found) or found.ndim < 2:
        raise InputError(
            f"batch of type {type(batch).__name__}: expected an array (images, ...), or a sequence that begins with one"
        )
    return np.asarray(backend_of(found).to_numpy(found), dtype=np.float32)


@final
@dataclass(frozen=True)
class _Samples:
    """Single samples by their number, as batches."""

    data: Any

    def __iter__(self) -> Iterator[Any]:
        for start in range(0, len(self.data), _BLOCK):
            chosen = range(start, min(start + _BLOCK, len(self.data)))
            try:
                yield joined([self.data[number] for number in chosen], np.stack)
            except ValueError as error:
                raise InputError(
                    f"data of type {type(self.data).__name__}: samples {start} to {chosen[-1]} do not fit together "
                    f"({error}); pass a loader that makes batches of them"
                ) from None


@final
@dataclass(frozen=True)
class _Blocks:
    """A stack of images that is no array, but is sliced like one, a block at a time."""

    stack: Any

    @staticmethod
    def suits(data: Any) -> bool:
        """True for such a stack."""
        return not is_one_array(data) and all(hasattr(data, name) for name in ("ndim", "shape", "dtype", "__getitem__"))

    def __iter__(self) -> Iterator[Any]:
        for start in range(0, len(self.stack), _BLOCK):
            yield self.stack[start : start + _BLOCK]
