"""Folders of image files: order, framing, laziness, and files that are no images."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from crossohm.datasets import Framing, Normalisation, Preprocessing, load_dataset
from crossohm.errors import DataError, MissingDependencyError, ParameterError

Image = pytest.importorskip("PIL.Image")
SQUARE = Preprocessing(framing=Framing(resize=None, crop=8))


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def grey(value: int, size: tuple[int, int] = (8, 8)) -> np.ndarray:
    return np.full((*size, 3), value)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three classes with 2, 1 and 3 images; the pixel value is 10 * class + number."""
    for label, (name, count) in enumerate([("ant", 2), ("bee", 1), ("cow", 3)]):
        for number in range(count):
            save(tmp_path / "val" / name / f"{number}.png", grey(10 * label + number))
    return tmp_path


def test_classes_take_turns(folder: Path) -> None:
    data = load_dataset("image_folder", data_dir=folder, preprocessing=SQUARE)
    assert data.classes == ("ant", "bee", "cow")
    assert data.labels.tolist() == [0, 1, 2, 0, 2, 2]
    values = np.rint(255 * data.images[:][:, 0, 0, 0]).astype(int)
    assert values.tolist() == [0, 10, 20, 1, 21, 22]


def test_images_are_read_when_sliced(folder: Path) -> None:
    data = load_dataset("image_folder", data_dir=folder, preprocessing=SQUARE, limit=4)
    assert data.images.shape == (4, 3, 8, 8) and data.images.ndim == 4 and len(data) == 4
    (folder / "val" / "bee" / "0.png").write_bytes(b"no image")
    assert data.images[2:4].shape == (2, 3, 8, 8)
    assert data.images[2].shape == (3, 8, 8)
    with pytest.raises(DataError, match=r"0\.png: not an intact image"):
        data.images[:2]


def test_normalisation_is_applied_when_read(folder: Path) -> None:
    plain = load_dataset("image_folder", data_dir=folder, preprocessing=SQUARE)
    both = Preprocessing(Normalisation((0.1, 0.2, 0.3), (0.5, 1.0, 2.0), bgr=True), SQUARE.framing)
    changed = load_dataset("image_folder", data_dir=folder, preprocessing=both)
    mean, std = (np.array(values).reshape(3, 1, 1) for values in ((0.1, 0.2, 0.3), (0.5, 1.0, 2.0)))
    np.testing.assert_allclose(changed.images[1:4], ((plain.images[1:4] - mean) / std)[:, ::-1], rtol=1e-5)


def test_the_middle_is_cut_after_the_short_side_is_resized(tmp_path: Path) -> None:
    wide = np.zeros((10, 30, 3))
    wide[:, 10:20] = 200  # the middle third
    save(tmp_path / "a" / "wide.png", wide)
    framing = Framing(resize=20, crop=20, interpolation="nearest")
    image = load_dataset("image_folder", data_dir=tmp_path, preprocessing=Preprocessing(framing=framing)).images[0]
    assert image.shape == (3, 20, 20)
    np.testing.assert_allclose(image, 200 / 255)


def test_box_is_the_area_average(tmp_path: Path) -> None:
    pixels = np.arange(16 * 16).reshape(16, 16, 1).repeat(3, 2)
    save(tmp_path / "a" / "x.png", pixels)
    framing = Framing(resize=8, crop=8, interpolation="box")
    image = load_dataset("image_folder", data_dir=tmp_path, preprocessing=Preprocessing(framing=framing)).images[0]
    expected = pixels[..., 0].reshape(8, 2, 8, 2).mean((1, 3))
    np.testing.assert_allclose(255 * image[0], expected, atol=0.51)  # Pillow rounds to bytes


def test_the_usual_sizes(tmp_path: Path) -> None:
    save(tmp_path / "a" / "x.png", np.random.default_rng(1).integers(0, 256, (300, 500, 3)))
    for name, side in (("torchvision", 224), ("keras_inception", 299), ("mlperf_mobilenet", 224)):
        assert load_dataset("image_folder", data_dir=tmp_path, preprocessing=name).images[:1].shape == (
            1,
            3,
            side,
            side,
        )


def test_grey_files_become_three_equal_channels(tmp_path: Path) -> None:
    save(tmp_path / "a" / "x.png", np.arange(64).reshape(8, 8))
    image = load_dataset("image_folder", data_dir=tmp_path, preprocessing=SQUARE).images[0]
    np.testing.assert_array_equal(image[0], image[2])


def test_background_shifts_the_labels(folder: Path) -> None:
    shifted = Preprocessing(framing=SQUARE.framing, background=True)
    data = load_dataset("image_folder", data_dir=folder, preprocessing=shifted)
    assert data.classes[0] == "background" and data.labels.tolist() == [1, 2, 3, 1, 3, 3]


@pytest.mark.parametrize("cut", [10, 60, -5])
def test_a_cut_file_is_named(tmp_path: Path, cut: int) -> None:
    save(tmp_path / "a" / "x.jpg", np.random.default_rng(1).integers(0, 256, (40, 40, 3)))
    path = tmp_path / "a" / "x.jpg"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match=r"x\.jpg: not an intact image"):
        load_dataset("image_folder", data_dir=tmp_path, preprocessing=SQUARE).images[0]


def test_images_smaller_than_the_crop_are_named(tmp_path: Path) -> None:
    save(tmp_path / "a" / "x.png", grey(1, (4, 9)))
    with pytest.raises(DataError, match=r"x\.png: 9x4 pixels, smaller than the crop of 8; set framing\.resize"):
        load_dataset("image_folder", data_dir=tmp_path, preprocessing=SQUARE).images[0]


def test_folders_without_images(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "empty" / "a").mkdir(parents=True)
    with pytest.raises(DataError, match="holds no images in folders of classes"):
        load_dataset("image_folder", data_dir=tmp_path / "empty")
    with pytest.raises(DataError, match="holds 3 folders; ImageNet has 1000 classes"):
        load_dataset("imagenet", data_dir=folder)
    with pytest.raises(ParameterError, match="pixel_mean"):
        load_dataset("image_folder", data_dir=folder, preprocessing="pixel_mean")


def test_without_pillow(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingDependencyError, match=r"crossohm\[data\]"):
        load_dataset("image_folder", data_dir=folder)
