"""MNIST and the data sets published in its four-file form.

Sources: Y. LeCun, C. Cortes and C. Burges, The MNIST database of handwritten digits (1998); H. Xiao, K. Rasul and
R. Vollgraf, Fashion-MNIST, arXiv:1708.07747 (2017). Both use the same file names, so keep them in separate folders.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crossohm.datasets._dataset import Dataset
from crossohm.datasets.idx import read_idx
from crossohm.errors import DataError

DIGIT_NAMES = tuple("0123456789")
FASHION_NAMES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip

_PREFIX = {"train": "train", "test": "t10k"}
_KINDS = ("images-idx3-ubyte", "labels-idx1-ubyte")


def read_mnist(name: str, classes: tuple[str, ...], data_dir: Path | None, split: str, limit: int | None) -> Dataset:
    """One split of a data set stored as MNIST is, images ``(n, 1, 28, 28)``.

    Raises:
        DataError: a file is missing, damaged, or holds something else than 28x28 images and their labels.
    """
    image_file = _find(name, data_dir, f"{_PREFIX[split]}-{_KINDS[0]}")
    label_file = _find(name, data_dir, f"{_PREFIX[split]}-{_KINDS[1]}")
    images = _read_bytes(image_file, (28, 28), "28x28 images")
    labels = _read_bytes(label_file, (), "labels")
    if len(images) != len(labels):
        raise DataError(
            f"{image_file} holds {len(images)} images but {label_file} holds {len(labels)} labels. "
            "Take both files from the same release"
        )
    if labels.max() >= len(classes):
        raise DataError(f"{label_file}: holds label {labels.max()}; {name} has labels 0..{len(classes) - 1}")
    return Dataset(
        name=f"{name}/{split}",
        images=images[:limit, np.newaxis].astype(np.float32) / np.float32(255),
        labels=labels[:limit].astype(np.int64),
        classes=classes,
    )


def _find(name: str, data_dir: Path | None, stem: str) -> Path:
    """The file called ``stem`` or ``stem.gz`` in the folder."""
    files = ", ".join(f"{prefix}-{kind}[.gz]" for prefix in _PREFIX.values() for kind in _KINDS)
    if data_dir is None:
        raise DataError(f"{name}: no data folder given. Pass data_dir, the folder that holds its files: {files}")
    if not data_dir.is_dir():
        raise DataError(f"{data_dir}: no such folder. {name} is read from a folder that holds {files}")
    for path in (data_dir / stem, data_dir / f"{stem}.gz"):
        if path.is_file():
            return path
    raise DataError(f"{data_dir}: holds neither {stem} nor {stem}.gz. The files of {name} are {files}")


def _read_bytes(path: Path, item: tuple[int, ...], what: str) -> NDArray[np.uint8]:
    """A non-empty array of unsigned bytes whose entries have the shape ``item``."""
    array = read_idx(path)
    if array.dtype != np.uint8 or array.ndim != 1 + len(item) or array.shape[1:] != item:
        raise DataError(f"{path}: holds {array.dtype} {array.shape}; expected {what}, uint8 {('n', *item)}")
    if not len(array):
        raise DataError(f"{path}: holds no {what}")
    return array
