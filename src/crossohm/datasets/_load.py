"""Data sets by name."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from crossohm._names import announced, load_function, names_function, unknown
from crossohm.datasets._dataset import Dataset, Lazy
from crossohm.datasets.arrays import Arrays, is_file_of_arrays, read_arrays
from crossohm.datasets.cifar import CIFAR_10, CIFAR_100, read_cifar
from crossohm.datasets.columns import Columns
from crossohm.datasets.digits import read_digits
from crossohm.datasets.forms import as_dataset
from crossohm.datasets.image_folder import read_image_folder
from crossohm.datasets.iris import read_iris
from crossohm.datasets.measured import CYBER, SPECTF, UCI_HAR, read_measured
from crossohm.datasets.mnist import FASHION_MNIST, MNIST, read_mnist
from crossohm.datasets.npz import read_user_npz
from crossohm.datasets.preprocessing import Framing, Preprocessing, read_preprocessing
from crossohm.datasets.raw import Raw
from crossohm.errors import DataError, ParameterError

SPLITS = ("train", "test")
GROUP = "crossohm.datasets"

_READERS: dict[str, Callable[[Path | None, str], Raw]] = {
    "digits": lambda data_dir, split: read_digits(split),
    "mnist": partial(read_mnist, MNIST),
    "fashion_mnist": partial(read_mnist, FASHION_MNIST),
    "cifar10": partial(read_cifar, CIFAR_10),
    "cifar100": partial(read_cifar, CIFAR_100),
    "iris": lambda data_dir, split: read_iris(split),
    **{form.name: partial(read_measured, form) for form in (CYBER, SPECTF, UCI_HAR)},
    "npz": read_user_npz,
}
_FOLDERS = ("imagenet", "image_folder")


def dataset_names() -> tuple[str, ...]:
    """Names that `load_dataset` accepts, those of installed packages included."""
    return (*_READERS, *_FOLDERS, *_announced())


def _announced() -> dict[str, Callable[[], Any]]:
    return announced(GROUP, (*_READERS, *_FOLDERS))


def load_dataset(
    name: str,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    split: str = "test",
    limit: int | None = None,
    preprocessing: str | Mapping[str, Any] | Preprocessing | None = None,
    arrays: Arrays | None = None,
) -> Dataset:
    """Load one split of a data set.

    Args:
        name: ``"digits"`` (8x8, comes with scikit-learn), ``"mnist"``, ``"fashion_mnist"`` (28x28), ``"cifar10"``,
            ``"cifar100"`` (3x32x32), ``"iris"`` (4 numbers, comes with scikit-learn), ``"cyber"`` (256 numbers),
            ``"spectf"`` (44), ``"uci_har"`` (561), ``"npz"`` (an archive of yours), ``"imagenet"``, ``"image_folder"``
            (a folder per class), a name announced by an installed package in the entry-point group
            ``crossohm.datasets``, or ``"module:function"`` or ``"file.py:function"``: a function of yours that is
            called with the keywords ``data_dir`` (a path or None) and ``split`` and returns a `Dataset`, a tuple
            ``(inputs, targets)``, or a loader of such batches. Or a file of arrays: ``.npz``, ``.npy``, ``.csv``.
        data_dir: Folder with the files, or an ``.npz`` file; not used by ``"digits"`` and ``"iris"``.
        split: ``"train"`` or ``"test"``.
        limit: At most this many images, the first ones of the split; None for all.
        preprocessing: What the network was trained to see, a name of `PREPROCESSINGS` or a description; None: images
            as they are, 0..1.
        arrays: Of a file of arrays: which of them are inputs, which are targets, and which rows are for tests.

    Raises:
        UnknownNameError: no such data set or preprocessing.
        ParameterError: no such split, a count out of range, or a preprocessing that does not suit the data set.
        DataError: a file is missing or damaged, or a function of yours fails.
        MissingDependencyError: ``"digits"`` or ``"iris"`` without scikit-learn, image files without Pillow.
    """
    _check(split, limit)
    chosen = read_preprocessing("unit" if preprocessing is None else preprocessing)
    folder = None if data_dir is None else Path(data_dir)
    if is_file_of_arrays(name):
        data = read_arrays(Path(name), split, arrays or Arrays()).take(slice(limit))
    else:
        data = _read(name, folder, split, chosen.framing).take(slice(limit))
    return _prepared(data if name in _FOLDERS else data.loaded(), name, folder, chosen)


def _read(name: str, data_dir: Path | None, split: str, framing: Framing | None) -> Dataset:
    """A whole split, 0..1, image files unread."""
    plugins = _announced()  # also for our own names: a package that announces one of them is told of
    if name in _FOLDERS:
        return read_image_folder(name, data_dir, split, framing or Framing())
    if framing is not None:
        raise ParameterError(
            "preprocessing.framing", framing, f"{name} has images of one size, which are not resized",
            remedy="Leave the framing out; 'imagenet_statistics' normalises as 'torchvision' does",
        )  # fmt: skip
    if name in _READERS:
        raw = _READERS[name](data_dir, split)
        images: Any = Lazy(raw.images, lambda images: images.astype(np.float32) / np.float32(raw.full_scale))
        return Dataset(f"{name}/{split}", images, raw.labels.astype(np.int64), raw.classes)
    return _call(name, _function(name, plugins), data_dir, split)


def _function(name: str, plugins: Mapping[str, Callable[[], Any]]) -> Callable[..., Any]:
    if name in plugins:
        try:
            return plugins[name]()
        except Exception as error:  # a package may fail in any way when imported
            raise DataError(f"data set {name!r}: its package cannot be loaded ({error})") from error
    if names_function(str(name)):
        return load_function(name)
    raise unknown("dataset", name, dataset_names(), "data set")


def _call(name: str, function: Callable[..., Any], data_dir: Path | None, split: str) -> Dataset:
    try:
        found = function(data_dir=data_dir, split=split)
    except DataError:
        raise
    except (Exception, SystemExit) as error:  # the function is anyone's and may raise anything
        raise DataError(f"data set {name!r}: {type(error).__name__}: {error}") from error
    return as_dataset(name, found)


def _prepared(data: Dataset, name: str, data_dir: Path | None, preprocessing: Preprocessing) -> Dataset:
    if isinstance(data.images, Columns):
        if preprocessing != Preprocessing():
            raise ParameterError(
                "preprocessing", preprocessing, f"{name} has inputs of several arrays, which are no images",
                remedy="Say unit, and give them as the network takes them",
            )  # fmt: skip
        return data
    if preprocessing.background:
        data = Dataset(data.name, data.images, data.labels + 1, ("background", *data.classes))
    normalisation = preprocessing.normalisation
    if normalisation.pixel_mean:
        mean = _pixel_mean(name, data_dir)
        data = data.mapped(lambda images: images - mean)
    return data.mapped(normalisation.apply)


def _pixel_mean(name: str, data_dir: Path | None) -> np.ndarray:
    """Mean of the training images, ``(channels, height, width)``."""
    if name in _FOLDERS:
        raise ParameterError(
            "preprocessing.normalisation.pixel_mean", True, f"{name} is read image by image",
            remedy="Give a mean per channel",
        )  # fmt: skip
    if name in _READERS:
        raw = _READERS[name](data_dir, "train")  # not scaled: a quarter of the memory
        return np.asarray(raw.images.mean(axis=0, dtype=np.float64) / raw.full_scale, np.float32)
    return np.asarray(_read(name, data_dir, "train", None).loaded().images.mean(axis=0, dtype=np.float64), np.float32)


def _check(split: str, limit: int | None) -> None:
    if split not in SPLITS:
        raise ParameterError("split", split, "no such split", allowed=", ".join(SPLITS))
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise ParameterError("limit", limit, "not a number of images", allowed="a positive integer, or None for all")
