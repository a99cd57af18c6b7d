"""`crossohm train`: studies of training are checked, carried out, go on where they stopped, and are shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from crossohm.cli import app
from crossohm.errors import DataError, StudyError
from crossohm.report.training import training_report
from crossohm.studies.training.run import run_training
from crossohm.studies.training.study import load_training

pytest.importorskip("sklearn")

STUDY: dict[str, Any] = {
    "recipe": "digits",
    "epochs": 2,
    "seeds": 2,
    "train_samples": 60,
    "test_samples": 50,
    "sweep": {
        "device": {"ideal": "ideal", "noisy": {"model": "analytic", "nonlinearity": 1.0, "write_noise": 0.02}},
        "rule": ["parallel", "mixed_precision"],
    },
}
NOISY = {**STUDY, "device": STUDY["sweep"]["device"]["noisy"], "sweep": {}}


def test_all_combinations_are_trained(tmp_path: Path) -> None:
    """With a curve for every seed."""
    study = {**STUDY, "sweep": {"device": STUDY["sweep"]["device"], "array.weights": ["balanced", "offset"]}}
    found = run_training(load_training(study), tmp_path / "out")
    assert [point.label for point in found] == [
        f"device {device}, array.weights {kind}" for device in ("ideal", "noisy") for kind in ("balanced", "offset")
    ]
    assert all(len(point.accuracy) == 3 and len(point.accuracy[0]) == 2 and point.complete for point in found)
    assert "offset cells" in found[1].notes
    assert found[0].updates["gain_up"] == pytest.approx(1, abs=1e-3)
    gains = found[0].gains
    assert sum(gains["share"]) == pytest.approx(1)
    assert {round(gain, 3) for gain in gains["gain_up"] + gains["gain_down"] if gain is not None} == {1.0}
    assert found[2].updates["symmetry_point"] == pytest.approx(0.5, abs=1e-3)
    assert "symmetry_point" not in found[0].updates  # of ideal devices, everywhere
    assert all(len(point.at_limits) == 3 for point in found)
    page = training_report("three lines", found)
    assert "Devices at a limit" in page
    assert "<svg" in page
    assert "array.weights offset" in page


def test_the_irises_are_learned(tmp_path: Path) -> None:
    """By their published recipe: 120 samples to train, 30 for test, all classes in turn."""
    (found,) = run_training(load_training({"recipe": "iris", "seeds": 3}), tmp_path)
    assert min(found.accuracy[-1]) >= 0.9


def test_hearts_of_a_folder_are_learned(tmp_path: Path) -> None:
    """The recipe finds labels and data where the published files have them."""
    rng = np.random.default_rng(5)
    for split, count in (("train", 80), ("test", 187)):
        labels = rng.integers(0, 2, count)
        values = np.clip(rng.normal(60 + 15 * labels[:, None], 10, (count, 44)), 0, 100).round()
        np.savetxt(tmp_path / f"SPECTF.{split}", np.column_stack([labels, values]), fmt="%d", delimiter=",")
    study = {"recipe": "spectf", "data_dir": str(tmp_path), "epochs": 2}
    (found,) = run_training(load_training(study), tmp_path / "results")
    assert min(found.accuracy[-1]) > 0.9


def test_a_stopped_study_goes_on(tmp_path: Path) -> None:
    """Bit for bit where it was, from the last epoch that was finished."""
    whole = run_training(load_training(NOISY), tmp_path / "whole")

    def stop(point: int, epoch: int, found: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_training(load_training(NOISY), tmp_path / "stopped", progress=stop)
    (again,) = run_training(load_training(NOISY), tmp_path / "stopped")
    assert again.accuracy == whole[0].accuracy
    assert (again.loss, again.updates, again.gains) == (whole[0].loss, whole[0].updates, whole[0].gains)
    assert again.at_limits == whole[0].at_limits


def test_a_folder_belongs_to_one_study(tmp_path: Path) -> None:
    """Results of another are not mixed in."""
    run_training(load_training(NOISY), tmp_path)
    with pytest.raises(DataError, match="another study"):
        run_training(load_training({**NOISY, "epochs": 3}), tmp_path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"recipe": "digts"}, "digits"),
        ({"epohcs": 3}, "epochs"),
        ({"epochs": 0}, "epochs"),
        ({"device": {"model": "analytic", "nonlinearity": -1.0}}, "device.nonlinearity"),
        ({"device": {"model": "lookup"}}, "device.path"),
        ({"device": {"model": "lookup", "path": "nowhere"}}, "nowhere"),
        ({"rule": {"model": "carry", "bas": 2}}, "rule.bas"),
        ({"array": {"weights": "both"}}, "array.weights"),
        ({"batch": 4}, "minibatch_sequential"),
        ({"sweep": {"device.nonlinearity": [1.0]}}, "device"),
    ],
)
def test_mistakes_are_found_before_anything_is_trained(changes: dict[str, Any], words: str) -> None:
    """With the entry that is wrong."""
    with pytest.raises((StudyError, DataError), match=words):
        load_training({**STUDY, "sweep": {}, **changes})


def test_the_command(tmp_path: Path) -> None:
    """Progress, a summary, a page and the records."""
    file = tmp_path / "learn.json"
    file.write_text(json.dumps(NOISY))
    runner, arguments = CliRunner(), ["train", str(file), "--output", str(tmp_path / "out"), "--set", "epochs=1"]
    shown = runner.invoke(app, arguments)
    assert shown.exit_code == 0, shown.output
    assert "epoch 1/1" in shown.output
    assert (tmp_path / "out" / "report.html").read_text().startswith("<!doctype html>")
    again = runner.invoke(app, [*arguments, "--json"])
    assert json.loads(again.output)[0]["epochs"] == 1


def test_a_network_of_the_users_is_trained(tmp_path: Path) -> None:
    """A convolutional one of PyTorch, from a file; it goes on bit for bit."""
    pytest.importorskip("torch")
    (tmp_path / "net.py").write_text(
        "import torch\n\ndef small():\n    torch.manual_seed(0)\n    return torch.nn.Sequential(\n"
        "        torch.nn.Conv2d(1, 4, 3, stride=2), torch.nn.ReLU(), torch.nn.Dropout(0.1), torch.nn.Flatten(),\n"
        "        torch.nn.Linear(36, 10),\n    )\n"
    )
    study = {
        "network": "net.py:small",
        "dataset": "digits",
        "epochs": 2,
        "seeds": [3, 5],
        "learning_rate": 0.05,
        "semantics": "minibatch_sequential",
        "batch": 10,
        "train_samples": 200,
        "device": {"model": "analytic", "nonlinearity": 1.0, "write_noise": 0.01},
    }
    loaded = load_training(study, folder=tmp_path)
    (whole,) = run_training(loaded, tmp_path / "whole")
    assert min(whole.accuracy[-1]) > 0.2 > max(whole.accuracy[0])
    assert "4 x 10 weights" in whole.notes

    def stop(point: int, epoch: int, found: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_training(loaded, tmp_path / "stopped", progress=stop)
    (again,) = run_training(loaded, tmp_path / "stopped")
    assert (again.accuracy, again.loss) == (whole.accuracy, whole.loss)
    with pytest.raises(StudyError, match="learning_rate"):
        load_training({**study, "learning_rate": None}, folder=tmp_path)
