"""Every two values meet, with few combinations, in every run alike."""

from __future__ import annotations

import itertools

from covering import every_pair
from hypothesis import given
from hypothesis import strategies as st


@given(st.lists(st.integers(1, 6), min_size=2, max_size=5))
def test_any_two_values_of_any_two_axes_meet(sizes: list[int]) -> None:
    axes = [[(number, value) for value in range(size)] for number, size in enumerate(sizes)]
    found = every_pair(*axes)
    for (i, one), (j, other) in itertools.combinations(enumerate(axes), 2):
        assert {(row[i], row[j]) for row in found} == set(itertools.product(one, other))
    longest = sorted(sizes)[-2:]
    assert longest[0] * longest[1] <= len(found) <= 2 * longest[0] * longest[1]
    assert found == every_pair(*axes)
