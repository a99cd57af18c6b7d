"""Spread over chips and top-k accuracy, against NumPy and by their laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from crossohm.errors import ParameterError, ShapeError
from crossohm.studies import spread, top_k_accuracy

NUMBERS = st.floats(-1e6, 1e6)


@given(st.lists(NUMBERS, min_size=2, max_size=20))
def test_spread_is_that_of_numpy(values: list[float]) -> None:
    found = spread(values)
    assert found.mean == pytest.approx(np.mean(values), rel=1e-9, abs=1e-9)
    assert found.std == pytest.approx(np.std(values, ddof=1), rel=1e-6, abs=1e-6)
    assert found.values == tuple(values)


def test_equal_values_have_no_spread() -> None:
    assert spread([0.1] * 7).std == 0.0


def test_one_chip_says_nothing_about_spread() -> None:
    found = spread([0.97])
    assert (found.mean, found.std) == (0.97, None)
    assert found.as_dict() == {"mean": 0.97, "std": None, "values": [0.97]}


def test_no_values() -> None:
    with pytest.raises(ShapeError, match="at least one"):
        spread([])


def test_standard_deviation_is_unbiased() -> None:
    samples = np.random.default_rng(1).normal(size=(4000, 3))
    variances = [spread(row).std ** 2 for row in samples]  # type: ignore[operator]
    assert np.mean(variances) == pytest.approx(1.0, abs=4 / math.sqrt(4000))  # the variance of a variance is 1 here


def test_top_k_by_hand() -> None:
    outputs = np.array([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2], [0.0, 0.4, 0.6]])
    labels = np.array([1, 2, 1])
    assert [top_k_accuracy(outputs, labels, k) for k in (1, 2, 3)] == [1 / 3, 2 / 3, 1.0]


@given(
    arrays(np.float32, (30, 6), elements=st.sampled_from([-1.0, 0.0, 0.5, 1.0])),  # many ties
    arrays(np.int64, 30, elements=st.integers(0, 5)),
)
def test_top_k_laws(outputs: np.ndarray, labels: np.ndarray) -> None:
    found = [top_k_accuracy(outputs, labels, k) for k in range(1, 7)]
    assert found[0] == np.mean(outputs.argmax(axis=1) == labels)
    assert found == sorted(found)
    assert found[-1] == 1.0


def test_top_k_of_unlike_arrays() -> None:
    with pytest.raises(ShapeError, match=r"\(2, 3\).*\(4,\)"):
        top_k_accuracy(np.zeros((2, 3)), np.zeros(4, int))


@pytest.mark.parametrize("k", [0, 4])
def test_impossible_rank(k: int) -> None:
    with pytest.raises(ParameterError, match="1 to 3"):
        top_k_accuracy(np.zeros((2, 3)), np.zeros(2, int), k)
