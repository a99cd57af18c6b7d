"""The one form in which every data set reaches the rest of crossohm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from crossohm.errors import DataError

#: What is applied to a stack of images.
Mapped = Callable[[NDArray[Any]], NDArray[np.float32]]

#: What to do about data of other forms.
_ELSEWHERE = (
    "Studies show a network one array of inputs and count one class for each; for other networks use, in a script, "
    "crossohm.calibrate, which takes loaders of any form, and crossohm.torch.from_torch"
)


@final
@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Labelled images, or inputs of another kind with what a network should answer to them.

    Args:
        name: What the data are, e.g. ``"mnist/test"``.
        images: ``(n, channels, height, width)``, float32. As read, 0 (black) to 1; after a `Preprocessing`, whatever
            the network was trained on. Of image files it is a stack that is read when sliced, otherwise an array.
            Inputs that are no images have any shape ``(n, ...)``; tokens are int64.
        labels: ``(n,)``, int64, index into ``classes``; of a regression, float32 or float64 target values ``(n, ...)``.
        classes: Names of the classes, in label order; empty for a regression.

    Raises:
        DataError: the arrays do not fit together or a label has no class.
    """

    name: str
    images: NDArray[np.float32]
    labels: NDArray[Any]
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        for what, given in (("images", images), ("labels", labels)):
            if not (hasattr(given, "dtype") and hasattr(given, "ndim")):
                raise DataError(f"{self.name}: {what} must be one array, got a {type(given).__name__}. {_ELSEWHERE}")
        if not (images.dtype == np.int64 and images.ndim) and (images.ndim < 2 or images.dtype != np.float32):
            raise DataError(
                f"{self.name}: images must be float32 (n, channels, height, width), other inputs float32 or int64 "
                f"(n, ...); got {_form(images)}"
            )
        if labels.dtype.kind == "f" and not self.classes:
            if labels.shape[:1] != images.shape[:1]:
                raise DataError(f"{self.name}: {len(images)} inputs need {len(images)} targets; got {_form(labels)}")
            return
        if labels.dtype != np.int64 or labels.shape != images.shape[:1]:
            hint = f". Labels per pixel or token are not counted yet. {_ELSEWHERE}" if labels.ndim > 1 else ""
            raise DataError(
                f"{self.name}: {len(images)} images need {len(images)} int64 labels; got {_form(labels)}{hint}"
            )
        if labels.size and not 0 <= labels.min() <= labels.max() < len(self.classes):
            raise DataError(
                f"{self.name}: labels must lie in 0..{len(self.classes) - 1}; found {labels.min()}..{labels.max()}"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        shape, answers = "x".join(map(str, self.images.shape[1:])), f"{len(self.classes)} classes"
        return f"Dataset({self.name!r}, {len(self)} images {shape}, {answers if self.classes else 'target values'})"

    def take(self, chosen: NDArray[np.integer] | slice) -> Dataset:
        """Some of the images, in the order of ``chosen``; image files are not read yet."""
        held: Any = self.images
        images: Any = held[chosen] if isinstance(held, np.ndarray) else Lazy(held, _same).take(chosen)
        return replace(self, images=images, labels=self.labels[chosen])

    def mapped(self, function: Mapped) -> Dataset:
        """The data set with a function applied to stacks of images; to image files when they are read."""
        held: Any = self.images
        images: Any = function(held) if isinstance(held, np.ndarray) else Lazy(held, function)
        return replace(self, images=images)

    def loaded(self) -> Dataset:
        """The data set with all its images in memory, as an array."""
        return replace(self, images=self.images[:])


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
