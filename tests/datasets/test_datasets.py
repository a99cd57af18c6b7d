"""Data sets: fixed splits, values in 0..1, labels that fit, errors that say what to do."""

import gzip
import struct
import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest

from crossohm.datasets import Dataset, dataset_names, load_dataset
from crossohm.errors import DataError, MissingDependencyError, ParameterError, UnknownNameError

FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five train images (plain files) and three test images (gzip) of noise."""
    rng = np.random.default_rng(3)
    for count, names in ((5, FILES[:2]), (3, FILES[2:])):
        images, labels = rng.integers(0, 256, (count, 28, 28)), np.arange(count)
        for name, array in zip(names, (images, labels), strict=True):
            if count == 3:
                (tmp_path / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
            else:
                (tmp_path / name).write_bytes(idx(array))
    return tmp_path


# -- iris --------------------------------------------------------------------------------------------------------------


def test_irises_are_split_within_each_class_and_take_turns() -> None:
    """No sample is lost, none is in both splits, and any first samples hold all classes."""
    shipped = pytest.importorskip("sklearn.datasets").load_iris()
    splits = [load_dataset("iris", split=split) for split in ("train", "test")]
    assert [np.bincount(of.labels).tolist() for of in splits] == [[40] * 3, [10] * 3]
    assert all(set(of.labels[start : start + 3]) == {0, 1, 2} for of in splits for start in range(0, len(of), 3))
    rows = np.concatenate([np.column_stack([of.images * 8, of.labels]) for of in splits])
    whole = np.column_stack([shipped.data, shipped.target]).astype(np.float32)
    np.testing.assert_allclose(rows[np.lexsort(rows.T)], whole[np.lexsort(whole.T)], rtol=1e-6)


# -- digits ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits() -> dict[str, Dataset]:
    pytest.importorskip("sklearn")
    return {split: load_dataset("digits", split=split) for split in ("train", "test")}


def test_digits_form(digits: dict[str, Dataset]) -> None:
    for split, data in digits.items():
        assert data.name == f"digits/{split}"
        assert data.images.shape == (len(data), 1, 8, 8) and data.images.dtype == np.float32
        assert data.images.min() == 0 and data.images.max() == 1
        assert data.classes == tuple("0123456789")
    assert (len(digits["train"]), len(digits["test"])) == (1201, 596)


def test_digits_splits_share_no_image_and_lose_none(digits: dict[str, Dataset]) -> None:
    from sklearn.datasets import load_digits

    train, test = ({image.tobytes() for image in digits[split].images} for split in ("train", "test"))
    assert train.isdisjoint(test)
    assert train | test == {image.tobytes() for image in (load_digits().images / 16).astype(np.float32)}


def test_digits_split_takes_every_third_image_of_each_class(digits: dict[str, Dataset]) -> None:
    from sklearn.datasets import load_digits

    raw = load_digits()
    for label in range(10):
        mine = digits["test"].images[digits["test"].labels == label]
        np.testing.assert_array_equal(16 * mine[:, 0], raw.images[raw.target == label][2::3])


def test_digits_split_is_always_the_same(digits: dict[str, Dataset]) -> None:
    np.random.seed(17)  # the split must not listen to the global generator
    again = load_dataset("digits")
    np.testing.assert_array_equal(again.images, digits["test"].images)
    np.testing.assert_array_equal(again.labels, digits["test"].labels)


def test_digits_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(MissingDependencyError, match=r"crossohm\[data\]"):
        load_dataset("digits")


# -- MNIST and its kind ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "first"), [("mnist", "0"), ("fashion_mnist", "T-shirt/top")])
def test_idx_sets_form(folder: Path, name: str, first: str) -> None:
    for split, count in (("train", 5), ("test", 3)):
        data = load_dataset(name, data_dir=str(folder), split=split)
        assert data.images.shape == (count, 1, 28, 28) and data.images.dtype == np.float32
        assert data.images.min() == 0 and data.images.max() == 1
        np.testing.assert_array_equal(data.labels, np.arange(count))
        assert data.labels.dtype == np.int64
        assert len(data.classes) == 10 and data.classes[0] == first


def test_limit_takes_the_first_images(folder: Path) -> None:
    whole = load_dataset("mnist", data_dir=folder, split="train")
    part = load_dataset("mnist", data_dir=folder, split="train", limit=2)
    np.testing.assert_array_equal(part.images, whole.images[:2])
    assert len(load_dataset("mnist", data_dir=folder, limit=100)) == 3


def test_real_mnist(shared: Path) -> None:
    data = load_dataset("mnist", data_dir=shared / "data" / "mnist")
    assert len(data) == 10_000
    np.testing.assert_array_equal(data.labels[:5], [7, 2, 1, 0, 4])
    assert data.images.mean() == pytest.approx(0.1325, abs=1e-4)  # as published for the test part
    assert len(load_dataset("mnist", data_dir=shared / "data" / "mnist", split="train", limit=7)) == 7


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (FILES[0], idx(np.zeros((4, 28, 28))), "holds 4 images but .*holds 5 labels"),
        (FILES[1], idx(np.zeros(6)), "holds 5 images but .*holds 6 labels"),
        (FILES[1], idx(np.arange(5) + 6), r"labels-idx1-ubyte: holds label 10; mnist has labels 0\.\.9"),
        (FILES[0], idx(np.zeros((5, 32, 32))), r"expected 28x28 images, uint8 \('n', 28, 28\)"),
        (FILES[0], idx(np.zeros(5)), "expected 28x28 images"),
        (FILES[1], idx(np.zeros((5, 1))), "expected labels"),
        (FILES[0], idx(np.zeros((0, 28, 28))), "holds no 28x28 images"),
        (FILES[1], b"\0\0\x0c\1" + struct.pack(">I5i", 5, *range(5)), "holds int32"),
        (FILES[0], b"", "images-idx3-ubyte: truncated"),
    ],
)
def test_files_that_do_not_fit(folder: Path, file: str, content: bytes, message: str) -> None:
    (folder / file).write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_dataset("mnist", data_dir=folder, split="train")


@pytest.mark.parametrize("missing", FILES)
def test_missing_file_lists_what_is_expected(folder: Path, missing: str) -> None:
    for path in folder.glob(f"{missing}*"):
        path.unlink()
    with pytest.raises(DataError, match=f"neither {missing} nor {missing}.gz") as caught:
        load_dataset("mnist", data_dir=folder, split="train" if missing.startswith("train") else "test")
    assert all(name in str(caught.value) for name in FILES)


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: no such folder"):
        load_dataset("mnist", data_dir=tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"Pass data_dir.*t10k-labels-idx1-ubyte"):
        load_dataset("fashion_mnist")


# -- what is common ----------------------------------------------------------------------------------------------------


def test_unknown_name_lists_the_valid_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"digits, mnist, fashion_mnist.*Did you mean 'mnist'") as caught:
        load_dataset("minst")
    assert caught.value.path == "dataset"
    assert dataset_names()[:3] == ("digits", "mnist", "fashion_mnist")


@pytest.mark.parametrize("limit", [0, -1, 2.0, True, "5"])
def test_limit_must_be_a_positive_integer(limit: object) -> None:
    with pytest.raises(ParameterError, match="limit = "):
        load_dataset("digits", limit=limit)


def test_unknown_split() -> None:
    with pytest.raises(ParameterError, match=r"split = 'validation'.*train, test"):
        load_dataset("digits", split="validation")


def test_dataset_is_frozen_and_says_what_it_is(folder: Path) -> None:
    data = load_dataset("mnist", data_dir=folder)
    assert repr(data) == "Dataset('mnist/test', 3 images 1x28x28, 10 classes)"
    with pytest.raises(FrozenInstanceError):
        data.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros(2, np.float32), np.zeros(2, np.int64), "images must be float32"),
        (np.zeros((2, 1, 8, 8)), np.zeros(2, np.int64), "images must be float32"),
        (np.zeros((2, 1, 8, 8), np.float32), np.zeros(3, np.int64), "2 images need 2 int64 labels"),
        (np.zeros((2, 1, 8, 8), np.float32), np.zeros(2), "2 images need 2 int64 labels"),
        (np.zeros((2, 1, 8, 8), np.float32), np.array([0, 2]), r"labels must lie in 0\.\.1; found 0\.\.2"),
        (np.zeros((2, 1, 8, 8), np.float32), np.array([0, -1]), r"found -1\.\.0"),
    ],
)
def test_dataset_checks_its_arrays(images: np.ndarray, labels: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Dataset("mine", images, labels, ("a", "b"))


def test_no_framework_is_imported() -> None:
    code = (
        "import sys; from crossohm.datasets import load_dataset; "
        "assert not {'torch', 'jax', 'tensorflow', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_target_values_instead_of_classes() -> None:
    data = Dataset("signal", np.zeros((3, 7), np.float32), np.zeros((3, 2)), ())
    assert repr(data) == "Dataset('signal', 3 images 7, target values)"
    with pytest.raises(DataError, match="3 inputs need 3 targets"):
        Dataset("signal", np.zeros((3, 7), np.float32), np.zeros(2), ())
    with pytest.raises(DataError, match="int64 labels"):
        Dataset("classes", np.zeros((3, 7), np.float32), np.zeros(3), ("a", "b"))
