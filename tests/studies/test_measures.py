"""Accuracies and errors, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from crossohm.errors import ParameterError, ShapeError
from crossohm.studies.file.sections import MetricSection
from crossohm.studies.work.measures import Tallies, by_task, threshold_of, with_threshold

OUTPUTS = np.array([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2], [0.0, 0.4, 0.6]], np.float32)


def measures(outputs: np.ndarray, labels: np.ndarray, asked: MetricSection) -> dict[str, float]:
    measured = with_threshold(by_task(asked, labels), threshold_of(outputs, labels, asked))
    tallies = Tallies(measured, labels)
    tallies.add({"": outputs[:2]}, {})
    tallies.add({"": outputs[2:]}, {})
    return tallies.values()


def test_classification() -> None:
    found = measures(OUTPUTS, np.array([1, 2, 1]), MetricSection(top_k=(1, 2)))
    assert found == {"top1": 1 / 3, "top2": 2 / 3}


def test_a_single_output_is_a_threshold() -> None:
    outputs = np.array([[0.2], [0.6], [0.9], [0.4]], np.float32)
    assert measures(outputs, np.array([0, 1, 0, 1]), MetricSection()) == {"top1": 0.5}


def test_regression() -> None:
    targets = np.array([1.0, 2.0, 3.0])
    found = measures(np.array([[1.0], [2.0], [6.0]], np.float32), targets, MetricSection())
    assert found["rmse"] == pytest.approx(np.sqrt(3))
    assert found["mae"] == pytest.approx(1)
    assert found["nrmse"] == pytest.approx(np.sqrt(3) / np.std(targets))


def test_the_mean_of_the_targets_has_a_relative_error_of_one() -> None:
    targets = np.random.default_rng(1).normal(size=(50, 4))
    found = measures(np.full((50, 4), targets.mean()), targets, MetricSection(task="regression"))
    assert found["nrmse"] == pytest.approx(1)


def test_classes_may_be_regressed_when_asked() -> None:
    assert set(measures(OUTPUTS[:, :1], np.array([1, 2, 1]), MetricSection(task="regression"))) == {
        "rmse", "mae", "nrmse",
    }  # fmt: skip


def test_what_does_not_fit() -> None:
    with pytest.raises(ShapeError, match=r"\(2, 3\).*\(2,\)"):
        measures(OUTPUTS, np.array([1.0, 2.0, 3.0]), MetricSection())
    with pytest.raises(ParameterError, match=r"metric\.task = 'classification'.*float64"):
        measures(OUTPUTS, np.array([1.0, 2.0, 3.0]), MetricSection(task="classification"))
    with pytest.raises(ParameterError, match="1 to 3"):
        measures(OUTPUTS, np.array([1, 2, 1]), MetricSection(top_k=(4,)))
