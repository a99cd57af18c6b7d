"""MNIST and the data sets published in its four-file form.

Sources: Y. LeCun, C. Cortes and C. Burges, The MNIST database of handwritten digits (1998); H. Xiao, K. Rasul and
R. Vollgraf, Fashion-MNIST, arXiv:1708.07747 (2017). Both use the same file names, so keep them in separate folders.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from crossohm.datasets.idx import read_idx
from crossohm.datasets.npz import find_npz, full_scale, read_npz
from crossohm.datasets.raw import Raw, check_labels, existing_folder, first_file
from crossohm.errors import DataError

DIGIT_NAMES = tuple("0123456789")
FASHION_NAMES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip


@final
@dataclass(frozen=True)
class MnistForm:
    """One of the data sets published in the form of MNIST.

    Attributes:
        name: As `load_dataset` knows it.
        classes: Names, in label order.
        folder: Where torchvision puts it.
    """

    name: str
    classes: tuple[str, ...]
    folder: str


MNIST = MnistForm("mnist", DIGIT_NAMES, "MNIST")
FASHION_MNIST = MnistForm("fashion_mnist", FASHION_NAMES, "FashionMNIST")

_PREFIX = {"train": "train", "test": "t10k"}
_KINDS = ("images-idx3-ubyte", "labels-idx1-ubyte")


def read_mnist(form: MnistForm, data_dir: Path | None, split: str) -> Raw:
    """One split of a data set stored as MNIST is, images ``(n, 1, 28, 28)``.

    Looked for in the folder and where torchvision puts the files: the four IDX files, plain or .gz, or a NumPy archive.

    Raises:
        DataError: a file is missing, damaged, or holds something else than 28x28 images and their labels.
    """
    files = ", ".join(f"{prefix}-{kind}[.gz]" for prefix in _PREFIX.values() for kind in _KINDS)
    place = existing_folder(form.name, data_dir, files)
    stems = [f"{_PREFIX[split]}-{kind}" for kind in _KINDS]
    for folder in (place, place / form.folder / "raw"):
        found = [first_file(folder, (stem, f"{stem}.gz")) for stem in stems]
        if any(found):
            return _read_idx_pair(form, *(_present(*pair, files) for pair in zip(found, stems, strict=True)))
    archive = find_npz(place, split)
    if archive is None:
        raise DataError(f"{place}: holds neither {stems[0]} nor {stems[0]}.gz. The files of {form.name} are {files}")
    return _read_archive(form, archive, split)


def _present(path: Path | None, stem: str, files: str) -> Path:
    if path is None:
        raise DataError(f"the data folder holds neither {stem} nor {stem}.gz. The files of the data set are {files}")
    return path


def _read_idx_pair(form: MnistForm, image_file: Path, label_file: Path) -> Raw:
    images = _read_bytes(image_file, (28, 28), "28x28 images")
    labels = _read_bytes(label_file, (), "labels")
    if len(images) != len(labels):
        raise DataError(
            f"{image_file} holds {len(images)} images but {label_file} holds {len(labels)} labels. "
            "Take both files from the same release"
        )
    check_labels(label_file, labels, form.name, len(form.classes))
    return Raw(images[:, np.newaxis], labels, form.classes)


def _read_archive(form: MnistForm, path: Path, split: str) -> Raw:
    images, labels = read_npz(path, split)
    if images.shape[1:] != (1, 28, 28):
        raise DataError(f"{path}: images of shape {images.shape[1:]}; {form.name} has (1, 28, 28)")
    check_labels(path, labels, form.name, len(form.classes))
    return Raw(images, labels, form.classes, full_scale(images))


def _read_bytes(path: Path, item: tuple[int, ...], what: str) -> NDArray[np.uint8]:
    """A non-empty array of unsigned bytes whose entries have the shape ``item``."""
    array = read_idx(path)
    if array.dtype != np.uint8 or array.ndim != 1 + len(item) or array.shape[1:] != item:
        raise DataError(f"{path}: holds {array.dtype} {array.shape}; expected {what}, uint8 {('n', *item)}")
    if not len(array):
        raise DataError(f"{path}: holds no {what}")
    return array
