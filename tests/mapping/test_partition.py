"""Cutting a matrix over arrays (specification 2.8)."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossohm.mapping import partition, partition_lengths

LENGTHS, CAPS = st.integers(1, 3000), st.integers(1, 400)


@given(LENGTHS, st.integers(0, 400), st.booleans(), st.lists(st.integers(1, 8), max_size=3))
def test_parts_tile_the_line_and_fit(length: int, cap: int, fill: bool, priority: list[int]) -> None:
    sizes = partition_lengths(length, cap, priority, fill)
    assert sum(sizes) == length
    assert min(sizes) > 0
    assert len(sizes) == (math.ceil(length / cap) if cap else 1)
    assert not cap or max(sizes) <= cap
    stops = [0]
    for part, size in zip(partition(length, cap, priority, fill), sizes, strict=True):
        assert (part.start, part.stop, part.step) == (stops[-1], stops[-1] + size, None)
        stops.append(part.stop)


@given(LENGTHS, CAPS)
def test_even_parts_differ_by_at_most_one(length: int, cap: int) -> None:
    sizes = partition_lengths(length, cap)
    assert max(sizes) - min(sizes) <= 1


@given(LENGTHS, CAPS)
def test_even_parts_are_the_reference_ones_where_those_are_even(length: int, cap: int) -> None:
    """The reference rounds ``L/k`` and lets the last part take the rest; ours only departs where that is uneven."""
    count = math.ceil(length / cap)
    size = round(length / count)
    reference = (*(size,) * (count - 1), length - size * (count - 1))
    if 0 < reference[-1] <= cap and max(reference) - min(reference) <= 1:
        assert partition_lengths(length, cap) == reference


@given(LENGTHS, CAPS)
def test_filled_parts_are_full_but_the_last(length: int, cap: int) -> None:
    sizes = partition_lengths(length, cap, fill=True)
    if length % len(sizes):
        assert set(sizes[:-1]) <= {cap}
    else:
        assert len(set(sizes)) == 1


@pytest.mark.reference_defect("Q23")
def test_no_part_exceeds_the_array() -> None:
    """The reference cuts 17 over arrays of 4 into [3, 3, 3, 3, 5]."""
    assert sorted(partition_lengths(17, 4)) == [3, 3, 3, 4, 4]


@pytest.mark.parametrize(
    ("length", "cap", "priority", "expected"),
    [
        (40, 16, (), (13, 13, 14)),
        (40, 16, (2,), (16, 16, 8)),  # 40 is a multiple of 16/2
        (41, 16, (2,), (14, 14, 13)),
        (40, 16, (3, 4), (16, 16, 8)),  # a multiple of 16/4
        (48, 16, (2,), (16, 16, 16)),
        (7, 0, (), (7,)),
    ],
)
def test_priority_divisors_fill_arrays(length: int, cap: int, priority: tuple[int, ...], expected: tuple[int]) -> None:
    assert partition_lengths(length, cap, priority) == expected
