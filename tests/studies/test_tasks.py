"""Studies of tasks that are no image classification: data, networks, metrics and words of the task's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from crossohm.errors import CrossOhmError
from crossohm.studies import Results, error_budget, load_study, open_results, run_study

OWN = """\
import dataclasses
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from crossohm.datasets import Dataset
from crossohm.metrics import metric

RNG = np.random.default_rng(1)
X = RNG.normal(size=(60, 6)).astype(np.float32)
Y = X @ RNG.normal(size=(6, 2)).astype(np.float32)
TOKENS = RNG.integers(0, 7, (20, 5))
MASK = (np.arange(5) < RNG.integers(3, 6, (20, 1)))
PIXELS = RNG.normal(size=(12, 1, 8, 8)).astype(np.float32)

def pair(data_dir=None, split="test"):
    return X, Y

def named(data_dir=None, split="test"):
    return Dataset("doses", X, Y, outputs=("left", "right"))

def loader(data_dir=None, split="test"):
    return DataLoader(TensorDataset(torch.tensor(X), torch.tensor(Y)), batch_size=7)

def samples(data_dir=None, split="test"):
    return TensorDataset(torch.tensor(X), torch.tensor(Y))

def two_targets(data_dir=None, split="test"):
    return X, {"left": Y[:, 0], "sign": (Y[:, 1] > 0).astype(int)}

def text(data_dir=None, split="test"):
    following = np.where(MASK, np.roll(TOKENS, -1, axis=1), -100)
    return {"tokens": TOKENS, "mask": MASK, "unused": TOKENS}, following

def shapes(data_dir=None, split="test"):
    return Dataset("shapes", PIXELS, (PIXELS[:, 0] > 0).astype(np.int64), ("ground", "shape"))

def dense(dtype="float32"):
    torch.manual_seed(1)
    net = nn.Linear(6, 2)
    with torch.no_grad():
        net.weight.copy_(torch.tensor(np.linalg.lstsq(X, Y, rcond=None)[0].T))
        net.bias.zero_()
    return nn.Sequential(net.to(getattr(torch, dtype)))

@dataclasses.dataclass
class Answer:
    loss: object
    left: torch.Tensor
    sign: torch.Tensor

class Heads(nn.Module):
    def __init__(self):
        super().__init__()
        self.both = dense()
    def forward(self, x):
        y = self.both(x)
        return Answer(y.sum(), y[:, 0], torch.stack([-y[:, 1], y[:, 1]], 1))

class Reader(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.embed, self.out = nn.Embedding(7, 8), nn.Linear(8, 7)
    def forward(self, tokens, mask=None):
        assert tokens.dtype is torch.int64 and mask.dtype is torch.bool
        return {"hidden": tokens, "logits": self.out(self.embed(tokens) * mask[..., None])}

def mapper():
    torch.manual_seed(1)
    return nn.Conv2d(1, 2, 3, padding=1)

@metric(label="Largest error", unit="Gy", higher_is_better=False)
def largest(answers, targets, *, scale=1.0):
    return scale * np.abs(answers - targets).max(axis=1)
"""


def ran(folder: Path, model: str, data: str, **sections: Any) -> Results:
    (folder / "own.py").write_text(OWN)
    return run_study(load_study(asked(model, data, **sections), folder=folder), folder / "results")


def asked(model: str, data: str, **sections: Any) -> dict[str, Any]:
    options = sections.pop("options", {})
    name = data if "." in data else f"own.py:{data}"
    return {
        "model": {"name": f"own.py:{model}", "options": options}, "dataset": {"name": name}, "repeats": 2, **sections,
    }  # fmt: skip


@pytest.mark.parametrize("data", ["pair", "loader", "samples"])
def test_one_regression_in_many_forms(tmp_path: Path, data: str) -> None:
    results = ran(tmp_path, "dense", data, metrics=["r2", "mse"])
    assert results.measures == ("r2", "mse")
    chip = results.chips[0]
    assert chip.digital["r2"] == pytest.approx(1) and chip.record["images"] == 60
    assert 0.9 < chip.analog["r2"] < 1 and chip.samples == "samples"
    assert results.interval(0) is None and results.paired(0) is None


def test_metrics_of_mine_have_words_and_parts(tmp_path: Path) -> None:
    metrics = [{"name": "own.py:largest", "options": {"scale": 2}}, "rmse"]
    results = ran(tmp_path, "dense", "named", metrics=metrics, save={"outputs": True})
    words, chip = results.words["largest"], results.chips[0]
    assert (words.label, words.unit, words.higher_is_better) == ("Largest error", "Gy", False)
    kept = results.arrays(chip)
    off = np.abs(kept["outputs"] - kept["labels"])
    assert chip.analog["largest"] == pytest.approx(2 * off.max(axis=1).mean())
    parts = results.parts(0, "rmse")
    assert list(parts) == ["left", "right"]
    assert parts["left"][1].values[0] == pytest.approx(np.sqrt(np.mean(off[:, 0] ** 2)))
    again = open_results(tmp_path / "results")
    assert again.words == results.words and again.parts(0, "rmse") == parts


def test_several_outputs_have_metrics_of_their_own(tmp_path: Path) -> None:
    metrics = [{"name": "mae", "output": "left"}, {"name": "top1", "output": "sign"}]
    results = ran(tmp_path, "Heads", "two_targets", metrics=metrics)
    assert results.measures == ("left.mae", "sign.top1")
    assert results.chips[0].digital == pytest.approx({"left.mae": 0, "sign.top1": 1}, abs=1e-6)
    assert results.interval(0, "sign.top1") is not None and results.interval(0) is None


@pytest.mark.parametrize(
    ("data", "metrics", "message"),
    [
        ("two_targets", [], "several targets; allowed: left, sign. Name metrics with"),
        ("two_targets", [{"name": "mae", "target": "right"}], "metrics.target = 'right': there are no such targets"),
        ("pair", [{"name": "mae", "target": "left"}], "the data have one array of targets. Leave it out"),
    ],
)
def test_targets_are_not_guessed(tmp_path: Path, data: str, metrics: list[Any], message: str) -> None:
    with pytest.raises(CrossOhmError, match=message):
        ran(tmp_path, "Heads", data, metrics=metrics, repeats=1)


def test_a_language_model_with_a_mask(tmp_path: Path) -> None:
    results = ran(tmp_path, "Reader", "text", metric={"task": "language"}, run={"batch_size": 8})
    assert results.measures == ("perplexity", "token_agreement")
    chip = results.chips[0]
    assert 1 < chip.digital["perplexity"] < 30 and chip.digital["token_agreement"] == 1
    assert 0.8 < chip.analog["token_agreement"] <= 1
    assert chip.output_snr > 15 and set(chip.layer_snr) >= {"out"}
    assert chip.record["images"] == 20


def test_answers_that_are_too_many_to_be_kept_are_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own.py").write_text(OWN)
    loaded = load_study(asked("Reader", "text", metric={"task": "language"}, save={"outputs": True}), folder=tmp_path)
    kept = run_study(loaded, tmp_path / "kept")
    monkeypatch.setattr("crossohm.studies.work.session._MOST_ANSWERS", 100)
    again = run_study(loaded, tmp_path / "again")
    for one, other in zip(kept.chips, again.chips, strict=True):
        assert (one.analog, one.digital, one.output_snr) == (other.analog, other.digital, other.output_snr)
        assert all(np.array_equal(array, again.arrays(other)[name]) for name, array in kept.arrays(one).items())


def test_a_segmentation_has_a_table_of_classes(tmp_path: Path) -> None:
    results = ran(tmp_path, "mapper", "shapes", metric={"task": "segmentation"})
    assert results.measures == ("miou", "pixel_accuracy") and results.chips[0].samples == "images"
    parts = results.parts(0)
    assert list(parts) == ["ground", "shape"]
    assert np.mean([value for value, _ in parts.values()]) == pytest.approx(results.chips[0].digital["miou"])


def test_bfloat16_is_measured(tmp_path: Path) -> None:
    chip = ran(tmp_path, "dense", "pair", options={"dtype": "bfloat16"}, metrics=["r2"], save={"signals": ["0"]}).chips[
        0
    ]
    assert chip.digital["r2"] > 0.99 and chip.analog["r2"] > 0.9


def test_an_error_budget_knows_which_way_is_better(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    loaded = load_study(asked("dense", "pair", metrics=["rmse", "r2"]) | {"repeats": 1}, folder=tmp_path)
    budget = error_budget(loaded, tmp_path / "results")
    assert max(one.loss_alone for one in budget.contributions) > 0
    off = {one.cause: one.loss_alone for one in budget.contributions}
    for one in budget.contributions:
        assert off[one.cause] == pytest.approx(one.alone.mean - budget.perfect.mean)


def test_studies_without_metrics_have_the_names_that_they_always_had(tmp_path: Path) -> None:
    found = ran(tmp_path, "mapper", "shapes", metric={"task": "segmentation"}, repeats=1)
    asked_for = found.chips[0].record["facts"]["asked"]
    assert "metrics" not in asked_for and set(asked_for["dataset"]) == {
        "name", "preprocessing", "images", "first", "sample", "sample_seed",
    }  # fmt: skip


# --- files ------------------------------------------------------------------------------------------------------------


def test_files_of_arrays(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    scope: dict[str, Any] = {}
    exec(OWN, scope)
    x, y = scope["X"], scope["Y"]
    np.savez(tmp_path / "arrays.npz", x=x, y=y)
    np.savez(tmp_path / "split.npz", x_train=x[:40], y_train=y[:40], x_test=x[40:], y_test=y[40:])
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    table = "\n".join(",".join(map(str, row)) for row in np.concatenate([x, y], axis=1))
    (tmp_path / "table.csv").write_text(f"a,b,c,d,e,f,left,right\n{table}\n")
    forms = {
        "arrays.npz": {"test_share": 1 / 3}, "split.npz": {}, "x.npy": {"targets": ["y.npy"], "test_share": 1 / 3},
        "table.csv": {"targets": ["left", "right"], "test_share": 1 / 3},
    }  # fmt: skip
    found = {}
    for name, chosen in forms.items():
        study = asked("dense", name, metrics=["mae"]) | {"dataset": {"name": name, **chosen}, "repeats": 1}
        results = run_study(load_study(study, folder=tmp_path), tmp_path / f"of {name}")
        found[name] = results.chips[0].analog["mae"]
        assert results.chips[0].record["images"] == 20
    assert len({f"{value:.4g}" for value in found.values()}) == 1  # the same samples, however they lie
    assert list(results.parts(0)) == ["left", "right"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no rows"),
        ("a,b\n1,2\n3\n", "line 3 has another number of entries"),
        ("a,b\n1,2\nx,3\n", "line 3: a is 'x', which is no number"),
        ("a,b\n1,2\n", r"no column c; there are a, b"),
    ],
)
def test_damaged_tables_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "table.csv").write_text(text)
    chosen = {"targets": ["c"]} if "column c" in message else {}
    study = asked("dense", "table.csv") | {"dataset": {"name": "table.csv", **chosen}}
    (tmp_path / "own.py").write_text(OWN)
    with pytest.raises(CrossOhmError, match=message):
        run_study(load_study(study, folder=tmp_path), tmp_path / "results")


# --- words ------------------------------------------------------------------------------------------------------------


def test_the_command_line_and_the_page_speak_of_the_task(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from crossohm.cli import app
    from crossohm.report import render, report_of

    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "study.yaml").write_text(json.dumps(asked("dense", "named", metrics=["r2", "own.py:largest"])))
    arguments = ["run", str(tmp_path / "study.yaml"), "--output", str(tmp_path / "results")]
    shown = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"}).stdout
    assert "r2: Coefficient of determination R², higher is better" in shown
    assert "Gy" in shown and "left" in shown and "accuracy" not in shown and "Wilson" not in shown
    page = render(report_of(tmp_path / "results"))
    assert "Largest error" in page and "By class or output" in page and "60 test samples" in page
    found = json.loads(CliRunner().invoke(app, ["report", str(tmp_path / "results"), "--json"]).stdout)
    assert [one["higher_is_better"] for one in found["measures"]] == [True, False]
    assert set(found["points"][0]["parts"]["r2"]) == {"left", "right"}


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"metrics": ["mioo"]}, "study: metrics = 'mioo': no such metric.*Did you mean 'miou'"),
        (
            {"metrics": ["r2", {"name": "mae", "output": "depth"}]},
            r"answers \(60, 2\) to 60 .*no output 'depth', only one",
        ),
        ({"metrics": ["own.py:pair"]}, "is a function, not a metric"),
        ({"metrics": ["r2"], "metric": {"task": "signal"}}, r"metrics says what is measured, metric\.task too"),
        ({"metrics": [{"name": "psnr", "options": {"peek": 1}}]}, "peek"),
    ],
)
def test_what_cannot_be_measured_is_said(tmp_path: Path, sections: dict[str, Any], message: str) -> None:
    with pytest.raises(CrossOhmError, match=message):
        ran(tmp_path, "dense", "pair", **sections)
