"""Points that fail: an error that names who is to blame, results of all others, and the reason wherever results are."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from typer.testing import CliRunner, Result

from crossohm.cli import app
from crossohm.errors import DataError, FailedChipsError, WriteError
from crossohm.studies import Processes, Results, load_study, open_results, run_study

#: A network that does what the option says to images, or to what is on hardware only.
NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, fault, where):
        super().__init__()
        self.a, self.b, self.fault, self.where = nn.Linear(64, 16), nn.Linear(16, 10), fault, where

    def forward(self, x):
        y = self.b(torch.relu(self.a(x.flatten(1))))
        if self.where == "hardware" and type(self.a) is nn.Linear:
            return y
        if self.fault == "exit":
            raise SystemExit(0)
        if self.fault == "error":
            raise RuntimeError("the code of the user")
        return {"none": y, "nan": y * float("nan"), "inf": y + float("inf"), "rows": y[:1]}[self.fault]

def make(fault="none", where="everywhere"):
    torch.manual_seed(0)
    return Net(fault, where)
"""
TARGETS = """
import numpy as np
from crossohm.datasets import Dataset

def hollow(data_dir=None, split="test"):
    images = np.random.default_rng(0).normal(size=(20, 64)).astype(np.float32)
    return Dataset("hollow", images, np.full((20, 10), np.nan), ())

def spoilt(data_dir=None, split="test"):
    images = np.random.default_rng(0).normal(size=(20, 64)).astype(np.float32)
    images[7, 3] = np.nan
    return Dataset("spoilt", images, np.zeros((20, 10)), ())
"""


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(NET)
    Path("targets.py").write_text(TARGETS)


def study(**sections: Any) -> dict[str, Any]:
    small = {"dataset": {"images": 8, "preprocessing": "unit"}, "calibration": {"images": 8}, "repeats": 1}
    return {**small, "model": {"name": "net.py:make"}, **sections}


def failed(tmp_path: Path, content: dict[str, Any], **options: Any) -> tuple[FailedChipsError, Results]:
    with pytest.raises(FailedChipsError) as raised:
        run_study(load_study(content, folder=tmp_path), tmp_path / "results", **options)
    return raised.value, open_results(tmp_path / "results")


def crossohm_(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


FAULTS = {
    "nan": r"model .*net\.py:make.*answered nan to 8 of 8 images",
    "inf": r"model .*net\.py:make.*answered inf to 8 of 8 images",
    "rows": r"the network answers \(1, 10\) to 8 images",
    "error": r"RuntimeError: the code of the user",
    "exit": r"SystemExit: 0",
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("where", ["everywhere", "hardware"])
def test_one_network_of_a_sweep_fails(tmp_path: Path, fault: str, where: str) -> None:
    sweep = {"points": [{"model.options": {"fault": name, "where": where}} for name in (fault, "none")]}
    error, results = failed(tmp_path, study(calibration=False, hardware="default", sweep=sweep))
    assert [chip.point for chip in results.chips] == [1]
    (failure,) = results.failures
    assert (failure.point, failure.seed) == (0, 1)
    assert failure.coordinates == {"model.options": {"fault": fault, "where": where}}
    wanted = FAULTS[fault] if where == "everywhere" else FAULTS[fault].replace(r"model .*net\.py:make.*", "chip 1: ")
    assert failure.reason.count("\n") == 0
    assert re.search(wanted, failure.reason)
    assert re.search(wanted, str(error))
    assert ("in forward" in failure.details) == (fault in ("error", "exit"))
    assert error.results.failures == results.failures


@pytest.mark.parametrize("fault", ["nan", "inf", "rows", "error"])
def test_calibration_does_not_hide_the_cause(tmp_path: Path, fault: str) -> None:
    _, results = failed(tmp_path, study(model={"name": "net.py:make", "options": {"fault": fault}}))
    (failure,) = results.failures
    assert re.search(FAULTS[fault], failure.reason)


def test_measures_that_are_no_numbers(tmp_path: Path) -> None:
    _, results = failed(tmp_path, study(dataset={"name": "targets.py:hollow"}))
    assert "the measure rmse is nan" in results.failures[0].reason


def test_images_that_are_no_numbers(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"spoilt: image 7 holds nan"):
        run_study(load_study(study(dataset={"name": "targets.py:spoilt"}), folder=tmp_path), tmp_path / "results")


# --- where it is shown ------------------------------------------------------------------------------------------------


SWEPT = study(
    calibration=False,
    hardware="default",
    repeats=2,
    sweep={"grid": {"model.options.fault": ["nan", "none", "error"]}},
)


def test_the_command_shows_all_others_and_the_reasons(tmp_path: Path) -> None:
    Path("study.json").write_text(json.dumps(SWEPT))
    done = crossohm_("sweep", "study.json")
    assert done.exit_code not in (0, None)
    assert "model.options.fault = 'nan', chip 1: " in done.stderr
    assert "3 more failed. All others are in" in done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["nan", "failed"] in rows
    assert ["error", "failed"] in rows
    assert any(row[:2] == ["none", "2"] for row in rows)
    assert "failed: model.options.fault = error, chip 1, 2: RuntimeError: the code of the user" in done.stdout
    assert crossohm_("report", "crossohm-results/study").stdout == done.stdout
    found = json.loads(crossohm_("report", "crossohm-results/study", "--json").stdout)
    assert [one["seed"] for one in found["failures"]] == [1, 2, 1, 2]
    assert len(found["points"]) == 1
    assert json.loads(crossohm_("sweep", "study.json", "--json").stdout)["failures"] == found["failures"]


def test_every_point_may_fail(tmp_path: Path) -> None:
    Path("study.json").write_text(json.dumps(study(model={"name": "net.py:make", "options": {"fault": "nan"}})))
    for command in ("run", "sweep"):
        done = crossohm_(command, "study.json")
        assert done.exit_code not in (0, None)
        assert "answered nan" in done.stderr
        assert "failed: chip 1: model" in done.stdout


def test_tables_hold_the_reasons(tmp_path: Path) -> None:
    _, results = failed(tmp_path, SWEPT)
    rows = results.rows()
    assert [row.get("failure", "")[:5] for row in rows] == ["", "", "model", "model", "Runti", "Runti"]
    assert [(row["point"], row["chip"]) for row in rows[2:]] == [(0, 1), (0, 2), (2, 1), (2, 2)]
    assert all("top1" not in row for row in rows[2:])
    assert "Runtime" in (tmp_path / "results" / "table.csv").read_text()
    pytest.importorskip("pandas")
    assert results.to_dataframe()["top1"].notna().tolist() == [True, True, False, False, False, False]
    pytest.importorskip("xarray")
    assert results.to_xarray()["top1"].notnull().sum() == 2


def test_failed_chips_are_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from crossohm.studies.work.evaluate import MeasuredPoint

    content = study(calibration=False, hardware="default")
    with monkeypatch.context() as patch:
        patch.setattr(MeasuredPoint, "measured", lambda point: 1 / 0)
        _, results = failed(tmp_path, content)
    assert results.failures[0].reason == "ZeroDivisionError: division by zero"
    assert run_study(load_study(content, folder=tmp_path), tmp_path / "results").failures == ()
    assert not list((tmp_path / "results" / "failed").iterdir())


@pytest.mark.slow
def test_workers_say_the_same(tmp_path: Path) -> None:
    _, results = failed(tmp_path, SWEPT, executor=Processes(2))
    there = {(one.point, one.seed): one.reason for one in results.failures}
    (tmp_path / "results").rename(tmp_path / "before")
    _, results = failed(tmp_path, SWEPT)
    assert there == {(one.point, one.seed): one.reason for one in results.failures}


def test_a_full_disk_stops_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from crossohm.studies.results.store import ResultStore
    from crossohm.studies.work import evaluate

    tried: list[int] = []
    original = evaluate.MeasuredPoint.measured
    monkeypatch.setattr(
        evaluate.MeasuredPoint, "measured", lambda point: tried.append(point.unit.seed) or original(point)
    )

    def full(*_: Any) -> None:
        raise WriteError("results: cannot be written (No space left on device)")

    monkeypatch.setattr(ResultStore, "write", full)
    with pytest.raises(WriteError, match="No space left"):
        run_study(load_study(study(repeats=3), folder=tmp_path), tmp_path / "results")
    assert tried == [1]
