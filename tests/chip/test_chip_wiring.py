"""Permutations of slots: what they lose, and that a seed decides them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossohm.chip import ChipSpec, NetworkShape, SlotPattern, slot_pattern
from crossohm.errors import ParameterError, UnknownNameError

CHIP = ChipSpec()
#: The first layer of networks with pattern seed 0.
FIRST = (15, 13, 8, 6, 0, 14, 11, 12, 9, 7, 3, 4, 1, 2, 10, 5)
#: The pair of the notebook's fixed key.
NOTEBOOK = SlotPattern(
    (10, 3, 2, 5, 15, 14, 7, 8, 11, 4, 6, 12, 0, 1, 13, 9), (2, 1, 12, 10, 9, 7, 11, 15, 8, 0, 6, 3, 13, 4, 14, 5), 16
)


def matrix(pattern: SlotPattern) -> np.ndarray:
    """The pattern as a map of slots."""
    one = np.eye(len(pattern.plus))
    return one[list(pattern.plus)] - one[list(pattern.minus)]


def test_the_pair_of_the_notebook_loses_two_slots_of_every_block() -> None:
    assert (NOTEBOOK.rank, NOTEBOOK.dead_slots, NOTEBOOK.dead_lines) == (14, (10,), 16)


@given(st.integers(1, 20).flatmap(lambda n: st.tuples(*[st.permutations(range(n))] * 2)), st.integers(1, 64))
def test_rank_and_dead_lines_are_those_of_the_map(orders: tuple[list[int], list[int]], slot: int) -> None:
    pattern = SlotPattern(tuple(orders[0]), tuple(orders[1]), slot)
    slots = matrix(pattern)
    assert pattern.rank == np.linalg.matrix_rank(slots)
    assert pattern.dead_lines == slot * (~slots.any(axis=1)).sum()


@pytest.mark.parametrize("slot", [8, 16, 64, 128])
@pytest.mark.parametrize("seed", range(5))
def test_a_cycle_loses_the_sum_of_the_slots_only(slot: int, seed: int) -> None:
    pattern = slot_pattern(ChipSpec(slot=slot), "cycle", seed)
    assert pattern is not None
    assert (pattern.rank, pattern.dead_lines, pattern.slot) == (256 // slot - 1, 0, slot)


@pytest.mark.parametrize("seed", range(20))
def test_random_orders_agree_nowhere(seed: int) -> None:
    pattern = slot_pattern(CHIP, "random", seed)
    assert pattern is not None and not pattern.dead_slots


def test_none_is_no_pattern_and_a_pattern_stays_itself() -> None:
    assert slot_pattern(CHIP, "none") is None
    assert slot_pattern(CHIP, NOTEBOOK) is NOTEBOOK
    plus, minus = NOTEBOOK.minus, NOTEBOOK.minus[1:] + NOTEBOOK.minus[:1]
    assert slot_pattern(CHIP, (plus, minus)) == SlotPattern(plus, minus, 16)


def test_seed_and_name_decide() -> None:
    found = [slot_pattern(CHIP, "cycle", seed, name) for seed in (0, 1) for name in ("a", "b")]
    assert len(set(found)) == 4
    assert found[0] == slot_pattern(CHIP, "cycle", 0, "a")


def test_the_wiring_of_a_seed_is_the_same_for_ever() -> None:
    # Models that were trained on it are kept.
    first = NetworkShape(CHIP).stages[0].pattern
    assert first is not None
    assert first.plus == FIRST and first.minus == FIRST[1:] + FIRST[:1]


def test_layers_have_patterns_of_their_own() -> None:
    shape = NetworkShape(CHIP, (256, 256, 256, 256), permute_accumulator=True)
    assert len({stage.pattern for stage in shape.stages}) == 6


@pytest.mark.parametrize(
    "make",
    [
        lambda: SlotPattern((0, 1, 1), (0, 1, 2), 16),
        lambda: SlotPattern((0, 1, 2), (0, 1), 16),
        lambda: slot_pattern(CHIP, (NOTEBOOK.plus, NOTEBOOK.minus)),
        lambda: slot_pattern(ChipSpec(slot=256)),
        lambda: slot_pattern(CHIP, ((0, 1),)),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_pattern_is_refused(make: Callable[[], Any]) -> None:
    with pytest.raises(ParameterError, match="allowed: "):
        make()


def test_a_pattern_without_a_name_gets_the_nearest_one() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'cycle'"):
        slot_pattern(CHIP, "cycles")
