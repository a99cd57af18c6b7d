"""The one form in which every data set reaches the rest of crossohm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from crossohm.errors import DataError


@final
@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Labelled images.

    Args:
        name: What the data are, e.g. ``"mnist/test"``.
        images: ``(n, channels, height, width)``, float32, 0 (background) to 1.
        labels: ``(n,)``, int64, index into ``classes``.
        classes: Names of the classes, in label order.

    Raises:
        DataError: the arrays do not fit together or a label has no class.
    """

    name: str
    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        if images.ndim != 4 or images.dtype != np.float32:
            raise DataError(f"{self.name}: images must be float32 (n, channels, height, width); got {_form(images)}")
        if labels.dtype != np.int64 or labels.shape != images.shape[:1]:
            raise DataError(f"{self.name}: {len(images)} images need {len(images)} int64 labels; got {_form(labels)}")
        if labels.size and not 0 <= labels.min() <= labels.max() < len(self.classes):
            raise DataError(
                f"{self.name}: labels must lie in 0..{len(self.classes) - 1}; found {labels.min()}..{labels.max()}"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        channels, height, width = self.images.shape[1:]
        return f"Dataset({self.name!r}, {len(self)} images {channels}x{height}x{width}, {len(self.classes)} classes)"


def _form(array: NDArray[np.generic]) -> str:
    return f"{array.dtype} {array.shape}"
