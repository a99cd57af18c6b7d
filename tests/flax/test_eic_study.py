"""`crossohm train` with a chip: trained, judged over noise, gone on with, refused where it makes no sense."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("flax")
pytest.importorskip("sklearn")

from crossohm.errors import MissingDependencyError, StudyError
from crossohm.report.training import training_report
from crossohm.studies.training.results import TrainedPoint
from crossohm.studies.training.run import run_training
from crossohm.studies.training.study import load_training
from crossohm.studies.training.task import task_of

STUDY: dict[str, Any] = {
    "dataset": "digits",
    "epochs": 4,
    "seeds": [3, 5, 8],
    "train_samples": 640,
    "test_samples": 200,
    "chip": {
        "sizes": [64, 64, 32],
        "input_bits": 4,
        "spec": {"core_in": 64, "core_out": 64, "slot": 16},
        "recipe": {"batch": 64, "rate": 0.01, "augmentation": {"shift": 0.5}},
    },
}


@pytest.mark.slow
def test_a_cut_training_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    """Curves and scores over the seeds of the noise are those of a training in one go; digits are learned."""

    def copy(number: int, epoch: int, found: TrainedPoint) -> None:
        if epoch == 2:
            shutil.copytree(tmp_path / "whole", tmp_path / "cut")

    (whole,) = run_training(load_training(STUDY), tmp_path / "whole", progress=copy)
    (resumed,) = run_training(load_training(STUDY), tmp_path / "cut")
    assert resumed.accuracy == whole.accuracy
    assert resumed.loss == whole.loss
    assert np.shape(whole.accuracy) == (5, 3)
    assert len(set(whole.accuracy[-1])) > 1, "each seed draws noise of its own"
    assert whole.worst == min(whole.accuracy[-1]) > 0.3
    page = training_report("chip", [whole])
    assert f"{whole.worst:.2%}" in page
    assert "<svg" in page


def test_settings_vary_alone_at_every_point_of_the_sweep() -> None:
    """Each seed of the training as it is, then with each slot and each noise; nothing together."""
    varied = {"sweep": {"chip.recipe.seed": [4, 6]}, "vary": {"chip.spec.slot": [8], "chip.recipe.sd": [0.2, 0.3]}}
    points = load_training({**STUDY, **varied}).points
    chips = [point.study.chip for point in points if point.study.chip is not None]
    found = [(chip.recipe["seed"], chip.spec["slot"], chip.recipe.get("sd")) for chip in chips]
    assert found == [(seed, *alone) for seed in (4, 6) for alone in ((16, None), (8, None), (16, 0.2), (16, 0.3))]
    assert points[5].settings == {"chip.recipe.seed": "6", "chip.spec.slot": "8"}


@pytest.mark.parametrize(("name", "points"), [("cores", 26), ("readout", 5)])
def test_studies_of_the_examples_are_read(name: str, points: int) -> None:
    """Every network of theirs fits its chip."""
    folder = Path(__file__).parents[2] / "examples" / "chip_study"
    assert len(load_training(folder / f"{name}.yaml").points) == points


def test_chips_without_errors_answer_as_no_chip_does_and_others_do_not() -> None:
    """Each seed is a chip of its own, of what a study says of its cells and comparators."""
    wide = {**STUDY["chip"], "spec": {**STUDY["chip"]["spec"], "readout_bits": 16}, "hardware": {"base": "default"}}
    cells = {"xbar.device.programming_error": {"enable": True, "model": "NormalIndependentDevice", "magnitude": 0.3}}
    poor = {**wide, "hardware": {"set": cells, "comparator_offset": 0.0}}
    wide["hardware"]["comparator_offset"] = 0.0
    bare, ideal, wrong = (
        task_of(load_training({**STUDY, "seeds": [3, 5], "chip": chip}).points[0], Path())
        for chip in (STUDY["chip"], wide, poor)
    )
    found = [task.learner.accuracy(*task.test) for task in (bare, ideal, wrong)]
    np.testing.assert_allclose(found[1], found[0], atol=0.011)  # two images at a threshold
    assert (abs(found[2] - found[0]) > 0.011).any()
    assert len(set(found[2])) > 1


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"rule": "carry"}, "rule"),
        ({"dataset": None}, "dataset"),
        ({"chip": {"recipe": {"rat": 1.0}}}, "chip.recipe.rat"),
        ({"chip": {"spec": {"slots": 8}}}, "chip.spec.slots"),
        ({"chip": {"sizes": [64]}}, "chip.sizes"),
        ({"chip": {"hardware": {"set": {"xbar.device.cell_bit": 3}}}}, "xbar.device.cell_bit"),
    ],
)
def test_what_a_chip_cannot_mean_is_refused_by_name(change: dict[str, Any], named: str) -> None:
    """When the study is read."""
    with pytest.raises(StudyError, match=named.replace(".", r"\.")):
        load_training({**STUDY, **change})


def test_without_flax_the_command_to_install_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the study is read, not after the data set is."""
    for name in [name for name in sys.modules if name.startswith("crossohm.flax")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "flax", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'crossohm\[flax\]'"):
        load_training(STUDY)
