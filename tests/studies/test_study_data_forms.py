"""Studies of data that are not images of one class each: many forms are studied, others refused with the way out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from crossohm.datasets import Dataset
from crossohm.errors import CrossOhmError, DataError
from crossohm.studies import load_study, run_study

OWN = """\
import numpy as np
import torch
from torch import nn
from crossohm.datasets import Dataset

RNG = np.random.default_rng(1)
TOKENS, IMAGES = RNG.integers(0, 9, (30, 5)), RNG.random((30, 2, 6, 6)).astype(np.float32)
CLASSES = ("a", "b", "c")

def tokens(data_dir=None, split="test"):
    return Dataset("tokens", TOKENS, TOKENS[:, 0] % 3, CLASSES)

def single_tokens(data_dir=None, split="test"):
    return Dataset("tokens", TOKENS[:, 0], TOKENS[:, 0] % 3, CLASSES)

def images(data_dir=None, split="test"):
    return Dataset("images", IMAGES, np.arange(30) % 3, CLASSES)

def pixels(data_dir=None, split="test"):
    return Dataset("pixels", IMAGES, (IMAGES[:, 0] > 0.5).astype(np.int64), CLASSES)

def several(data_dir=None, split="test"):
    return Dataset("several", (IMAGES, IMAGES), np.arange(30) % 3, CLASSES)

def listed(data_dir=None, split="test"):
    return Dataset("listed", IMAGES, list(range(30)), CLASSES)

def reader():
    torch.manual_seed(1)
    return nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(20, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))

def single_reader():
    torch.manual_seed(1)
    return nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 3))

def mapper():
    return nn.Conv2d(2, 3, 3, padding=1)

class Wrapped(nn.Module):
    def __init__(self, form):
        super().__init__()
        self.layer, self.form = nn.Linear(72, 3), form

    def forward(self, x):
        y = self.layer(x.flatten(1))
        return {"dictionary": {"logits": y}, "tuple": (y, y), "number": y.sum(), "one": y[:1]}[self.form]

class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(72, 3)

    def forward(self, x, mask):
        return self.layer(x.flatten(1)) * mask
"""


def ran(folder: Path, model: str, data: str, **sections: Any) -> Any:
    (folder / "own.py").write_text(OWN)
    study = {
        "model": {"name": f"own.py:{model}", "options": sections.pop("options", {})}, "dataset": f"own.py:{data}",
        "repeats": 1, **sections,
    }  # fmt: skip
    return run_study(load_study(study, folder=folder), folder / "results")


@pytest.mark.parametrize(("model", "data"), [("reader", "tokens"), ("single_reader", "single_tokens")])
def test_tokens_are_studied(tmp_path: Path, model: str, data: str) -> None:
    (chip,) = ran(tmp_path, model, data, save={"outputs": True}).points[0]
    assert chip.output_snr > 20
    assert set(chip.analog) == {"top1"}


@pytest.mark.parametrize("form", ["dictionary", "tuple"])
def test_answers_of_any_form_are_studied(tmp_path: Path, form: str) -> None:
    (chip,) = ran(tmp_path, "Wrapped", "images", options={"form": form}).points[0]
    assert chip.output_snr > 20


@pytest.mark.parametrize(
    ("model", "data", "options", "message"),
    [
        ("mapper", "pixels", {}, r"metric\.task = 'auto'.*a class for each pixel or token; allowed: segmentation"),
        ("mapper", "listed", {}, "labels must be one array, or a table or tuple of arrays, got a list"),
        ("mapper", "images", {}, r"outputs \(1, 3, 6, 6\): a classification needs one score per class"),
        ("Wrapped", "images", {"form": "number"}, r"the network answers \(\) to 30 images.*wrap"),
        ("Wrapped", "images", {"form": "one"}, r"the network answers \(1, 3\) to 30 images.*wrap"),
        ("Pair", "images", {}, r"Pair needs 2 inputs.*forward\(x, mask\)"),
        ("reader", "images", {}, r"RuntimeError: Expected tensor .* Long, Int; but got"),
    ],
)
def test_other_forms_are_refused_with_the_way_out(
    tmp_path: Path, model: str, data: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(CrossOhmError, match=re.compile(message, re.DOTALL)):
        ran(tmp_path, model, data, options=options)


@pytest.mark.parametrize("dtype", [np.int32, np.uint8, np.float64, bool])
def test_other_types_of_inputs_are_refused(dtype: Any) -> None:
    with pytest.raises(DataError, match=r"must be float32 .*other inputs float32 or int64"):
        Dataset("own", np.zeros((2, 3), dtype), np.zeros(2, np.int64), ("a",))
