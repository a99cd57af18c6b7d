"""Folders of image files, one folder per class: ImageNet, and anything kept the same way.

ImageNet: O. Russakovsky et al., ImageNet large scale visual recognition challenge, Int. J. Comput. Vis. 115, 211
(2015). Its test labels are not public, so the split "test" is its validation part, the folder ``val``.

Decoding and resizing are Pillow's, an optional dependency. Files are read when images are asked for, a batch at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, cast, final

import numpy as np
from numpy.typing import NDArray

from crossohm.datasets._dataset import Dataset
from crossohm.datasets.preprocessing import Framing
from crossohm.datasets.raw import existing_folder
from crossohm.errors import DataError, MissingDependencyError

_SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm"))
_FOLDERS = {"train": ("train",), "test": ("test", "val", "validation")}
_CLASSES = 1000


def read_image_folder(name: str, data_dir: Path | None, split: str, framing: Framing) -> Dataset:
    """One split of a folder of image files, read lazily, images ``(n, 3, crop, crop)``, RGB.

    Classes are the sub-folders in alphabetical order (for ImageNet's identifiers, the order of its labels). Images are
    ordered class by class in turn (the first of each, then the second of each, ...), so that the first ones are a fair
    sample. For ``"imagenet"`` there must be its 1000 classes.

    Raises:
        DataError: no such folder, no classes or images in it, or (when read) a file that is no image.
        MissingDependencyError: Pillow is not installed.
    """
    expected = " or ".join(f"{folder}/<class>/*.jpg" for folder in _FOLDERS[split])
    root = existing_folder(name, data_dir, expected)
    folder = next((root / part for part in _FOLDERS[split] if (root / part).is_dir()), root)
    classes = _subfolders(folder)
    files = [_images(folder / name) for name in classes]
    if not any(files):
        raise DataError(f"{folder}: holds no images in folders of classes; expected {expected}")
    if name == "imagenet" and len(classes) != _CLASSES:
        raise DataError(
            f"{folder}: holds {len(classes)} folders; ImageNet has {_CLASSES} classes, one folder each. "
            "For another set of image files use the data set 'image_folder'"
        )
    tagged = [[(path, label) for path in paths] for label, paths in enumerate(files)]
    ordered = [pair for pair in chain.from_iterable(zip_longest(*tagged)) if pair is not None]
    images = ImageFiles([path for path, _ in ordered], framing)
    labels = np.asarray([label for _, label in ordered], np.int64)
    return Dataset(f"{name}/{split}", cast(NDArray[np.float32], images), labels, tuple(classes))


@final
class ImageFiles:
    """Image files as a stack ``(n, 3, crop, crop)``, float32 in 0..1, of which slices are read.

    Args:
        paths: The files.
        framing: How they are cut to one size.

    Raises:
        MissingDependencyError: Pillow is not installed.
    """

    dtype = np.dtype(np.float32)
    ndim = 4

    def __init__(self, paths: Sequence[Path], framing: Framing) -> None:
        try:
            import PIL.Image  # noqa: F401
        except ImportError:
            raise MissingDependencyError("Pillow", "data", "A data set of image files") from None
        self._paths = tuple(paths)
        self._framing = framing

    @property
    def shape(self) -> tuple[int, ...]:
        """``(n, 3, crop, crop)``."""
        return (len(self._paths), 3, self._framing.crop, self._framing.crop)

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: Any) -> NDArray[np.float32]:
        chosen = np.arange(len(self))[index]
        images = np.empty((chosen.size, *self.shape[1:]), np.float32)
        for image, number in zip(images, chosen.flat, strict=True):
            image[:] = _read(self._paths[number], self._framing)
        return images.reshape(*chosen.shape, *self.shape[1:])


def _read(path: Path, framing: Framing) -> NDArray[np.float32]:
    """One image ``(3, crop, crop)``, 0..1."""
    from PIL import Image

    try:
        with Image.open(path) as file:
            pixels = _frame(file.convert("RGB"), framing, path)
    except (OSError, SyntaxError, ValueError, MemoryError, Image.DecompressionBombError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: not an intact image ({error})") from error
    return pixels.transpose(2, 0, 1) / np.float32(255)


def _frame(image: Any, framing: Framing, path: Path) -> NDArray[np.float32]:
    """The image resized and cut, ``(crop, crop, 3)``, 0..255."""
    from PIL import Image

    if framing.resize is not None:
        image = image.resize(_resized(image.size, framing.resize), Image.Resampling[framing.interpolation.upper()])
    width, height = image.size
    crop = framing.crop
    if min(width, height) < crop:
        raise DataError(f"{path}: {width}x{height} pixels, smaller than the crop of {crop}; set framing.resize")
    left, top = round((width - crop) / 2), round((height - crop) / 2)
    return np.asarray(image.crop((left, top, left + crop, top + crop)), np.float32)


def _resized(size: tuple[int, int], shorter: int) -> tuple[int, int]:
    """Width and height with the shorter side as given and the longer one rounded down, as torchvision does."""
    width, height = (side * shorter // min(size) for side in size)
    return width, height


def _subfolders(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES and path.is_file())
