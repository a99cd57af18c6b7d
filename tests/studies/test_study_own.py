"""Studies of a user's own networks and data: they are found, prepared as declared, and never guessed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from crossohm.errors import ParameterError, StudyError
from crossohm.models import load_model
from crossohm.studies import load_study, run_study
from crossohm.studies.work.session import Session

OWN = """
import numpy as np
from torch import nn
from crossohm.datasets import Dataset
from crossohm.models import trained_on

@trained_on("npz", "symmetric")
def make(width=3):
    return nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(16 * width, 2))

def plain(width=3):
    return make(width)

def line():
    return nn.Linear(5, 1)

def values(data_dir, split):
    rng = np.random.default_rng(1)
    inputs = rng.uniform(-1, 1, (30, 5)).astype(np.float32)
    return Dataset("line", inputs, inputs @ np.arange(5.0)[:, None], ())
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's folder: functions, weights, and images in an archive."""
    (tmp_path / "own.py").write_text(OWN)
    rng = np.random.default_rng(2)
    images, labels = rng.integers(0, 256, (40, 4, 4, 3), np.uint8), rng.integers(0, 2, 40)
    np.savez(tmp_path / "mine.npz", x=images, y=labels)
    torch.manual_seed(4)
    torch.save(load_model(f"{tmp_path / 'own.py'}:make").state_dict(), tmp_path / "net.pth")
    return tmp_path


def study(folder: Path, **sections: Any) -> Any:
    whole = {
        "model": {"name": "own.py:make", "checkpoint": "net.pth"},
        "dataset": {"name": "npz", "data_dir": "mine.npz"},
        "hardware": "default",
        "repeats": 1,
        "calibration": False,
    }
    return load_study({**whole, **sections}, folder=folder)


def test_own_network_weights_and_data(folder: Path) -> None:
    results = run_study(study(folder), folder / "results")
    chip = results.chips[0]
    assert chip.analog == chip.digital and 0 < chip.digital["top1"] < 1  # the default hardware is ideal
    assert chip.output_snr > 90


def test_images_are_prepared_as_the_network_declares(folder: Path) -> None:
    session = Session(folder)
    declared, stated = (
        session.test_images(study(folder, **sections).study)
        for sections in ({}, {"dataset": {"name": "npz", "data_dir": "mine.npz", "preprocessing": "unit"}})
    )
    np.testing.assert_allclose(declared.images, 2 * stated.images - 1, atol=1e-6)
    assert declared.digest != stated.digest


def test_nothing_is_guessed(folder: Path) -> None:
    with pytest.raises(ParameterError, match=r"dataset\.preprocessing = None: nobody declared how .*own\.py:plain"):
        Session(folder).test_images(study(folder, model="own.py:plain").study)
    described = {"normalisation": {"mean": 0.5, "std": [0.2, 0.2, 0.2]}}
    dataset = {"name": "npz", "data_dir": "mine.npz", "preprocessing": described}
    images = Session(folder).test_images(study(folder, model="own.py:plain", dataset=dataset).study).images
    assert images.min() == pytest.approx(-2.5, abs=0.1)


def test_a_wrong_preprocessing_is_a_mistake_of_the_study(folder: Path) -> None:
    with pytest.raises(StudyError, match=r"preprocessing.*no such preprocessing.*imagenet_statistics"):
        study(folder, dataset={"name": "npz", "preprocessing": "imagenet_statistic"})


def test_options_change_the_network(folder: Path) -> None:
    asked = study(folder, model={"name": "own.py:make", "options": {"width": 5}})
    assert Session(folder).network(asked.study).module[0].out_channels == 5


def test_where_weights_lie_does_not_matter(folder: Path) -> None:
    run_study(study(folder), folder / "results")
    (folder / "net.pth").rename(folder / "moved.pth")
    moved = study(folder, model={"name": "own.py:make", "checkpoint": "moved.pth"})
    again = run_study(moved, folder / "results")
    assert len(list((folder / "results" / "chips").rglob("*.json"))) == len(again.chips) == 1


def test_a_regression_of_ones_own(folder: Path) -> None:
    asked = study(folder, model="own.py:line", dataset="own.py:values")
    chip = run_study(asked, folder / "results").chips[0]
    assert set(chip.analog) == {"rmse", "mae", "nrmse"}
    assert chip.analog["rmse"] == pytest.approx(chip.digital["rmse"], rel=1e-4)


def test_image_files_are_not_kept_in_memory(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    (tmp_path / "own.py").write_text(OWN)
    for split in ("train", "val"):
        for name in ("a", "b"):
            (tmp_path / split / name).mkdir(parents=True)
            for number in range(3):
                pixels = np.full((4, 4, 3), 40 * number + 100 * (name == "b"), np.uint8)
                image.fromarray(pixels).save(tmp_path / split / name / f"{number}.png")
    framing = {"framing": {"resize": None, "crop": 4}}
    dataset = {"name": "image_folder", "data_dir": ".", "images": 5, "preprocessing": framing}
    asked = study(tmp_path, model="own.py:plain", dataset=dataset, calibration={"images": 4})
    seen = Session(tmp_path).test_images(asked.study).images
    assert not isinstance(seen, np.ndarray) and seen.shape == (5, 3, 4, 4)
    np.testing.assert_allclose(255 * seen[:][:, 0, 0, 0], [0, 100, 40, 140, 80], atol=0.01)
    chip = run_study(asked, tmp_path / "results").chips[0]
    assert chip.record["images"] == 5
