"""CIFAR-10 and CIFAR-100 from any of their published forms.

Source: A. Krizhevsky, Learning multiple layers of features from tiny images, University of Toronto (2009);
https://www.cs.toronto.edu/~kriz/cifar.html has the files. Binary version: records of label byte(s) and 3072 bytes, red
plane first. Python version: pickled dictionaries with the same bytes, read by `read_batch`, which executes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from crossohm.datasets.npz import find_npz, full_scale, read_npz
from crossohm.datasets.pickled import read_batch
from crossohm.datasets.raw import Raw, check_labels, existing_folder, read_bytes
from crossohm.errors import DataError

_PIXELS = 3 * 32 * 32
_SHAPE = (3, 32, 32)

CLASSES_10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CLASSES_100 = (
    "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle", "bowl", "boy",
    "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle", "chair", "chimpanzee", "clock",
    "cloud", "cockroach", "couch", "crab", "crocodile", "cup", "dinosaur", "dolphin", "elephant", "flatfish", "forest",
    "fox", "girl", "hamster", "house", "kangaroo", "keyboard", "lamp", "lawn_mower", "leopard", "lion", "lizard",
    "lobster", "man", "maple_tree", "motorcycle", "mountain", "mouse", "mushroom", "oak_tree", "orange", "orchid",
    "otter", "palm_tree", "pear", "pickup_truck", "pine_tree", "plain", "plate", "poppy", "porcupine", "possum",
    "rabbit", "raccoon", "ray", "road", "rocket", "rose", "sea", "seal", "shark", "shrew", "skunk", "skyscraper",
    "snail", "snake", "spider", "squirrel", "streetcar", "sunflower", "sweet_pepper", "table", "tank", "telephone",
    "television", "tiger", "tractor", "train", "trout", "tulip", "turtle", "wardrobe", "whale", "willow_tree", "wolf",
    "woman", "worm",
)  # fmt: skip


@final
@dataclass(frozen=True)
class CifarForm:
    """How one of the two sets is laid out.

    Attributes:
        name: As `load_dataset` knows it.
        classes: Names, in label order.
        folders: Where the published archives put binary and Python files.
        batches: Stems of the files of each split.
        label_bytes: Label bytes of a binary record; the last is the class.
        key: Of the class labels in a Python file.
    """

    name: str
    classes: tuple[str, ...]
    folders: tuple[str, str]
    batches: dict[str, tuple[str, ...]]
    label_bytes: int
    key: str


CIFAR_10 = CifarForm(
    "cifar10", CLASSES_10, ("cifar-10-batches-bin", "cifar-10-batches-py"),
    {"train": tuple(f"data_batch_{number}" for number in range(1, 6)), "test": ("test_batch",)}, 1, "labels",
)  # fmt: skip
CIFAR_100 = CifarForm(
    "cifar100", CLASSES_100, ("cifar-100-binary", "cifar-100-python"),
    {"train": ("train",), "test": ("test",)}, 2, "fine_labels",
)  # fmt: skip

_Pair = tuple[NDArray[Any], NDArray[Any]]


def read_cifar(form: CifarForm, data_dir: Path | None, split: str) -> Raw:
    """One split of CIFAR, images ``(n, 3, 32, 32)``.

    Looked for in the folder and in the folders that the published archives unpack to, in this order: the binary
    version, the Python version, a NumPy archive ``<split>*.npz``.

    Raises:
        DataError: a file is missing, damaged, or holds something else.
    """
    stems = form.batches[split]
    files = f"{', '.join(f'{stem}.bin' for stem in stems)}, or the same without .bin (Python version), or {split}*.npz"
    place = existing_folder(form.name, data_dir, files)
    for folder in (place, place / form.folders[0], place / form.folders[1]):
        for suffix, read in ((".bin", _read_binary), ("", _read_python)):
            if any((folder / f"{stem}{suffix}").is_file() for stem in stems):
                return _join(form, [folder / f"{stem}{suffix}" for stem in stems], read)
    archive = find_npz(place, split)
    if archive is None:
        raise DataError(f"{place}: holds no {split} images of {form.name}. Its files are {files}")
    return _join(form, [archive], lambda _, path: read_npz(path, split))


def _join(form: CifarForm, paths: list[Path], read: Callable[[CifarForm, Path], _Pair]) -> Raw:
    parts = []
    for path in paths:
        images, labels = read(form, path)
        if images.shape[1:] != _SHAPE:
            raise DataError(f"{path}: images of shape {images.shape[1:]}; {form.name} has {_SHAPE}")
        check_labels(path, labels, form.name, len(form.classes))
        parts.append((images, labels))
    images, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Raw(images, labels, form.classes, full_scale(images))


def _read_binary(form: CifarForm, path: Path) -> _Pair:
    data = read_bytes(path)
    record = form.label_bytes + _PIXELS
    if not data or len(data) % record:
        raise DataError(
            f"{path}: {len(data)} bytes are not a whole number of records of {record} bytes ({form.name}, binary "
            "version); it is truncated or another file. Fetch it again"
        )
    records = np.frombuffer(data, np.uint8).reshape(-1, record)
    return records[:, form.label_bytes :].reshape(-1, *_SHAPE), records[:, form.label_bytes - 1]


def _read_python(form: CifarForm, path: Path) -> _Pair:
    batch = read_batch(path)
    data, labels = batch.get("data"), batch.get(form.key)
    if not isinstance(data, np.ndarray) or data.ndim != 2 or data.shape[1] != _PIXELS or not len(data):
        raise DataError(f"{path}: 'data' is no array (n, {_PIXELS}) of bytes, as {form.name} has (Python version)")
    if not isinstance(labels, list) or len(labels) != len(data) or not all(type(label) is int for label in labels):
        raise DataError(f"{path}: {form.key!r} is no list of {len(data)} integers, one per image")
    if not all(abs(label) < 2**31 for label in labels):
        raise DataError(f"{path}: {form.key!r} holds numbers that are no labels")
    return data.reshape(-1, *_SHAPE), np.asarray(labels, np.int64)
