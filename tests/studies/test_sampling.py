"""What the choice of the images leaves open, and what chips answer beside the digital network, image by image."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from crossohm.errors import ParameterError
from crossohm.studies.file.sections import MetricSection
from crossohm.studies.results.sampling import discordant, interval, paired
from crossohm.studies.work.measures import Tallies, by_task, threshold_of, with_threshold

# -- the interval ------------------------------------------------------------------------------------------------------


@given(right=st.integers(0, 2000), wrong=st.integers(0, 2000))
def test_the_interval_ends_where_the_accuracy_found_is_1_96_deviations_away(right: int, wrong: int) -> None:
    images = max(1, right + wrong)
    share = min(right, images) / images
    for end in interval(share, images):
        deviation = math.sqrt(end * (1 - end) / images)
        assert 0 <= end <= 1
        assert abs(end - share) == pytest.approx(stats.norm.ppf(0.975) * deviation, abs=1e-9) or end == share
    low, high = interval(share, images)
    assert low <= share <= high and high - low > 0


@pytest.mark.parametrize("images", [50, 200, 1000])
def test_it_holds_the_true_accuracy_19_times_of_20(images: int) -> None:
    counts, accuracies = np.arange(images + 1), np.linspace(0.5, 0.99, 99)
    low, high = np.array([interval(count / images, images) for count in counts.tolist()]).T
    held = [stats.binom.pmf(counts, images, true) @ ((low <= true) & (true <= high)) for true in accuracies]
    assert np.mean(held) == pytest.approx(0.95, abs=0.01)


def test_200_images_make_2_8_points() -> None:
    low, high = interval(0.96, 200)
    assert 100 * (high - low) / 2 == pytest.approx(2.8, abs=0.1)


# -- pairs -------------------------------------------------------------------------------------------------------------


@given(lost=st.integers(0, 300), gained=st.integers(0, 300))
def test_the_sign_test_is_the_exact_one(lost: int, gained: int) -> None:
    expected = stats.binomtest(lost, lost + gained).pvalue if lost + gained else 1.0
    assert paired([(lost, gained)]).p_value == pytest.approx(expected, rel=1e-9)


def test_chips_are_averaged_and_the_least_certain_one_counts() -> None:
    found = paired([(10, 0), (4, 2)])
    assert (found.lost, found.gained) == (7, 1)
    assert found.p_value == pytest.approx(stats.binomtest(4, 6).pvalue)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=50))
def test_lost_minus_gained_is_the_loss_of_accuracy(answers: list[tuple[bool, bool]]) -> None:
    digital, analog = np.array(answers).T
    lost, gained = discordant(digital, analog)
    assert lost - gained == digital.sum() - analog.sum()
    assert lost + gained == (digital != analog).sum()


# -- networks with a single output -------------------------------------------------------------------------------------

LABELS = np.array([0, 1, 0, 1, 1, 0])


def tallies(outputs: np.ndarray, labels: np.ndarray, asked: MetricSection) -> Tallies:
    measured = with_threshold(by_task(asked, labels), threshold_of(outputs, labels, asked))
    found = Tallies(measured, labels)
    found.add({"": outputs}, {})
    return found


def measures(outputs: np.ndarray, labels: np.ndarray, asked: MetricSection) -> dict[str, float]:
    return tallies(outputs, labels, asked).values()


LOGITS = np.array([-4.0, 0.3, -0.2, 2.0, 0.1, -0.4])[:, None]
PROBABILITIES = 1 / (1 + np.exp(-LOGITS))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("outputs", "threshold"), [(LOGITS, 0.0), (PROBABILITIES, 0.5)], ids=["logits", "probabilities"]
)
def test_a_network_right_on_every_input_is_right(outputs: np.ndarray, threshold: float, dtype: type) -> None:
    assert threshold_of(outputs.astype(dtype), LABELS, MetricSection()) == threshold
    assert measures(outputs.astype(dtype), LABELS, MetricSection()) == {"top1": 1.0}


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=30), st.floats(-3, 3))
def test_above_the_threshold_is_class_1(outputs: list[float], threshold: float) -> None:
    found = tallies(np.array(outputs)[:, None], np.ones(len(outputs), int), MetricSection(threshold=threshold)).right()
    assert found["top1"].tolist() == [output > threshold for output in outputs]
    assert (
        threshold_of(np.array(outputs)[:, None], np.ones(len(outputs), int), MetricSection(threshold=threshold))
        == threshold
    )


@pytest.mark.parametrize(
    ("outputs", "taken", "other"),
    [
        ([-0.1, 0.9, 0.2, 1.1, 0.8, 0.3], "logits", "0.5"),  # trained on the numbers 0 and 1, like a regression
        ([0.0, 0.3, 0.0, 0.2, 0.4, 0.0], "probabilities", "0"),  # logits that happen to lie within 0..1
    ],
)
def test_a_guess_that_may_be_wrong_is_said(outputs: list[float], taken: str, other: str) -> None:
    single = np.array(outputs)[:, None]
    with pytest.warns(UserWarning, match=rf"metric\.threshold: .*taken for {taken}.*Set metric\.threshold: {other} "):
        threshold_of(single, LABELS, MetricSection())
    assert measures(single, LABELS, MetricSection(threshold=float(other))) == {
        "top1": 1.0
    }  # and no warning: an error here


def test_a_threshold_that_decides_nothing_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"metric\.threshold = 0\.5: the network has 3 outputs.*Leave it out"):
        threshold_of(np.zeros((6, 3)), LABELS, MetricSection(threshold=0.5))
    with pytest.raises(ParameterError, match=r"metric\.threshold = 0\.5: this is a regression"):
        threshold_of(LOGITS, LABELS, MetricSection(threshold=0.5, task="regression"))
    assert threshold_of(np.zeros((6, 3)), LABELS, MetricSection()) is None
    assert threshold_of(LOGITS, LABELS / 2, MetricSection()) is None


# -- in studies --------------------------------------------------------------------------------------------------------

NET = """
import numpy as np
import torch
from torch import nn
from crossohm.datasets import Dataset

def make(ending="logit"):
    layer = nn.Linear(4, 1, bias=False)
    layer.weight.data = torch.tensor([[1.0, -0.5, 0.25, 0.5]])
    return layer if ending == "logit" else nn.Sequential(layer, nn.Sigmoid())

def data(data_dir=None, split="test"):
    images = np.random.default_rng(3).normal(size=(60, 4)).astype(np.float32)
    return Dataset("signs", images, (images @ [1.0, -0.5, 0.25, 0.5] > 0).astype(int), ("below", "above"))
"""


def study(folder: Path, **sections: Any) -> Any:
    from crossohm.studies import load_study

    pytest.importorskip("torch")
    (folder / "signs.py").write_text(NET)
    errors = {"base": "rram-8bit", "set": {"xbar.device.programming_error.magnitude": 0.3}}
    content = {
        "model": {"name": "signs.py:make"}, "dataset": {"name": "signs.py:data", "preprocessing": "unit"}, "repeats": 3,
        "hardware": errors, "save": {"outputs": True}, **sections,
    }  # fmt: skip
    return load_study(content, folder=folder)


@pytest.mark.parametrize(("ending", "threshold"), [("logit", 0.0), ("probability", 0.5)])
def test_a_study_knows_the_threshold_and_counts_pairs(tmp_path: Path, ending: str, threshold: float) -> None:
    from crossohm.report import from_results
    from crossohm.studies import run_study

    asked = study(tmp_path, model={"name": "signs.py:make", "options": {"ending": ending}})
    results = run_study(asked, tmp_path / "r")
    assert all(chip.digital == {"top1": 1.0} and chip.threshold == threshold for chip in results.chips)
    counts = []
    for chip, row in zip(results.chips, results.rows(), strict=True):
        kept = results.arrays(chip)
        right = {name: (kept[name][:, 0] > threshold) == kept["labels"] for name in ("outputs", "digital")}
        counts.append(
            (int((right["digital"] & ~right["outputs"]).sum()), int((right["outputs"] & ~right["digital"]).sum()))
        )
        assert chip.discordant == {"top1": counts[-1]}
        assert (row["lost_top1"], row["gained_top1"]) == counts[-1]
        assert chip.analog["top1"] == pytest.approx(1 - counts[-1][0] / 60)
    assert sum(map(sum, counts)) > 0 and results.paired(0) == paired(counts)
    assert results.interval(0) == interval(results.spread(0).mean, 60)
    data = from_results(results)
    assert ("Class 1", f"output above {threshold:g}") in data.facts
    assert data.points[0].paired == {"top1": paired(counts)} and data.points[0].interval(
        data.measures[0]
    ) == results.interval(0)


def test_results_of_earlier_versions_still_open(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from crossohm.cli import app
    from crossohm.report import render, report_of
    from crossohm.studies import open_results, run_study
    from crossohm.studies.results.store import ResultStore

    results = run_study(study(tmp_path, save={}), tmp_path / "r")
    store = ResultStore(tmp_path / "r")
    for chip in results.chips:
        store.write(
            chip.key,
            {
                name: value
                for name, value in chip.record.items()
                if name not in ("discordant", "threshold", "words", "parts", "samples")
            },
            {},
        )
    old = open_results(tmp_path / "r")
    assert old.paired(0) is None and old.interval(0) == results.interval(0) and old.chips[0].threshold is None
    assert "95 % interval for 60 images" in render(report_of(tmp_path / "r"))
    shown = CliRunner().invoke(app, ["report", str(tmp_path / "r")]).stdout
    assert "95 % of images" in shown and "lost, gained  " not in shown
    found = json.loads(CliRunner().invoke(app, ["report", str(tmp_path / "r"), "--json"]).stdout)
    assert found["points"][0]["paired"] == {"top1": None}


def test_a_regression_has_neither(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from crossohm.cli import app
    from crossohm.studies import run_study

    results = run_study(study(tmp_path, metric={"task": "regression"}), tmp_path / "r")
    assert results.interval(0) is None and results.paired(0) is None and results.chips[0].discordant == {}
    assert "images" not in CliRunner().invoke(app, ["report", str(tmp_path / "r")]).stdout.splitlines()[2]
