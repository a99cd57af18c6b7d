"""NumPy archives of images: ``x`` and ``y``, or ``x_train``, ``y_train``, ``x_test``, ``y_test`` (Keras's names)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossohm._npz import UNREADABLE
from crossohm.datasets.raw import Raw, check_labels, existing_folder
from crossohm.errors import DataError


def read_npz(path: Path, split: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Images ``(n, channels, height, width)`` and labels ``(n,)`` of an archive.

    Images may lie in it as ``(n, height, width)``, ``(n, height, width, 1 or 3)`` or ``(n, 1 or 3, height, width)``;
    uint8, or floats in 0..1. Nothing is unpickled.

    Raises:
        DataError: the file is damaged, or holds something else.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise DataError(f"{path}: not a NumPy archive (.npz)")
            images, labels = (_array(path, archive, letter, split) for letter in "xy")
    except DataError:
        raise
    except UNREADABLE as error:
        raise DataError(f"{path}: not an intact NumPy archive ({error}). Fetch it again") from error
    return _channels_first(path, images), _labels(path, labels, len(images))


def read_user_npz(data_dir: Path | None, split: str) -> Raw:
    """The data set "npz": any archive of a user; its classes are the numbers found in it.

    Raises:
        DataError: no archive, more than one, or what it holds is not images and labels.
    """
    path = find_npz(existing_folder("npz", data_dir, "an archive .npz with x and y"), split)
    if path is None:
        raise DataError(f"{data_dir}: no .npz file for the split {split!r}; call it {split}.npz, or pass its path")
    images, labels = read_npz(path, split)
    check_labels(path, labels, "a data set", 2**31)
    classes = tuple(str(label) for label in range(int(labels.max(initial=-1)) + 1))
    return Raw(images, labels, classes, full_scale(images))


def full_scale(images: NDArray[Any]) -> float:
    """What white is: 255 for bytes, 1 for floats."""
    return 255 if images.dtype == np.uint8 else 1


def find_npz(place: Path, split: str) -> Path | None:
    """The archive itself, or the one in a folder whose name begins with the split; None if there is none.

    Raises:
        DataError: there are several.
    """
    if place.is_file():
        return place if place.suffix == ".npz" else None
    found = sorted(place.glob(f"{split}*.npz")) or sorted(place.glob("*.npz"))
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise DataError(f"{place}: several archives fit the split {split!r}: {names}. Pass the path of one as data_dir")
    return found[0] if found else None


def _array(path: Path, archive: Any, letter: str, split: str) -> NDArray[Any]:
    for name in (f"{letter}_{split}", letter):
        if name in archive:
            return np.asarray(archive[name])
    held = ", ".join(archive) or "nothing"
    raise DataError(f"{path}: holds {held}; expected {letter}_{split} or {letter}")


def _channels_first(path: Path, images: NDArray[Any]) -> NDArray[Any]:
    shape = images.shape
    if images.ndim == 3:
        images = images[:, np.newaxis]
    elif images.ndim == 4 and shape[3] in (1, 3) and shape[1] not in (1, 3):
        images = images.transpose(0, 3, 1, 2)
    elif images.ndim != 4 or shape[1] not in (1, 3):
        raise DataError(f"{path}: images of shape {shape}; expected (n, height, width[, 1 or 3])")
    if images.dtype != np.uint8 and images.dtype.kind != "f":
        raise DataError(f"{path}: images are {images.dtype}; expected uint8, or floats in 0..1")
    if not images.size:
        raise DataError(f"{path}: holds no images (shape {shape})")
    if images.dtype.kind == "f" and not ((images >= 0) & (images <= 1)).all():
        raise DataError(f"{path}: float images must lie in 0..1; found {np.min(images):.4g}..{np.max(images):.4g}")
    return images


def _labels(path: Path, labels: NDArray[Any], count: int) -> NDArray[np.int64]:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]  # as Keras delivers CIFAR
    if labels.dtype.kind not in "ui" or labels.shape != (count,):
        raise DataError(f"{path}: {count} images need {count} integer labels; got {labels.dtype} {labels.shape}")
    return labels.astype(np.int64)
