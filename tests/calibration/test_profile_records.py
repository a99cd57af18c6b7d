"""Profiles: one record per layer, partition, slice and input slice; merging and saving lose nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from two_layers import hardware

from crossohm import AnalogCore, CrossOhmError, DataError, ShapeError
from crossohm.chain import Dense, Profile
from crossohm.chain.inspection.profile import Conversion

RNG = np.random.default_rng(2)
W = RNG.normal(size=(4, 9))
X = RNG.normal(size=(9, 30))
PER_BIT: dict[str, Any] = {
    "core__rows_max": 5,
    "core__style": "BITSLICED",
    "core__weight_bits": 7,
    "core__bit_sliced__num_slices": 2,
    "core__mapping__inputs__mvm__max": 3.0,
    "core__mapping__inputs__mvm__min": -3.0,
    "xbar__dac__mvm__bits": 5,
    "xbar__dac__mvm__input_bitslicing": True,
    "xbar__adc__mvm__adc_per_ibit": True,
    "xbar__adc__mvm__adc_range_option": "MAX",
}


def core_on(matrix: np.ndarray = W, *changes: dict[str, Any]) -> AnalogCore:
    joined = {"xbar__adc__mvm__adc_range_option": "MAX"}
    for change in changes:
        joined |= change
    return AnalogCore(matrix, hardware(**joined), seed=1)


def seen_by(core: AnalogCore, *batches: np.ndarray, **options: Any) -> Profile:
    with core.profile(**options) as seen:
        for batch in batches:
            core @ batch
    return seen


def same(first: Profile, second: Profile) -> bool:
    for name in ("inputs", "conversions", "floors"):
        mine, theirs = getattr(first, name), getattr(second, name)
        if mine.keys() != theirs.keys():
            return False
        for key, histogram in mine.items():
            other = theirs[key]
            facts = [(h.reach, h.low, h.high, h.zeros, h.total) for h in (histogram, other)]
            if facts[0] != facts[1] or not np.array_equal(histogram.counts, other.counts):
                return False
    return first.constants == second.constants


def test_every_conversion_has_a_record() -> None:
    seen = seen_by(core_on(W, PER_BIT), X)
    expected = {Conversion("mvm", part, bank, plane) for part in range(2) for bank in range(2) for plane in range(4)}
    assert set(seen.conversions) == expected
    assert {histogram.total for histogram in seen.conversions.values()} == {4 * 30}
    assert {key: histogram.total for key, histogram in seen.adc.items()} == {
        ("mvm", part, bank): 4 * 4 * 30 for part in range(2) for bank in range(2)
    }
    assert [histogram.total for histogram in seen.adc_slices("mvm", 2)] == [2 * 4 * 4 * 30] * 2


def test_input_slices_are_recorded_apart() -> None:
    unsliced = {"core__style": "BALANCED", "core__weight_bits": 0, "core__rows_max": 0}
    seen = seen_by(core_on(W, PER_BIT, unsliced), X)
    code = np.rint(np.clip(np.abs(X) / 3, 0, 1) * 15).astype(int)
    for plane in range(4):
        driven = np.sign(X) * (code >> plane & 1)
        currents = (W / np.abs(W).max()) @ driven
        record = seen.conversions["mvm", 0, 0, plane]
        assert record.low == pytest.approx(currents.min(), abs=1e-9)
        assert record.high == pytest.approx(currents.max(), abs=1e-9)


SIGNALS = RNG.normal(size=(30, 2, 4)) * 10.0 ** RNG.integers(-3, 3, size=(30, 1, 1))


def told(parts: list[np.ndarray]) -> Profile:
    seen = Profile(64, floor=np.array([-0.5, 0.0, 0.5, -np.inf]))
    for part in parts:
        seen.xbar_inputs(part[:, 0], "mvm", 1)
        for plane in range(2):
            seen.adc_inputs(part, "mvm", 0, plane)
            seen.adc_inputs(-part, "vmm", 1, plane)
    return seen


@given(st.lists(st.integers(0, 30), max_size=3), st.randoms(use_true_random=False))
def test_batches_and_workers_add_up(cuts: list[int], random: Any) -> None:
    parts = np.split(SIGNALS, sorted(cuts))
    random.shuffle(parts)
    merged = Profile(64)
    for part in parts:
        merged.merge(told([part]))
    assert same(merged, told([SIGNALS]))
    merged.merge(told([SIGNALS]))
    assert same(merged, told([SIGNALS, SIGNALS]))


def test_profiles_of_other_resolution_do_not_merge() -> None:
    core = core_on()
    with pytest.raises(CrossOhmError, match="64 and 4096 bins"):
        seen_by(core, X, bins=64).merge(seen_by(core, X))


@pytest.mark.parametrize("floor", [None, np.zeros(4)])
def test_profiles_survive_a_file(floor: np.ndarray | None, tmp_path: Path) -> None:
    seen = seen_by(core_on(W, PER_BIT if floor is None else {}), X, floor=floor)
    seen.save(tmp_path / "seen.safetensors")
    assert same(Profile.load(tmp_path / "seen.safetensors"), seen)


@pytest.mark.parametrize("damage", ["missing", "other file", "cut"])
def test_damaged_profiles_are_an_error(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "seen.safetensors"
    core = core_on()
    if damage == "other file":
        core.save(path)
    elif damage == "cut":
        seen_by(core, X).save(path)
        path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"profile|no such file|damaged"):
        Profile.load(path)


def test_constant_lines_are_no_inputs() -> None:
    core = core_on(np.hstack([W, np.ones((4, 2))]))
    driven = np.vstack([0.1 * X, np.ones((2, 30))]).T
    with core.profile() as seen:
        core.apply(driven, Dense(11, constants=2))
    assert seen.constants
    assert seen.inputs["mvm"].total == X.size
    assert seen.inputs["mvm"].high == pytest.approx(0.1 * X.max())
    assert not seen_by(core_on(), X).constants


def test_currents_without_effect_are_counted_apart() -> None:
    core = core_on(W, {"xbar__dac__mvm__bits": 0, "xbar__adc__mvm__bits": 0})
    floor = np.array([0.0, 0.5, -1.0, 100.0])
    y = W @ X
    seen = seen_by(core, X, floor=floor)
    kept, left = seen.conversions["mvm", 0, 0, 0], seen.floors["mvm", 0, 0, 0]
    scale = np.abs(W).max()
    matters = y >= floor[:, None]
    assert (kept.total, left.total) == (matters.sum(), (~matters).sum())
    assert kept.low == pytest.approx(y[matters].min() / scale, rel=1e-6)
    assert (left.low, left.high) == pytest.approx((-1.0 / scale, 100 / scale))
    np.testing.assert_allclose(core @ X, y, atol=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {"core__rows_max": 5},
        {"core__style": "OFFSET"},
        {"core__style": "BITSLICED", "core__weight_bits": 7},
        {"core__balanced__subtract_current_in_xbar": False},
        {"core__mapping__inputs__mvm__percentile": 1.0},
        PER_BIT | {"core__rows_max": 0, "core__style": "BALANCED", "core__weight_bits": 0},
    ],
)
def test_floors_have_no_effect_where_outputs_are_made_of_several_conversions(changes: dict[str, Any]) -> None:
    core = core_on(W, changes)
    assert same(seen_by(core, X, floor=np.zeros(4)), seen_by(core, X))


def test_a_floor_must_fit_the_outputs() -> None:
    with pytest.raises(ShapeError, match="floor of 3 lines"):
        seen_by(core_on(), X, floor=np.zeros(3))
