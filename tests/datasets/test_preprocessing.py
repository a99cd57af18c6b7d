"""What a network was trained to see: values, names, descriptions, and refusals; a user's own data sets."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
from batches import write_batches
from hypothesis import given
from hypothesis import strategies as st

from crossohm import _names
from crossohm.datasets import (
    PREPROCESSINGS,
    Dataset,
    Framing,
    Normalisation,
    Preprocessing,
    dataset_names,
    load_dataset,
    read_preprocessing,
)
from crossohm.errors import CrossOhmError, DataError, ParameterError, ShapeError, UnknownNameError


@pytest.fixture
def cifar(tmp_path: Path) -> Path:
    write_batches(tmp_path, "bin", 10)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "lowest", "highest"),
    [
        ("unit", [0, 0, 0], [1, 1, 1]),
        ("symmetric", [-1, -1, -1], [1, 1, 1]),
        ("imagenet_statistics", [-2.1179, -2.0357, -1.8044], [2.2489, 2.4286, 2.6400]),
    ],
)
def test_black_and_white(cifar: Path, name: str, lowest: list[float], highest: list[float]) -> None:
    images = load_dataset("cifar10", data_dir=cifar, preprocessing=name).images
    np.testing.assert_allclose(images.min((0, 2, 3)), lowest, atol=1e-3)
    np.testing.assert_allclose(images.max((0, 2, 3)), highest, atol=1e-3)


def test_bytes_minus_mean_in_reverse_order() -> None:
    white = np.ones((1, 3, 2, 2), np.float32)
    for name, expected in (
        ("keras_caffe", [255 - 103.939, 255 - 116.779, 255 - 123.68]),
        ("mlperf_resnet50", [255 - 123.68, 255 - 116.78, 255 - 103.94]),
    ):
        np.testing.assert_allclose(PREPROCESSINGS[name].normalisation.apply(white)[0, :, 0, 0], expected, rtol=1e-5)


def test_pixel_mean_is_that_of_the_training_images(cifar: Path) -> None:
    plain = {split: load_dataset("cifar10", data_dir=cifar, split=split).images for split in ("train", "test")}
    less = load_dataset("cifar10", data_dir=cifar, preprocessing="pixel_mean").images
    np.testing.assert_allclose(less, plain["test"] - plain["train"].mean(0), atol=1e-6)


@pytest.mark.parametrize("name", PREPROCESSINGS)
def test_descriptions_survive_a_file(name: str) -> None:
    text = json.dumps(PREPROCESSINGS[name].as_dict())
    assert read_preprocessing(json.loads(text)) == PREPROCESSINGS[name] == read_preprocessing(name)


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ("imagenet", UnknownNameError, "no such preprocessing.*imagenet_statistics"),
        ({"normalize": {}}, UnknownNameError, r"preprocessing = 'normalize'.*Did you mean 'normalisation'"),
        ({"normalisation": {"std": 0}}, ParameterError, r"normalisation\.std = \(0\.0,\).*positive"),
        ({"normalisation": {"mean": []}}, ParameterError, r"normalisation\.mean"),
        ({"normalisation": {"mean": ["a"]}}, ParameterError, r"normalisation\.mean"),
        ({"normalisation": {"mean": float("nan")}}, ParameterError, r"normalisation\.mean"),
        ({"normalisation": 3}, ParameterError, r"preprocessing\.normalisation = 3"),
        ({"normalisation": {"bgr": "yes"}}, ParameterError, r"bgr = 'yes'.*allowed: bool"),
        ({"framing": {"crop": 0}}, ParameterError, r"framing\.crop = 0"),
        ({"framing": {"crop": 300}}, ParameterError, r"framing\.crop = 300.*256"),
        ({"framing": {"interpolation": "cubic"}}, UnknownNameError, r"Did you mean 'bicubic'"),
        ({"background": 1}, ParameterError, r"background = 1"),
    ],
)
def test_wrong_descriptions(value: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        read_preprocessing(value)


names = st.sampled_from(["normalisation", "framing", "background", "mean", "std", "bgr", "resize", "crop", "x"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.just(10**400) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
)


@given(st.dictionaries(names, values, max_size=4))
def test_any_description_is_read_or_refused(described: dict[str, object]) -> None:
    try:
        read_preprocessing(described)
    except CrossOhmError as error:
        assert str(error)


def test_what_does_not_suit_the_data(cifar: Path) -> None:
    with pytest.raises(ParameterError, match=r"framing.*imagenet_statistics"):
        load_dataset("cifar10", data_dir=cifar, preprocessing="torchvision")
    two = Preprocessing(Normalisation(mean=(0.1, 0.2)))
    with pytest.raises(ShapeError, match=r"has 2 numbers.*3 channels"):
        load_dataset("cifar10", data_dir=cifar, preprocessing=two)
    with pytest.raises(ParameterError, match="resize"):
        Framing(resize=0)


# -- a user's own ------------------------------------------------------------------------------------------------------

OWN = """
import numpy as np
from crossohm.datasets import Dataset

def stripes(data_dir, split):
    images = np.zeros((6, 1, 4, 4), np.float32)
    images[:3, :, ::2] = 1
    return Dataset(f"stripes/{split}", images, np.repeat([0, 1], 3), ("rows", "plain"))

def broken(data_dir, split):
    return 1 / 0

number = lambda data_dir, split: 5
"""


@pytest.fixture
def own(tmp_path: Path) -> str:
    (tmp_path / "own.py").write_text(OWN)
    return str(tmp_path / "own.py")


def test_a_function_in_a_file(own: str) -> None:
    data = load_dataset(f"{own}:stripes", limit=4, preprocessing="symmetric")
    assert data.name == "stripes/test" and data.labels.tolist() == [0, 0, 0, 1]
    assert data.images.min() == -1 and data.images.max() == 1


@pytest.mark.parametrize(
    ("function", "message"),
    [("broken", "ZeroDivisionError"), ("number", "returned a int"), ("absent", "has no function 'absent'")],
)
def test_functions_that_fail_are_named(own: str, function: str, message: str) -> None:
    with pytest.raises(DataError, match=rf"own\.py:{function}.*{message}"):
        load_dataset(f"{own}:{function}")
    with pytest.raises(DataError, match=r"'no_such_module' cannot be imported.*file\.py:function"):
        load_dataset("no_such_module:function")


def test_an_installed_package_announces_a_data_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def two(data_dir: Path | None, split: str) -> Dataset:
        return Dataset("two", np.zeros((2, 1, 2, 2), np.float32), np.array([0, 1]), ("a", "b"))

    point = EntryPoint("two_pixels", "unused:two", "crossohm.datasets")
    monkeypatch.setattr(EntryPoint, "load", lambda self: two)
    monkeypatch.setattr(_names, "entry_points", lambda group: [point] if group == point.group else [])
    assert "two_pixels" in dataset_names()
    assert len(load_dataset("two_pixels")) == 2


def test_an_archive_of_ones_own(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", x_test=np.full((3, 5, 7), 51, np.uint8), y_test=[0, 2, 1], x_train=[], y_train=[])
    data = load_dataset("npz", data_dir=tmp_path)
    assert data.images.shape == (3, 1, 5, 7) and data.classes == ("0", "1", "2")
    np.testing.assert_allclose(data.images, 0.2)
    with pytest.raises(DataError, match=r"mine\.npz: images of shape \(0,\)"):
        load_dataset("npz", data_dir=tmp_path, split="train")
