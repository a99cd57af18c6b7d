"""Ramps cut out of a trace are those it was put together from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from crossohm.errors import InputError, ParameterError
from crossohm.training.tables import Ramp, split_at_gaps, split_at_limits, split_by_number

UPS = [np.linspace(1, 9, 5) + 0.1 * number for number in range(3)]
DOWNS = [ramp[::-1] - 0.05 for ramp in UPS]
TRACE = np.concatenate([ramp for pair in zip(UPS, DOWNS, strict=True) for ramp in pair])


def same(found: tuple[list[Ramp], list[Ramp]], ups: list[Ramp], downs: list[Ramp]) -> bool:
    return all(
        len(ramps) == len(expected) and all(map(np.array_equal, ramps, expected))
        for ramps, expected in zip(found, (ups, downs), strict=True)
    )


def test_ramps_of_a_fixed_number_of_pulses() -> None:
    assert same(split_by_number(TRACE, 5), UPS, DOWNS)


def test_ramps_that_share_a_reading() -> None:
    ups, downs = split_by_number([1, 2, 3, 2, 1, 0, 1, 2, 3], 3, shared=True)
    assert [ramp.tolist() for ramp in ups] == [[1, 2, 3], [0, 1, 2, 3]]
    assert [ramp.tolist() for ramp in downs] == [[3, 2, 1, 0]]


def test_ramps_between_pauses() -> None:
    times = np.arange(TRACE.size) + 1000 * (np.arange(TRACE.size) // 5)
    assert same(split_at_gaps(TRACE, times), UPS, DOWNS)
    assert same(split_at_gaps(TRACE, times, gap=2000), [TRACE], [])


def test_ramps_between_limits_share_the_reading_beyond() -> None:
    ups, downs = split_at_limits([2, 4, 8, 11, 7, 3, 0, 5, 12, 6], 1, 10)
    assert [ramp.tolist() for ramp in ups] == [[2, 4, 8, 11], [0, 5, 12]]
    assert [ramp.tolist() for ramp in downs] == [[11, 7, 3, 0], [12, 6]]


def test_a_trace_that_begins_beyond_a_limit_and_one_that_stays_within() -> None:
    ups, downs = split_at_limits([11, 5, 0, 6], 1, 10)
    assert [ramp.tolist() for ramp in ups] == [[0, 6]]
    assert [ramp.tolist() for ramp in downs] == [[11, 5, 0]]
    assert same(split_at_limits([2, 3, 4], 1, 10), [np.array([2.0, 3.0, 4.0])], [])


def test_single_readings_are_no_ramps() -> None:
    assert split_by_number(TRACE[:1], 5) == ([], [])
    assert split_at_limits([], 1, 2) == ([], [])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: split_by_number([[1, 2]], 2), InputError, r"shape \(1, 2\)"),
        (lambda: split_by_number([1, np.nan], 2), InputError, "finite"),
        (lambda: split_by_number(["a"], 2), InputError, "no numbers"),
        (lambda: split_by_number([1, 2], 1), ParameterError, "pulses = 1"),
        (lambda: split_at_gaps([1, 2], [1]), InputError, "2 readings have 1 times"),
        (lambda: split_at_gaps([1, 2, 3], [1, 3, 2]), InputError, "number 3 is earlier"),
        (lambda: split_at_gaps([1, 2], [1, 2], gap=0), ParameterError, "gap = 0"),
        (lambda: split_at_limits([1, 2], 2, 1), ParameterError, "high = 1"),
    ],
)
def test_mistakes_are_named(call: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
