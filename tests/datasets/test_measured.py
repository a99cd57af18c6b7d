"""Measured values in text files as they are published: labels where the files have them, errors that say what to do."""

from pathlib import Path

import numpy as np
import pytest

from crossohm.datasets import load_dataset
from crossohm.errors import DataError


def lines(rows: np.ndarray, separator: str = ",") -> str:
    return "".join(separator.join(f"{value:g}" for value in row) + "\n" for row in rows)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four samples of each split and set, sorted by class; each has its number in every input."""
    numbers, labels = np.arange(4.0)[:, None], np.repeat([[0], [1]], 2, axis=0)
    for split in ("train", "test"):
        (tmp_path / f"SPECTF.{split}").write_text(lines(np.hstack([labels, np.repeat(numbers, 44, 1)])))
        (tmp_path / f"cyber_{split}.csv").write_text(lines(np.hstack([np.repeat(numbers, 256, 1), labels])))
        (tmp_path / split).mkdir()
        (tmp_path / split / f"X_{split}.txt").write_text(lines(np.repeat(numbers, 561, 1), "  "))
        (tmp_path / split / f"y_{split}.txt").write_text(lines(labels + 1))
    return tmp_path


@pytest.mark.parametrize(("name", "inputs", "scale"), [("spectf", 44, 100), ("cyber", 256, 1), ("uci_har", 561, 1)])
def test_values_and_labels_are_where_the_files_have_them(folder: Path, name: str, inputs: int, scale: int) -> None:
    """Label first, label last, labels from 1 in a file of their own; classes take turns."""
    for split in ("train", "test"):
        data = load_dataset(name, data_dir=folder, split=split)
        np.testing.assert_array_equal(data.labels, [0, 1, 0, 1])
        expected = np.repeat(np.array([[0.0], [2], [1], [3]]), inputs, axis=1)
        np.testing.assert_allclose(data.images * scale, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "file", "message"),
    [
        ("spectf", "SPECTF.train", "SPECTF.train, SPECTF.test.*archive.ics.uci.edu/ml/datasets/SPECTF"),
        ("cyber", "cyber_train.csv", "cyber_train.csv, cyber_test.csv.*not public"),
        ("uci_har", "train/y_train.txt", "train/X_train.txt.*archive.ics.uci.edu.*'UCI HAR Dataset'"),
    ],
)
def test_a_missing_file_is_named_with_its_source(folder: Path, name: str, file: str, message: str) -> None:
    (folder / file).unlink()
    with pytest.raises(DataError, match=f"{Path(file).name}: no such file.*{message}"):
        load_dataset(name, data_dir=folder, split="train")
    with pytest.raises(DataError, match=f"no data folder given.*{message}"):
        load_dataset(name)


@pytest.mark.parametrize(
    ("name", "file", "content", "message"),
    [
        ("spectf", "SPECTF.test", lines(np.ones((3, 44))), "lines of 44 numbers; spectf has 45"),
        ("spectf", "SPECTF.test", lines(np.full((3, 45), 7)), r"label 7; .* 0\.\.1"),
        ("spectf", "SPECTF.test", lines(np.full((3, 45), 0.5)), "label 0.5 is not an integer"),
        ("spectf", "SPECTF.test", "1,2\n1,2,3\n", "cannot be read as lines of 45 numbers"),
        ("cyber", "cyber_test.csv", lines(np.full((2, 257), np.nan)), "sample 1 .* not finite"),
        ("cyber", "cyber_test.csv", "\n", "holds no samples"),
        ("uci_har", "test/y_test.txt", "1\n2\n", "4 samples but .* 2 labels"),
    ],
)
def test_damaged_files_are_refused(folder: Path, name: str, file: str, content: str, message: str) -> None:
    (folder / file).write_text(content)
    with pytest.raises(DataError, match=message):
        load_dataset(name, data_dir=folder)
