"""The streaming histogram: bounded, exact when merged, and right about percentiles to one bin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from crossohm import CrossOhmError, InputError
from crossohm.calibration import StreamingHistogram, percentile_range

VALUES = arrays(
    np.float64, st.integers(0, 40), elements=st.one_of(st.floats(-1e3, 1e3), st.floats(-1e-6, 1e-6), st.just(0.0))
)
BINS = 64


def histogram(*batches: np.ndarray, bins: int = BINS) -> StreamingHistogram:
    seen = StreamingHistogram(bins)
    for batch in batches:
        seen.add(batch)
    return seen


def assert_equal(a: StreamingHistogram, b: StreamingHistogram) -> None:
    np.testing.assert_array_equal(a.counts, b.counts)
    assert (a.reach, a.low, a.high, a.total) == (b.reach, b.low, b.high, b.total)


@given(st.lists(VALUES, max_size=5), st.randoms(use_true_random=False))
def test_batches_in_any_order_count_the_same(batches: list[np.ndarray], random: object) -> None:
    shuffled = list(batches)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert_equal(histogram(*batches), histogram(*shuffled))
    assert_equal(histogram(*batches), histogram(np.concatenate([np.zeros(0), *batches])))


@given(st.lists(VALUES, max_size=4), st.lists(VALUES, max_size=4))
def test_merging_is_exact(first: list[np.ndarray], second: list[np.ndarray]) -> None:
    merged = histogram(*first)
    other = histogram(*second)
    untouched = other.copy()
    merged.merge(other)
    assert_equal(merged, histogram(*first, *second))
    assert_equal(other, untouched)


@given(VALUES)
def test_every_value_is_counted_in_its_bin(values: np.ndarray) -> None:
    seen = histogram(values)
    assert seen.total == values.size
    assert len(seen.counts) == BINS
    if values.size and seen.reach:
        assert seen.reach >= np.abs(values).max()
        edges = np.linspace(-seen.reach, seen.reach, BINS + 1)
        np.testing.assert_array_equal(seen.counts, np.histogram(values, edges)[0])


@given(VALUES.filter(lambda v: v.size > 0), st.floats(0, 100))
def test_percentiles_are_right_to_a_bin(values: np.ndarray, percent: float) -> None:
    seen = histogram(values)
    width = 2 * seen.reach / BINS
    found = seen.percentile(percent)
    assert seen.low <= found <= seen.high
    below = np.percentile(values, percent, method="lower")
    above = np.percentile(values, percent, method="higher")
    assert below - width * (1 + 1e-9) <= found <= above + width * (1 + 1e-9)
    assert seen.percentile(0) == values.min()
    assert seen.percentile(100) == values.max()


@given(VALUES.filter(lambda v: v.size > 0), st.lists(st.floats(0, 100), min_size=2, max_size=6))
def test_percentiles_are_monotonic(values: np.ndarray, percents: list[float]) -> None:
    seen = histogram(values)
    found = [seen.percentile(percent) for percent in sorted(percents)]
    assert found == sorted(found)


def test_large_sample_matches_numpy() -> None:
    values = np.random.default_rng(0).normal(size=200_000)
    seen = histogram(*np.split(values, 50), bins=4096)
    for percent in (0.1, 1, 50, 99, 99.9, 99.99):
        assert seen.percentile(percent) == pytest.approx(np.percentile(values, percent), abs=2 * seen.reach / 4096)


def test_wrong_use_is_refused() -> None:
    with pytest.raises(CrossOhmError):
        StreamingHistogram(6)
    with pytest.raises(CrossOhmError):
        StreamingHistogram().percentile(50)
    with pytest.raises(CrossOhmError):
        histogram(np.ones(3)).percentile(101)
    with pytest.raises(CrossOhmError):
        histogram(np.ones(3)).merge(histogram(np.ones(3), bins=128))
    for bad in (np.nan, np.inf):
        with pytest.raises(InputError):
            histogram(np.array([0.0, bad]))


@given(VALUES.filter(lambda v: v.size > 0), st.booleans())
def test_percentile_range_is_a_usable_range(values: np.ndarray, symmetric: bool) -> None:
    seen = histogram(values)
    low, high = percentile_range(seen, 99.0, symmetric)
    assert low < high
    if symmetric:
        assert low == -high
    full = percentile_range(seen, 100, symmetric=False)
    assert full[0] <= values.min()
    assert values.max() <= full[1]


@pytest.mark.parametrize("percent", [50, 0, 101, -1])
def test_percentile_range_needs_an_upper_percentile(percent: float) -> None:
    with pytest.raises(CrossOhmError):
        percentile_range(histogram(np.ones(3)), percent)
