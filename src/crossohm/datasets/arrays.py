"""Files of arrays as data sets: NumPy's .npz and .npy, and tables .csv. Nothing is unpickled."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from crossohm._npz import UNREADABLE
from crossohm._npz import read_arrays as archive_arrays
from crossohm.datasets._dataset import Dataset
from crossohm.datasets.forms import TARGETS, dataset_of
from crossohm.errors import DataError, ParameterError

SUFFIXES = (".npz", ".npy", ".csv")


@final
@dataclass(frozen=True)
class Arrays:
    """Which arrays of a file, or columns of a table, are what.

    Attributes:
        inputs: Names of the inputs; empty: ``x``, or all that are no targets.
        targets: Names of the targets; empty: ``y``, ``labels`` or ``targets``, or the last column of a table. Of a
            file .npy the other file.
        test_share: Share of the samples, the last ones, that are for tests, of files that do not say it in the names of
            their arrays (``x_train``, ``x_test``).
    """

    inputs: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    test_share: float = 0.2


def is_file_of_arrays(name: str) -> bool:
    """True for names of files that `read_arrays` reads."""
    return Path(name).suffix in SUFFIXES and ":" not in Path(name).name


def read_arrays(path: Path, split: str, chosen: Arrays) -> Dataset:
    """One split of a file.

    Raises:
        DataError: the file cannot be read, or does not hold what was chosen.
        ParameterError: a choice is out of range.
    """
    if not 0 < chosen.test_share < 1:
        raise ParameterError("test_share", chosen.test_share, "out of range", allowed="a share between 0 and 1")
    readers: dict[str, Callable[[Path, str, Arrays], Dataset]] = {".npz": _npz, ".npy": _npy, ".csv": _csv}
    return readers[path.suffix](path, split, chosen)


def _of_split(data: Dataset, split: str, share: float) -> Dataset:
    """The rows of a split: the last ones are for tests."""
    first = len(data) - math.ceil(share * len(data))
    return data.take(slice(first, None) if split == "test" else slice(first))


# --- NumPy ------------------------------------------------------------------------------------------------------------


def _npz(path: Path, split: str, chosen: Arrays) -> Dataset:
    held = archive_arrays(path)
    suffixed = {name.removesuffix(f"_{split}"): array for name, array in held.items() if name.endswith(f"_{split}")}
    arrays = suffixed or held
    targets = _chosen(path, arrays, chosen.targets, ("y", *TARGETS))
    inputs = _chosen(path, arrays, chosen.inputs, ("x", *(name for name in arrays if name not in targets)))
    data = dataset_of(f"{path.stem}/{split}", _one_or_all(inputs), _one_or_all(targets))
    return data if suffixed else _of_split(data, split, chosen.test_share)


def _chosen(
    path: Path, arrays: Mapping[str, NDArray[Any]], names: Sequence[str], usual: Sequence[str]
) -> dict[str, NDArray[Any]]:
    """The arrays of some names; the first usual one if there are none."""
    wanted = names or [name for name in usual if name in arrays][:1]
    missing = [name for name in wanted if name not in arrays]
    if missing or not wanted:
        raise DataError(
            f"{path}: holds {', '.join(arrays) or 'nothing'}; expected {', '.join(missing) or ' or '.join(usual)}. Say "
            "in dataset.inputs and dataset.targets what is what"
        )
    return {name: arrays[name] for name in wanted}


def _one_or_all(arrays: dict[str, NDArray[Any]]) -> Any:
    return next(iter(arrays.values())) if len(arrays) == 1 else arrays


def _npy(path: Path, split: str, chosen: Arrays) -> Dataset:
    if len(chosen.targets) != 1:
        raise ParameterError(
            "targets", chosen.targets, f"{path.name} holds one array, the inputs", allowed="the name of one file .npy"
        )
    inputs, targets = map(_array, (path, path.parent / chosen.targets[0]))
    return _of_split(dataset_of(f"{path.stem}/{split}", inputs, targets), split, chosen.test_share)


def _array(path: Path) -> NDArray[Any]:
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except UNREADABLE as error:
        raise DataError(f"{path}: not an intact array of NumPy ({error})") from error


# --- tables -----------------------------------------------------------------------------------------------------------


def _csv(path: Path, split: str, chosen: Arrays) -> Dataset:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            names, *rows = [row for row in csv.reader(file) if row] or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
    names = [name.strip() for name in names]
    wrong = next((number for number, row in enumerate(rows, 2) if len(row) != len(names)), None)
    if wrong is not None or not rows:
        problem = "has no rows" if not rows else f"line {wrong} has another number of entries than the first"
        raise DataError(f"{path}: {problem}; expected names of columns in the first line, and one sample in each other")
    columns = {name: [row[at].strip() for row in rows] for at, name in enumerate(names)}
    targets = _columns(path, columns, chosen.targets or names[-1:])
    inputs = _columns(path, columns, chosen.inputs or [name for name in names if name not in targets])
    data = _table(path, split, inputs, targets)
    return _of_split(data, split, chosen.test_share)


def _columns(path: Path, columns: Mapping[str, list[str]], names: Sequence[str]) -> dict[str, list[str]]:
    missing = [name for name in names if name not in columns]
    if missing or not names:
        raise DataError(f"{path}: has no column {', '.join(missing)}; there are {', '.join(columns)}")
    return {name: columns[name] for name in names}


def _table(path: Path, split: str, inputs: dict[str, list[str]], targets: dict[str, list[str]]) -> Dataset:
    name = f"{path.stem}/{split}"
    x = np.stack([_values(path, column, texts) for column, texts in inputs.items()], axis=1)
    texts = next(iter(targets.values()))
    if len(targets) == 1 and not all(map(_is_number, texts)):
        classes = tuple(sorted(set(texts)))
        return dataset_of(name, x, np.array([classes.index(text) for text in texts]), classes)
    if len(targets) == 1 and all(text.isascii() and text.isdigit() for text in texts):
        return dataset_of(name, x, np.array(list(map(int, texts))))
    y = np.stack([_values(path, column, texts) for column, texts in targets.items()], axis=1)
    return dataset_of(name, x, y, outputs=tuple(targets))


def _values(path: Path, column: str, texts: list[str]) -> NDArray[np.float32]:
    wrong = next((number for number, text in enumerate(texts, 2) if not _is_number(text)), None)
    if wrong is not None:
        raise DataError(f"{path}, line {wrong}: {column} is {texts[wrong - 2]!r}, which is no number")
    return np.array(list(map(float, texts)), np.float32)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
