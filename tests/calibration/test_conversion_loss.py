"""The closed form of what a range costs, against the raw samples it was recorded from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossohm import CrossOhmError
from crossohm.calibration import StreamingHistogram
from crossohm.calibration.density import Density
from crossohm.calibration.loss import ConversionLoss
from crossohm.calibration.scale import Scale, adc_scale, dac_scale
from crossohm.circuits.adc import get_adc
from crossohm.params import ADCParameters, DACParameters

RNG = np.random.default_rng(11)
SIGNALS = {
    "normal": RNG.normal(0.3, 1.0, 40_000),
    "rectified": np.maximum(RNG.normal(size=40_000), 0),
    "heavy tails": RNG.standard_t(3, 40_000),
    "two humps": np.concatenate([RNG.normal(-3, 0.2, 20_000), RNG.normal(2, 0.5, 20_000)]),
}


def recorded(values: np.ndarray, bins: int = 4096) -> StreamingHistogram:
    seen = StreamingHistogram(bins)
    seen.add(values)
    return seen


def converted(x: np.ndarray, scale: Scale, low: float, high: float) -> np.ndarray:
    first, step = (float(part[0]) for part in scale.steps(np.array([low]), np.array([high])))
    return first + step * np.clip(np.rint((x - first) / step), 0, scale.levels - 1)


def one(loss: ConversionLoss, low: float, high: float) -> float:
    return float(loss(np.array([low]), np.array([high]))[0])


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("levels", [2, 15, 256, 5000])
@pytest.mark.parametrize("name", list(SIGNALS))
def test_loss_is_that_of_the_samples(name: str, levels: int, power: int) -> None:
    x = SIGNALS[name]
    for to_limits in (True, False):
        scale = Scale(levels, "free", to_limits)
        loss = ConversionLoss(Density([recorded(x, 16384)]), scale, power)
        for low, high in ((-1.0, 1.3), (0.0, 2.0), (-4.0, 3.5), (x.min(), x.max())):
            wanted = np.mean(np.abs(x - converted(x, scale, low, high)) ** power)
            step = float(scale.steps(np.array([low]), np.array([high]))[1][0])
            # The samples' own scatter: a mean error has a standard error of about error / sqrt(n).
            assert one(loss, low, high) == pytest.approx(wanted, rel=0.03, abs=0.02 * (step / 4) ** power)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=30), st.sampled_from([1, 2]), st.floats(0.01, 150))
def test_loss_is_within_what_a_bin_allows(values: list[float], power: int, high: float) -> None:
    x = np.array(values)
    seen = recorded(x)
    width = 2 * seen.reach / len(seen.counts)
    scale = Scale(8, "free")
    error = np.abs(x - converted(x, scale, -high / 3, high))
    found = one(ConversionLoss(Density([seen]), scale, power), -high / 3, high)
    assert np.mean(np.maximum(error - width, 0) ** power) * (1 - 1e-9) - 1e-9 <= found
    assert found <= np.mean((error + width) ** power) * (1 + 1e-9) + 1e-9


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=20), st.lists(st.floats(-10, 10), min_size=1, max_size=20))
def test_densities_add_like_their_records(first: list[float], second: list[float]) -> None:
    one_, other = recorded(np.array(first)), recorded(np.array(second))
    together = recorded(np.array(first + second))
    points = np.linspace(-11, 11, 50)
    apart, joint = Density([one_, other]), Density([together])
    for power in (1, 2):
        assert apart.mean(power) == pytest.approx(joint.mean(power), rel=1e-9, abs=1e-12)
    np.testing.assert_allclose(
        apart.outside(points - 1, points + 1, 2), joint.outside(points - 1, points + 1, 2), rtol=1e-9, atol=1e-9
    )


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=20), st.integers(1, 5))
def test_weights_count_like_repetitions(values: list[float], times: int) -> None:
    x, other = np.array(values), np.linspace(-3, 4, 7)
    weighted = Density([recorded(x), recorded(other)], [times, 1.0])
    repeated = Density([recorded(np.concatenate([np.tile(x, times), other]))])
    assert weighted.mean(2) == pytest.approx(repeated.mean(2), rel=1e-9)
    assert weighted.total == repeated.total


@pytest.mark.parametrize("value", [0.0, 0.7, -3.0, 1e-12, 1e12])
@pytest.mark.parametrize("power", [1, 2])
def test_constant_signals_have_the_error_of_their_value(value: float, power: int) -> None:
    loss = ConversionLoss(Density([recorded(np.full(9, value))]), Scale(5, "free"), power)
    for low, high in ((-1.0, 1.0), (0.0, 4.0), (-10.0, 0.1)):
        level = float(converted(np.array(value), loss.scale, low, high))
        assert one(loss, low, high) == pytest.approx(abs(value - level) ** power, rel=1e-9, abs=1e-15)


def test_zeros_cost_nothing_where_zero_is_a_level() -> None:
    sparse = np.zeros(10_000)
    sparse[:100] = 1.0
    loss = ConversionLoss(Density([recorded(sparse)]), Scale(3, "free"), 1)
    assert one(loss, -1.0, 1.0) == pytest.approx(0.0, abs=1e-4 * 0.01)  # the ones are known to a bin


def test_values_below_a_floor_cost_what_the_lower_limit_lifts_them_by() -> None:
    x, floors = np.array([1.0, 2.0, 3.0]), np.array([-1.0])
    loss = ConversionLoss(Density([recorded(x)]), Scale(9, "free"), 2, Density([recorded(floors)]))
    assert one(loss, -1.0, 3.0) == pytest.approx(0.0, abs=1e-5)
    assert one(loss, -0.5, 3.5) == pytest.approx(0.25 * 0.5**2, abs=1e-5)


def test_nothing_recorded() -> None:
    with pytest.raises(CrossOhmError, match="nothing was recorded"):
        Density([StreamingHistogram()])


@pytest.mark.parametrize("model", ["QuantizerADC", "SignMagnitudeADC", "RampADC", "SarADC", "PipelineADC", "CyclicADC"])
def test_levels_are_those_of_the_converter(model: str) -> None:
    spec = ADCParameters(model=model, bits=4)
    scale = adc_scale(spec)
    assert scale is not None
    low, high = (float(side[0]) for side in scale.fit(np.array([-1.5]), np.array([1.5])))
    adc = get_adc(model, "adc")
    levels = adc.build(spec, low, high, adc.mismatch(spec, 1, np.random.default_rng(0))).output_levels
    first, step = (float(part[0]) for part in scale.steps(np.array([low]), np.array([high])))
    np.testing.assert_allclose(first + step * np.arange(scale.levels), levels, atol=1e-12)


def test_converters_without_levels_have_no_scale() -> None:
    assert adc_scale(ADCParameters(model="IdealADC", bits=8)) is None
    assert adc_scale(ADCParameters(model="QuantizerADC", bits=0)) is None
    assert dac_scale(DACParameters(model="IdealDAC", bits=8)) is None
    assert dac_scale(DACParameters(model="SignMagnitudeDAC", bits=0)) is None


@given(st.integers(2, 300), st.floats(0, 50), st.floats(0.01, 50))
def test_free_ranges_get_a_level_on_zero_and_keep_their_width(levels: int, below: float, above: float) -> None:
    scale = Scale(levels, "free")
    low, high = (float(side[0]) for side in scale.fit(np.array([-below]), np.array([above])))
    assert high - low == pytest.approx(below + above)
    if levels > 2:
        step = (high - low) / (levels - 1)
        assert abs(-low / step - round(-low / step)) < 1e-6
    covered = scale.cover(-below, above)
    step = (covered[1] - covered[0]) / (levels - 1)
    assert covered[0] <= -below + step / 2 * (1 + 1e-9)
    assert covered[1] >= above - step / 2 * (1 + 1e-9)
