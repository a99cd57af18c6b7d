"""The search finds ranges as good as trying all of them on the raw samples."""

from __future__ import annotations

import numpy as np
import pytest
from test_conversion_loss import SIGNALS, converted, recorded

from crossohm import ParameterError
from crossohm.calibration import ChosenRange, Objective
from crossohm.calibration.ranges import Signal, choose_range, choose_slice_ranges
from crossohm.calibration.scale import Scale

#: The reference's limits for half-normal data (100,000 samples, largest 4.73), least mean magnitude; specification 3.2.
REFERENCE_LIMITS = {4: 2.37, 6: 2.85, 8: 3.28}


def signal(values: np.ndarray) -> Signal:
    return Signal((recorded(values),), (1.0,))


def cost(x: np.ndarray, scale: Scale, low: float, high: float, power: int) -> float:
    return float(np.mean(np.abs(x - converted(x, scale, low, high)) ** power))


@pytest.mark.parametrize("bits", list(REFERENCE_LIMITS))
def test_half_normal_data_as_the_reference_or_better(bits: int) -> None:
    x = np.abs(np.random.default_rng(0).normal(size=100_000))
    assert x.max() == pytest.approx(4.73, abs=0.01)
    scale = Scale(2**bits, "positive")
    found = choose_range(signal(x), scale, Objective("L1"))
    assert found.low == 0
    assert found.high == pytest.approx(REFERENCE_LIMITS[bits], abs=0.05)
    assert cost(x, scale, 0, found.high, 1) <= cost(x, scale, 0, REFERENCE_LIMITS[bits], 1) * (1 + 1e-4)


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("levels", [4, 15, 256])
@pytest.mark.parametrize("shape", ["positive", "symmetric"])
@pytest.mark.parametrize("name", ["normal", "rectified", "heavy tails"])
def test_one_limit_as_good_as_trying_all(name: str, shape: str, levels: int, power: int) -> None:
    x = SIGNALS[name][:4000]
    scale = Scale(levels, shape)
    tried = np.abs(x).max() * np.geomspace(0.01, 1, 200)
    ranges = [tuple(float(s[0]) for s in scale.fit(np.array([-r]), np.array([r]))) for r in tried]
    best = min(cost(x, scale, *limits, power) for limits in ranges)
    found = choose_range(signal(x), scale, Objective(f"L{power}"))
    assert cost(x, scale, found.low, found.high, power) <= best * 1.01 + 1e-12
    size = np.mean(np.abs(x) ** power)
    assert found.error == pytest.approx((cost(x, scale, found.low, found.high, power) / size) ** (1 / power), rel=0.05)


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize(("levels", "zero_level"), [(4, True), (16, True), (16, False), (64, True)])
@pytest.mark.parametrize("name", list(SIGNALS))
def test_two_limits_as_good_as_trying_all(name: str, levels: int, zero_level: bool, power: int) -> None:
    x = SIGNALS[name][::20]
    scale = Scale(levels, "free", zero_level=zero_level)
    bottom, top = min(x.min(), 0), max(x.max(), 0)
    best = np.inf
    for below in np.linspace(0, 1, 25) ** 1.5:
        for above in np.linspace(0.02, 1, 25) ** 1.5:
            limits = scale.fit(np.array([bottom * below]), np.array([top * above]))
            best = min(best, cost(x, scale, float(limits[0][0]), float(limits[1][0]), power))
    found = choose_range(signal(x), scale, Objective(f"L{power}"))
    assert cost(x, scale, found.low, found.high, power) <= best * 1.02
    if zero_level:
        assert min(abs(converted(np.zeros(1), scale, found.low, found.high))) < 1e-12


def test_more_levels_need_a_wider_range_and_make_less_error() -> None:
    found = [choose_range(signal(SIGNALS["normal"]), Scale(2**bits, "free"), Objective()) for bits in range(2, 15)]
    assert np.all(np.diff([chosen.high - chosen.low for chosen in found]) >= 0)
    assert np.all(np.diff([chosen.error for chosen in found]) < 0)


@pytest.mark.parametrize("measure", ["L1", "L2", "percentile"])
@pytest.mark.parametrize("shape", ["positive", "symmetric", "free"])
@pytest.mark.parametrize("values", [[0.0], [0.0] * 50, [2.5] * 3, [1e-30, 0.0], [-4.0] * 2, [1e20, -1.0]])
def test_degenerate_signals_get_a_usable_range(values: list[float], shape: str, measure: str) -> None:
    if shape == "positive" and min(values) < 0:
        values = [abs(value) for value in values]
    for levels in (2, 3, 256, 2**16):
        found = choose_range(signal(np.array(values)), Scale(levels, shape), Objective(measure))
        assert np.isfinite(found.limits).all()
        assert found.low < found.high
        assert found.low <= 0 <= found.high or levels == 2
        if not any(values):
            assert found.error == 0


def test_a_constant_is_met_exactly() -> None:
    for shape in ("positive", "symmetric", "free"):
        found = choose_range(signal(np.full(4, 2.5)), Scale(16, shape), Objective())
        assert found.error == pytest.approx(0, abs=1e-3)


def test_percentiles_are_covered() -> None:
    x = SIGNALS["heavy tails"]
    found = choose_range(signal(x), Scale(256, "free"), Objective("percentile", 99.0))
    step = (found.high - found.low) / 255
    assert found.low == pytest.approx(np.percentile(x, 1), abs=step)
    assert found.high == pytest.approx(np.percentile(x, 99), abs=step)


def test_floors_raise_the_lower_limit() -> None:
    """Of a signal that a ReLU follows, only values above zero count: they get nearly all levels."""
    x = SIGNALS["normal"]
    silent = Signal((recorded(x[x >= 0]),), (1.0,), (recorded(np.zeros(int(np.sum(x < 0)))),))
    aware, plain = (choose_range(one, Scale(32, "free"), Objective()) for one in (silent, signal(x)))
    assert plain.low < -1.5
    assert -0.2 < aware.low <= 0
    rectified = np.maximum(x, 0)
    errors = [
        np.mean((np.maximum(converted(x, Scale(32, "free"), *chosen.limits), 0) - rectified) ** 2)
        for chosen in (aware, plain)
    ]
    assert errors[0] < errors[1] / 2


def test_the_full_percentile_does_not_lift_what_a_relu_zeroes() -> None:
    """A lower limit above the floor of any value left out would turn its zero into something."""
    signal = Signal((recorded(np.array([-0.2, 1.0])),), (1.0,), (recorded(np.array([-0.7, -0.3])),))
    chosen = choose_range(signal, Scale(256, "free", zero_level=False), Objective("percentile", 100.0))
    assert chosen.low <= -0.7
    assert chosen.high >= 1.0


def test_significant_input_slices_decide() -> None:
    """Errors of an input slice are multiplied by its weight."""
    fine, coarse = recorded(RNG.normal(0, 0.1, 5000)), recorded(RNG.normal(0, 1.0, 5000))
    scale = Scale(7, "symmetric")
    low_first = choose_range(Signal((fine, coarse), (1.0, 64.0)), scale, Objective())
    high_first = choose_range(Signal((fine, coarse), (64.0, 1.0)), scale, Objective())
    assert high_first.high < low_first.high / 3


RNG = np.random.default_rng(3)
SLICES = [RNG.normal(0, 3.0, 20_000), RNG.normal(0, 1.1, 20_000), RNG.normal(0, 0.2, 20_000)]


@pytest.mark.parametrize("levels", [15, 16, 255])
def test_slice_ranges_differ_by_powers_of_two_at_least_cost(levels: int) -> None:
    weights, scale = [1.0, 4.0, 16.0], Scale(levels, "symmetric")
    found = choose_slice_ranges([signal(x) for x in SLICES], weights, scale, Objective())
    reaches = np.array([chosen.high for chosen in found])
    exponents = np.log2(reaches[0] / reaches)
    np.testing.assert_allclose(exponents, np.rint(exponents), atol=1e-9)
    total = _slices_cost(found, weights, scale)
    factor = 1.0 if levels % 2 else 1 - 2 / levels
    tops = np.geomspace(1, 2, 60)
    best = min(
        sum(
            w**2 * min(cost(x, scale, -top * 2.0**e, top * 2.0**e * factor, 2) for e in range(-6, 5))
            for w, x in zip(weights, SLICES, strict=True)
        )
        for top in tops
    )
    assert total <= best * 1.02


def _slices_cost(found: list[ChosenRange], weights: list[float], scale: Scale) -> float:
    rows = zip(weights, SLICES, found, strict=True)
    return sum(w**2 * cost(x, scale, chosen.low, chosen.high, 2) for w, x, chosen in rows)


@pytest.mark.parametrize("measure", ["L2", "percentile"])
def test_idle_slices_do_no_harm(measure: str) -> None:
    idle = [np.zeros(10), np.abs(SLICES[0]), np.zeros(10)]
    found = choose_slice_ranges([signal(x) for x in idle], [1.0, 4.0, 16.0], Scale(16, "free"), Objective(measure))
    assert all(chosen.low == 0 < chosen.high for chosen in found)
    nothing = choose_slice_ranges([signal(np.zeros(3))] * 2, [1.0, 2.0], Scale(15, "symmetric"), Objective(measure))
    assert all(chosen.low == -chosen.high < 0 for chosen in nothing)


def test_wrong_objectives_are_refused() -> None:
    with pytest.raises(ParameterError, match=r"objective = 'L3'.*L1, L2, percentile"):
        Objective("L3")  # type: ignore[arg-type]
    for percent in (50.0, 100.1, float("nan")):
        with pytest.raises(ParameterError, match="percentile"):
            Objective("percentile", percent)
