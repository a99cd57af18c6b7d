"""Metrics are those of the literature, and do not depend on how samples are dealt out in batches."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import log_softmax

from crossohm.errors import CrossOhmError, DataError, ParameterError, ShapeError, UnknownNameError
from crossohm.metrics import TASKS, Metric, find_metric, known_words, metric_names

RNG = np.random.default_rng(1)
VALUES, TARGETS = RNG.normal(3, 2, (60, 4)), RNG.normal(3, [1, 2, 3, 4], (60, 4))
SCORES, PIXELS = RNG.normal(size=(12, 5, 4, 6)), RNG.integers(-1, 5, (12, 4, 6))
DIGITAL = SCORES + RNG.normal(0, 0.5, SCORES.shape)


def over(found: Metric, *arrays: np.ndarray, batch: int = 7) -> Any:
    tally = found.start()
    for start in range(0, len(arrays[0]), batch):
        tally.add(*(array[start : start + batch] for array in arrays))
    return tally


def test_errors_are_those_of_scikit_learn() -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    expected = {
        "mse": sklearn.mean_squared_error, "mae": sklearn.mean_absolute_error, "r2": sklearn.r2_score,
    }  # fmt: skip
    for name, reference in expected.items():
        tally = over(find_metric(name), VALUES, TARGETS)
        assert tally.value() == pytest.approx(reference(TARGETS, VALUES))
        each = reference(TARGETS, VALUES, multioutput="raw_values")
        assert list(tally.parts().values()) == pytest.approx(each)
    rms = math.sqrt(np.mean((VALUES - TARGETS) ** 2))
    assert over(find_metric("rmse"), VALUES, TARGETS).value() == pytest.approx(rms)
    assert over(find_metric("nrmse"), VALUES, TARGETS).value() == pytest.approx(rms / np.std(TARGETS))


def test_the_variance_of_targets_far_from_zero_is_exact() -> None:
    assert over(find_metric("r2"), VALUES + 1e7, TARGETS + 1e7).value() == pytest.approx(
        over(find_metric("r2"), VALUES, TARGETS).value(), rel=1e-6
    )


def test_signals_have_decibels() -> None:
    noise, power = np.mean((VALUES - TARGETS) ** 2), np.mean(TARGETS**2)
    assert over(find_metric("snr"), VALUES, TARGETS).value() == pytest.approx(10 * math.log10(power / noise))
    assert over(find_metric("psnr", {"peak": 10}), VALUES, TARGETS).value() == pytest.approx(
        10 * math.log10(100 / noise)
    )
    assert over(find_metric("psnr"), TARGETS, TARGETS).value() == math.inf


def test_decisions_are_counted_as_scikit_learn_does() -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    counted = PIXELS >= 0  # negative targets are padding
    true, decided = PIXELS[counted], SCORES.argmax(axis=1)[counted]
    found = over(find_metric("miou"), SCORES, PIXELS)
    assert found.value() == pytest.approx(sklearn.jaccard_score(true, decided, average="macro"))
    assert list(found.parts().values()) == pytest.approx(sklearn.jaccard_score(true, decided, average=None))
    assert over(find_metric("macro_f1"), SCORES, PIXELS).value() == pytest.approx(
        sklearn.f1_score(true, decided, average="macro")
    )
    for name in ("pixel_accuracy", "token_accuracy"):
        assert over(find_metric(name), SCORES, PIXELS).value() == pytest.approx(np.mean(true == decided))
    kept = true != 4
    each = sklearn.jaccard_score(true[kept], decided[kept], labels=range(4), average=None)
    assert over(find_metric("miou", {"ignore": 4}), SCORES, PIXELS).value() == pytest.approx(np.mean(each))


def test_perplexity_is_the_exponential_of_the_cross_entropy() -> None:
    true = np.where(PIXELS < 0, 0, PIXELS)[:, None]
    surprise = -np.take_along_axis(log_softmax(SCORES, axis=1), true, axis=1)[:, 0]
    loss = surprise[PIXELS >= 0].mean()
    for axis, scores in ((1, SCORES), (3, np.moveaxis(SCORES, 1, -1))):
        found = over(find_metric("perplexity", {"axis": axis}), scores, PIXELS).value()
        assert found == pytest.approx(math.exp(loss))
    assert over(find_metric("perplexity"), np.zeros((3, 2, 8)), np.zeros((3, 2), int)).value() == pytest.approx(8)


def test_agreement_is_with_the_digital_network() -> None:
    found = find_metric("token_agreement")
    assert found.against_digital
    same = (SCORES.argmax(axis=1) == DIGITAL.argmax(axis=1))[PIXELS >= 0].mean()
    assert over(found, SCORES, PIXELS, DIGITAL).value() == pytest.approx(same)
    assert over(found, DIGITAL, PIXELS, DIGITAL).value() == 1


def test_a_sequence_is_right_if_all_of_it_is() -> None:
    right = PIXELS.copy()
    right[0, 0, 0] = 3  # one wrong position, unless it was so by chance
    answers = np.eye(5)[np.where(PIXELS < 0, 0, PIXELS)].transpose(0, 3, 1, 2)
    wrong = PIXELS[0, 0, 0] not in (-1, 3)
    assert over(find_metric("sequence_accuracy"), answers, right).value() == pytest.approx(1 - wrong / 12)


@pytest.mark.parametrize("batch", [1, 5, 60])
@pytest.mark.parametrize("name", sorted({*metric_names(), "top2"}))
def test_batches_make_no_difference(name: str, batch: int) -> None:
    found = find_metric(name)
    values = name in {"mse", "rmse", "mae", "nrmse", "r2", "snr", "psnr"}
    arrays = (VALUES, TARGETS) if values else (SCORES, PIXELS, DIGITAL) if found.against_digital else (SCORES, PIXELS)
    if name.startswith("top"):
        arrays = (VALUES, RNG.integers(0, 4, 60))
    assert over(found, *arrays, batch=batch).value() == pytest.approx(over(found, *arrays, batch=60).value())


def test_every_task_has_metrics_with_words() -> None:
    for names in TASKS.values():
        for name in names:
            assert find_metric(name).words == known_words(name)
    assert known_words("of another time").label == "of another time"
    assert [known_words(name).higher_is_better for name in ("top1", "r2", "rmse", "perplexity")] == [
        True, True, False, False,
    ]  # fmt: skip


OWN = """
import numpy as np
from crossohm.metrics import metric

@metric(label="Largest error", unit="mm", higher_is_better=False)
def largest(answers, targets, *, above=0.0):
    return np.maximum(np.abs(answers - targets).max(axis=1) - above, 0)

@metric(higher_is_better=True)
class Median:
    def __init__(self):
        self.seen = []
    def add(self, answers, targets):
        self.seen.append(np.abs(answers - targets).ravel())
    def value(self):
        return float(np.median(np.concatenate(self.seen)))

@metric(higher_is_better=True)
def one_number(answers, targets):
    return 1.0

def plain(answers, targets):
    return answers
"""


def test_own_metrics(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text(OWN)
    found = find_metric(f"{file}:largest")
    assert (found.words.unit, found.words.higher_is_better, found.words.label) == ("mm", False, "Largest error")
    largest = np.abs(VALUES - TARGETS).max(axis=1)
    assert over(found, VALUES, TARGETS).value() == pytest.approx(largest.mean())
    assert found(VALUES, TARGETS) == pytest.approx(largest)  # the function is still one
    reduced = over(find_metric(f"{file}:largest", {"above": 1.0}), VALUES, TARGETS).value()
    assert reduced == pytest.approx(np.maximum(largest - 1, 0).mean())
    median = over(find_metric(f"{file}:Median"), VALUES, TARGETS)
    assert median.value() == pytest.approx(np.median(np.abs(VALUES - TARGETS)))
    with pytest.raises(DataError, match=r"own\.py:plain.*not a metric.*higher_is_better"):
        find_metric(f"{file}:plain")
    with pytest.raises(ShapeError, match=r"one_number: answers \(\) to a batch of 7.*add\(answers, targets\)"):
        over(find_metric(f"{file}:one_number"), VALUES, TARGETS)


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("mioo", {}, UnknownNameError, "metrics = 'mioo': no such metric.*Did you mean 'miou'"),
        ("miou", {"ignor": 1}, ParameterError, r"metrics\.options .*ignor.*allowed: axis, ignore"),
        ("rmse", {"axis": 1}, ParameterError, "no options"),
        ("nowhere:metric", {}, DataError, "cannot be imported"),
    ],
)
def test_what_is_no_metric(name: str, options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        find_metric(name, options)


@pytest.mark.parametrize(
    ("answers", "targets", "message"),
    [
        (np.zeros((2, 5, 4)), np.zeros((2, 3), int), "the shape of the targets with one more axis"),
        (np.zeros((2, 4, 4)), np.zeros((2, 4), int), "axis = None.*allowed: 1, 2"),
        (np.zeros((2, 5, 4)), np.zeros((2, 4)), "needs class numbers"),
    ],
)
def test_what_does_not_fit(answers: np.ndarray, targets: np.ndarray, message: str) -> None:
    with pytest.raises(CrossOhmError, match=message):
        find_metric("miou").start().add(answers, targets)
