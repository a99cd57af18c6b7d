"""Data sets of measured values in text files: file types, SPECTF hearts, human activity recognition.

Sources: SPECTF Heart, L. Kurgan, K. Cios and L. Goodenday, Artif. Intell. Med. 23:149, 2001; Human Activity Recognition
Using Smartphones, D. Anguita, A. Ghio, L. Oneto, X. Parra and J. Reyes-Ortiz, ESANN 2013; both at the UCI Machine
Learning Repository, and read as its archives hold them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from crossohm.datasets.raw import Raw, check_labels, existing_folder
from crossohm.datasets.turns import in_turn
from crossohm.errors import DataError


@final
@dataclass(frozen=True)
class MeasuredForm:
    """How one of the data sets lies in its files: a line per sample, numbers with a separator between them.

    Attributes:
        name: As `load_dataset` knows it.
        inputs: Values of a sample.
        classes: Names, in label order.
        files: Of each split: values and labels in one file, or in two.
        label: Column of the label in a file of both, the first (0) or the last (-1).
        first_label: Label of the first class.
        separator: Between numbers; None for spaces.
        full_scale: What the values are divided by.
        source: Where the files are had.
    """

    name: str
    inputs: int
    classes: tuple[str, ...]
    files: Mapping[str, tuple[str, ...]]
    source: str
    label: int = -1
    first_label: int = 0
    separator: str | None = ","
    full_scale: float = 1


CYBER = MeasuredForm(
    "cyber", 256, tuple(map(str, range(9))), {"train": ("cyber_train.csv",), "test": ("cyber_test.csv",)},
    "The training samples of the published study of file types are not public; bring yours: lines of 256 numbers and "
    "the class, 0..8",
)  # fmt: skip
SPECTF = MeasuredForm(
    "spectf", 44, ("normal", "abnormal"), {"train": ("SPECTF.train",), "test": ("SPECTF.test",)},
    "Fetch the archive of 'SPECTF Heart' from https://archive.ics.uci.edu/ml/datasets/SPECTF+Heart",
    label=0, full_scale=100,
)  # fmt: skip
UCI_HAR = MeasuredForm(
    "uci_har", 561, ("walking", "walking upstairs", "walking downstairs", "sitting", "standing", "lying"),
    {split: (f"{split}/X_{split}.txt", f"{split}/y_{split}.txt") for split in ("train", "test")},
    "Fetch the archive from https://archive.ics.uci.edu/ml/datasets/Human+Activity+Recognition+Using+Smartphones and "
    "pass its folder 'UCI HAR Dataset'",
    first_label=1, separator=None,
)  # fmt: skip


def read_measured(form: MeasuredForm, data_dir: Path | None, split: str) -> Raw:
    """One split, samples ``(n, inputs)``, classes in turn.

    Raises:
        DataError: a file is missing (it says where it is had), or holds something else.
    """
    names = [name for of in form.files.values() for name in of]
    folder = existing_folder(form.name, data_dir, f"{', '.join(names)}. {form.source}")
    paths = [folder / name for name in form.files[split]]
    for path in paths:
        if not path.is_file():
            raise DataError(f"{path}: no such file. The files of {form.name} are {', '.join(names)}. {form.source}")
    values, labels = _parts(form, paths)
    numbers = labels.astype(np.int64)
    if (numbers != labels).any():
        raise DataError(f"{paths[-1]}: label {labels[numbers != labels][0]:g} is not an integer")
    numbers -= form.first_label
    check_labels(paths[-1], numbers, f"{form.name}, counted from its first class,", len(form.classes))
    order = in_turn(numbers)
    return Raw(values[order], numbers[order], form.classes, form.full_scale)


def _parts(form: MeasuredForm, paths: list[Path]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values ``(n, inputs)`` and labels ``(n,)``."""
    if len(paths) == 1:
        found = _numbers(form, paths[0], form.inputs + 1)
        return np.delete(found, form.label, axis=1), found[:, form.label]
    values, labels = _numbers(form, paths[0], form.inputs), _numbers(form, paths[1], 1)[:, 0]
    if len(values) != len(labels):
        raise DataError(
            f"{paths[0]} holds {len(values)} samples but {paths[1]} holds {len(labels)} labels. "
            "Take both files from the same release"
        )
    return values, labels


def _numbers(form: MeasuredForm, path: Path, columns: int) -> NDArray[np.float64]:
    """The lines of a file, ``(n, columns)``."""
    try:
        with path.open(encoding="utf-8") as lines:
            first = next((line for line in lines if line.strip()), "")
            if not first:
                raise DataError(f"{path}: holds no samples")
            lines.seek(0)
            found = np.loadtxt(lines, delimiter=form.separator, ndmin=2, comments=None)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as lines of {columns} numbers ({error})") from error
    if found.shape[1] != columns:
        raise DataError(f"{path}: lines of {found.shape[1]} numbers; {form.name} has {columns}")
    if not np.isfinite(found).all():
        sample = int(np.argmin(np.isfinite(found).all(axis=1))) + 1
        raise DataError(f"{path}: sample {sample} holds a value that is not finite")
    return found
