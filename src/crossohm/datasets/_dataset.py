"""The one form in which every data set reaches the rest of crossohm."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from crossohm.datasets.columns import Columns, arrays_of, as_held
from crossohm.errors import DataError

#: What is applied to a stack of images.
Mapped = Callable[[NDArray[Any]], NDArray[np.float32]]


@final
@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Labelled images, or inputs of another kind with what a network should answer to them.

    Args:
        name: What the data are, e.g. ``"mnist/test"``.
        images: ``(n, channels, height, width)``, float32. As read, 0 (black) to 1; after a `Preprocessing`, whatever
            the network was trained on. Of image files it is a stack that is read when sliced, otherwise an array.
            Inputs that are no images have any shape ``(n, ...)``; tokens are int64. Networks of several inputs have a
            table of arrays, by the names of their arguments, or a tuple.
        labels: ``(n,)``, int64, index into ``classes``; a class for each pixel or token, ``(n, ...)``, negative where
            there is none (padding); target values, float32 or float64, ``(n, ...)``. Networks of several outputs have a
            table or a tuple of such arrays.
        classes: Names of the classes, in label order; empty for target values, and for tokens without names.
        outputs: Names of the target values, ``(n, outputs)``.

    Raises:
        DataError: the arrays do not fit together or a label has no class.
    """

    name: str
    images: Any
    labels: Any
    classes: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for what in ("images", "labels"):
            object.__setattr__(self, what, as_held(self.name, getattr(self, what)))
        for what, held in (("images", self.images), ("labels", self.labels)):
            for _, given in arrays_of(held):
                if not (hasattr(given, "dtype") and hasattr(given, "ndim")):
                    raise DataError(
                        f"{self.name}: {what} must be one array, or a table or tuple of arrays, got a "
                        f"{type(given).__name__}"
                    )
        if not isinstance(self.images, Columns):
            self._check_input(self.images)
        count = len(self.images) if isinstance(self.images, Columns) or self.images.ndim else 0
        for name, labels in arrays_of(self.labels):
            self._check_labels(labels, count, f"{self.name}, {name}" if name else self.name)

    def _check_input(self, images: Any) -> None:
        if not (images.dtype == np.int64 and images.ndim) and (images.ndim < 2 or images.dtype != np.float32):
            raise DataError(
                f"{self.name}: images must be float32 (n, channels, height, width), other inputs float32 or int64 "
                f"(n, ...); got {_form(images)}"
            )

    def _check_labels(self, labels: Any, count: int, name: str) -> None:
        if labels.dtype.kind == "f" and (not self.classes or isinstance(self.labels, Columns)):
            if labels.shape[:1] != (count,):
                raise DataError(f"{name}: {count} inputs need {count} targets; got {_form(labels)}")
            return
        if labels.dtype != np.int64 or labels.shape[:1] != (count,):
            raise DataError(f"{name}: {count} images need {count} int64 labels; got {_form(labels)}")
        per_sample = labels.ndim == 1  # otherwise some positions may be padding, and tokens have no names
        lowest = 0 if per_sample else -math.inf
        named = self.classes or (per_sample and not isinstance(self.labels, Columns))
        highest = len(self.classes) - 1 if named else math.inf
        if labels.size and not lowest <= labels.min() <= labels.max() <= highest:
            raise DataError(
                f"{name}: labels must lie in 0..{len(self.classes) - 1}; found {labels.min()}..{labels.max()}"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        forms = ["x".join(map(str, array.shape[1:])) for _, array in arrays_of(self.images)]
        answers = f"{len(self.classes)} classes" if self.classes else "target values"
        return f"Dataset({self.name!r}, {len(self)} images {' and '.join(forms)}, {answers})"

    def take(self, chosen: NDArray[np.integer] | slice) -> Dataset:
        """Some of the images, in the order of ``chosen``; image files are not read yet."""
        held: Any = self.images
        if isinstance(held, Columns):
            images: Any = held.take(chosen)
        else:
            images = held[chosen] if isinstance(held, np.ndarray) else Lazy(held, _same).take(chosen)
        labels = self.labels.take(chosen) if isinstance(self.labels, Columns) else self.labels[chosen]
        return replace(self, images=images, labels=labels)

    def mapped(self, function: Mapped) -> Dataset:
        """The data set with a function applied to stacks of images; to image files when they are read."""
        held: Any = self.images
        images: Any = function(held) if isinstance(held, np.ndarray) else Lazy(held, function)
        return replace(self, images=images)

    def loaded(self) -> Dataset:
        """The data set with all its images in memory, as an array."""
        return self if isinstance(self.images, Columns) else replace(self, images=self.images[:])


def _same(images: NDArray[Any]) -> NDArray[Any]:
    return images


@final
class Lazy:
    """A stack of images, or some of them, with a function applied to what is read; the function keeps shapes."""

    dtype = np.dtype(np.float32)
    ndim = 4

    def __init__(self, images: Any, function: Mapped, chosen: NDArray[np.integer] | None = None) -> None:
        self._images = images
        self._function = function
        self._chosen = np.arange(len(images)) if chosen is None else chosen

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self._chosen), *self._images.shape[1:])

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, index: Any) -> NDArray[np.float32]:
        chosen = self._chosen[index]
        return self._function(self._images[np.atleast_1d(chosen)]).reshape(*np.shape(chosen), *self.shape[1:])

    def take(self, chosen: NDArray[np.integer] | slice) -> Lazy:
        return Lazy(self._images, self._function, self._chosen[chosen])


def _form(array: NDArray[np.generic]) -> str:
    return f"{array.dtype} {array.shape}"
