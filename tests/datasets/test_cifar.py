"""CIFAR in all its published forms; a file that orders a call is refused; damage is always a DataError."""

from __future__ import annotations

import os
import pickle
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from batches import RECORDS, binary, noise, python2_pickle, write_batches
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crossohm.datasets import load_dataset
from crossohm.datasets.pickled import read_batch
from crossohm.errors import DataError

reuse_folder = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
FORMS = [(name, form, classes) for name, classes in (("cifar10", 10), ("cifar100", 100)) for form in ("bin", "py")]


@pytest.mark.parametrize(("name", "form", "classes"), [*FORMS, ("cifar10", "npz", 10)])
def test_every_form_gives_the_same_images(tmp_path: Path, name: str, form: str, classes: int) -> None:
    held = write_batches(tmp_path, form, classes)
    for split, (images, labels) in held.items():
        data = load_dataset(name, data_dir=tmp_path, split=split)
        assert data.images.dtype == np.float32 and len(data.classes) == classes
        np.testing.assert_array_equal(np.rint(data.images * 255), images)
        np.testing.assert_array_equal(data.labels, labels)


@pytest.mark.parametrize(("folder", "form"), [("cifar-10-batches-bin", "bin"), ("cifar-10-batches-py", "py")])
def test_the_folder_around_the_unpacked_archive_will_do(tmp_path: Path, folder: str, form: str) -> None:
    (tmp_path / folder).mkdir()
    write_batches(tmp_path / folder, form, 10)
    assert len(load_dataset("cifar10", data_dir=tmp_path, split="train")) == 5 * RECORDS


def test_class_names_are_in_label_order(tmp_path: Path) -> None:
    write_batches(tmp_path, "bin", 10)
    assert load_dataset("cifar10", data_dir=tmp_path).classes[3] == "cat"
    (tmp_path / "100").mkdir()
    write_batches(tmp_path / "100", "bin", 100)
    classes = load_dataset("cifar100", data_dir=tmp_path / "100").classes
    assert list(classes) == sorted(classes) and len(set(classes)) == 100


def test_the_sample_archive(shared: Path) -> None:
    data = load_dataset("cifar10", data_dir=shared / "data" / "cifar10")
    assert data.images.shape == (2000, 3, 32, 32)
    assert np.bincount(data.labels).tolist() == [178, 183, 206, 232, 213, 180, 202, 182, 213, 211]
    np.testing.assert_allclose(data.images.mean((0, 2, 3)), [0.491, 0.482, 0.447], atol=0.01)  # red, green, blue


# -- files that do not fit ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("test_batch.bin", b"", "0 bytes are not a whole number of records of 3073"),
        ("test_batch.bin", binary(*noise(10))[:-1], "truncated or another file"),
        ("test_batch.bin", binary(noise(10)[0], np.full(RECORDS, 10)), "holds label 10; cifar10 has labels 0..9"),
        ("test_batch", b"", "not an intact pickled batch"),
        ("test_batch", pickle.dumps([1, 2]), "holds a list, not a dictionary"),
        ("test_batch", pickle.dumps({"labels": [1]}), "'data' is no array"),
        ("test_batch", python2_pickle({"data": np.zeros((2, 3072), np.uint8), "labels": [1]}), "no list of 2 integers"),
        ("test_batch", python2_pickle({"data": np.zeros((2, 3071), np.uint8), "labels": [1, 1]}), "'data' is no array"),
        ("test_batch", python2_pickle({"data": np.zeros((1, 3072), np.uint8), "labels": [-1]}), "holds label -1"),
        ("test_batch", python2_pickle({"data": np.zeros((1, 3072), np.uint8), "labels": ["1"]}), "1 integers"),
        ("test.npz", b"", "not an intact NumPy archive"),
        ("test.npz", b"\x93NUMPY\x01\x00", "not an intact NumPy archive"),
    ],
)
def test_files_that_do_not_fit_are_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        load_dataset("cifar10", data_dir=tmp_path)
    assert str(tmp_path / name) in str(caught.value)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((2, 28, 28), np.uint8), "y": np.zeros(2, int)}, r"images of shape \(1, 28, 28\)"),
        ({"x": np.zeros((2, 32, 32, 3), np.int32), "y": np.zeros(2, int)}, "images are int32"),
        ({"x": np.zeros((2, 32, 32, 3)) - 1, "y": np.zeros(2, int)}, "must lie in 0..1"),
        ({"x": np.full((2, 32, 32, 3), np.nan), "y": np.zeros(2, int)}, "must lie in 0..1"),
        ({"x": np.zeros((0, 32, 32, 3), np.uint8), "y": np.zeros(0, int)}, "holds no images"),
        ({"x": np.zeros((2, 32, 32, 3), np.uint8), "y": np.zeros(3, int)}, "2 images need 2 integer labels"),
        ({"x": np.zeros((2, 32, 32, 3), np.uint8), "y": np.zeros(2)}, "integer labels; got float64"),
        ({"x": np.zeros(5, np.uint8), "y": np.zeros(5, int)}, r"images of shape \(5,\)"),
        ({"images": np.zeros(5)}, "holds images; expected x_test or x"),
        ({"x": np.array([{}], object), "y": np.zeros(1, int)}, "Object arrays cannot be loaded"),
    ],
)
def test_archives_that_do_not_fit(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    np.savez(tmp_path / "test.npz", **arrays)
    with pytest.raises(DataError, match=rf"test\.npz: .*{message}"):
        load_dataset("cifar10", data_dir=tmp_path)


def test_missing_files_list_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no train images of cifar10.*data_batch_1\.bin"):
        load_dataset("cifar10", data_dir=tmp_path, split="train")
    write_batches(tmp_path, "bin", 10)
    (tmp_path / "data_batch_3.bin").unlink()
    with pytest.raises(DataError, match=r"data_batch_3\.bin: cannot be read"):
        load_dataset("cifar10", data_dir=tmp_path, split="train")


def test_two_archives_are_ambiguous(tmp_path: Path) -> None:
    for name in ("test_a.npz", "test_b.npz"):
        np.savez(tmp_path / name, x=np.zeros((1, 32, 32, 3), np.uint8), y=[3])
    with pytest.raises(DataError, match=r"several archives.*test_a\.npz, test_b\.npz"):
        load_dataset("cifar10", data_dir=tmp_path)
    assert len(load_dataset("cifar10", data_dir=tmp_path / "test_a.npz")) == 1


# -- hostile and damaged files -----------------------------------------------------------------------------------------


class Order:
    """Pickles as an order to make a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_orders_something_is_refused(tmp_path: Path, protocol: int) -> None:
    made = tmp_path / "made"
    (tmp_path / "test_batch").write_bytes(pickle.dumps({"data": Order(made)}, protocol))
    with pytest.raises(DataError, match=r"test_batch: refused, because it asks for .*mkdir.*binary version"):
        load_dataset("cifar10", data_dir=tmp_path)
    assert not made.exists()


@pytest.mark.parametrize(
    "order", [b"cbuiltins\neval\n(U\x041+11tR.", b"cnumpy\nload\n(U\x01xtR.", b"cnumpy.core.multiarray\ndtype\n."]
)
def test_only_three_names_are_admitted(tmp_path: Path, order: bytes) -> None:
    (tmp_path / "b").write_bytes(b"\x80\x02" + order)
    with pytest.raises(DataError, match="refused"):
        read_batch(tmp_path / "b")


@pytest.mark.parametrize("size", [2**24, 2**32 - 1])  # what a machine gives and what it refuses
@pytest.mark.parametrize("order", [b"\x96%b", b"\x8e%b", b"r%b"], ids=["bytearray", "bytes", "memo"])
def test_a_file_cannot_ask_for_memory(tmp_path: Path, order: bytes, size: int) -> None:
    number = struct.pack("<I" if order[:1] == b"r" else "<Q", size)
    (tmp_path / "b").write_bytes(b"\x80\x05N" + order.replace(b"%b", number) + b".")
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=r"b: "):
            read_batch(tmp_path / "b")
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 2**20


def test_arrays_of_anything_but_bytes_are_refused(tmp_path: Path) -> None:
    whole = python2_pickle({"data": np.zeros((1, 4), np.uint8)})
    (tmp_path / "b").write_bytes(whole.replace(b"U\x02u1", b"U\x02O8"))
    with pytest.raises(DataError, match="not made of unsigned bytes"):
        read_batch(tmp_path / "b")
    (tmp_path / "b").write_bytes(whole.replace(struct.pack("<i", 4), struct.pack("<i", 5), 1))
    with pytest.raises(DataError, match=r"b: "):
        read_batch(tmp_path / "b")


def test_what_numpy_itself_pickles_is_read(tmp_path: Path) -> None:
    batch = {b"data": np.arange(12, dtype=np.uint8).reshape(3, 4), b"labels": [1, 2, 3]}
    (tmp_path / "b").write_bytes(pickle.dumps(batch, protocol=4))
    found = read_batch(tmp_path / "b")
    np.testing.assert_array_equal(found["data"], batch[b"data"])
    assert found["labels"] == [1, 2, 3]


SMALL = {
    "test_batch": python2_pickle({"data": noise(10)[0].reshape(RECORDS, -1)[:1], "labels": [3]}),
    "test_batch.bin": binary(noise(10)[0][:1], np.array([3])),
}


@pytest.mark.parametrize("name", SMALL)
@given(data=st.data())
@reuse_folder
def test_damage_is_a_data_error_or_changes_values_only(tmp_path: Path, name: str, data: st.DataObject) -> None:
    content = bytearray(SMALL[name])
    edges = st.one_of(st.integers(0, 200), st.integers(len(content) - 200, len(content) - 1))
    if data.draw(st.booleans()):
        content = content[: data.draw(st.one_of(edges, st.integers(0, len(content) - 1)))]
    for _ in range(data.draw(st.integers(1, 3)) if content else 0):
        content[data.draw(edges) % len(content)] = data.draw(st.integers(0, 255))
    (tmp_path / name).write_bytes(bytes(content))
    try:
        found = load_dataset("cifar10", data_dir=tmp_path)
    except DataError as error:
        assert str(tmp_path / name) in str(error)
    else:
        assert found.images.shape[1:] == (3, 32, 32)
    finally:
        (tmp_path / name).unlink()


@given(data=st.data())
@reuse_folder
def test_damaged_archives(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "test.npz"
    np.savez_compressed(path, x=np.zeros((2, 32, 32, 3), np.uint8), y=np.array([1, 2]))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
    try:
        found = load_dataset("cifar10", data_dir=path)
    except DataError as error:
        assert str(path) in str(error)
    else:
        assert len(found) == 2
