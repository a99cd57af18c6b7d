"""What a reader of files hands over, and what readers share: finding files, and checking what they hold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from numpy.typing import NDArray

from crossohm.errors import DataError


@final
@dataclass(frozen=True, eq=False)
class Raw:
    """One split as it lies in its files.

    Attributes:
        images: ``(n, channels, height, width)``, the numbers of the file.
        labels: ``(n,)``, integers.
        classes: Names, in label order.
        full_scale: The number that means white.
    """

    images: NDArray[Any]
    labels: NDArray[Any]
    classes: tuple[str, ...]
    full_scale: float = 255


def existing_folder(name: str, data_dir: Path | None, files: str) -> Path:
    """The folder given, if there is one.

    Raises:
        DataError: none was given, or it does not exist; names the files of the data set.
    """
    if data_dir is None:
        raise DataError(f"{name}: no data folder given. Pass data_dir, the folder that holds its files: {files}")
    if not data_dir.exists():
        raise DataError(f"{data_dir}: no such folder. {name} is read from a folder that holds {files}")
    return data_dir


def first_file(folder: Path, names: Iterable[str]) -> Path | None:
    """The first of some files that exists in the folder."""
    return next((folder / name for name in names if (folder / name).is_file()), None)


def read_bytes(path: Path) -> bytes:
    """The content of a file.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error


def check_labels(path: Path, labels: NDArray[Any], name: str, classes: int) -> None:
    """Refuse labels that no class has.

    Raises:
        DataError: names file and label.
    """
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        wrong = labels.min() if labels.min() < 0 else labels.max()
        raise DataError(f"{path}: holds label {wrong}; {name} has labels 0..{classes - 1}")
