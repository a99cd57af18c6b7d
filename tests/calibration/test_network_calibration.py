"""Calibration of a whole network, on one made of NumPy and cores alone: no framework is needed for it."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from two_layers import FIRST, HIDDEN, IMAGES, SECOND, TwoLayers, hardware

from crossohm import CrossSimParameters, ParameterError, ShapeError
from crossohm.calibration import calibrate, calibrate_network
from crossohm.params import ADCRangeLimits

NETWORK = TwoLayers({})


def calibrated(params: CrossSimParameters, **options: Any) -> list[CrossSimParameters]:
    return calibrate_network(NETWORK, [params, params], IMAGES, **options)


def adc_ranges(found: list[CrossSimParameters]) -> list[list[float]]:
    return [params.xbar.adc.mvm.calibrated_range for params in found]


def test_input_ranges_hold_all_training_inputs() -> None:
    for params, inputs in zip(calibrated(hardware()), (IMAGES, HIDDEN), strict=True):
        limits = params.core.mapping.inputs.mvm
        assert limits.max == pytest.approx(np.abs(inputs).max(), rel=1e-6)
        assert limits.min == -limits.max
        assert limits.percentile is None


def test_adc_ranges_are_percentiles_of_the_currents() -> None:
    inputs = [(x, np.abs(x).max()) for x in (IMAGES, HIDDEN)]
    weights = [w / np.abs(w).max() for w in (FIRST, SECOND)]
    currents = [(x / top) @ w.T for (x, top), w in zip(inputs, weights, strict=True)]
    plain = {"objective": "percentile", "percentile": 99.0, "zero_level": False, "relu_aware": False}
    found = list(calibrate(NETWORK, IMAGES, hardware(), **plain).hardware.values())
    for (low, high), seen in zip(adc_ranges(found), currents, strict=True):
        bin_width = 2 * 2 ** np.ceil(np.log2(np.abs(seen).max())) / 4096
        assert low == pytest.approx(np.percentile(seen, 1.0), abs=2 * bin_width + 2e-3)  # 12-bit inputs
        assert high == pytest.approx(np.percentile(seen, 99.0), abs=2 * bin_width + 2e-3)


@pytest.mark.parametrize("model", ["SignMagnitudeADC", "RampADC", "SarADC"])
def test_symmetric_codes_get_symmetric_ranges(model: str) -> None:
    found = calibrated(hardware(xbar__adc__mvm__model=model))
    assert all(low == -high < 0 for low, high in adc_ranges(found))
    NETWORK.on_hardware(found, seed=1)  # and such converters can be built


def test_zero_current_is_within_the_range() -> None:
    params = hardware(core__style="OFFSET", xbar__dac__mvm__model="QuantizerDAC", xbar__dac__mvm__signed=False)
    found = calibrate_network(NETWORK, [params, params], np.abs(IMAGES), percentile=90)
    assert all(low == 0 < high for low, high in adc_ranges(found))


def test_no_chip_influences_the_ranges() -> None:
    errors = {
        f"xbar__device__{effect}__{name}": value
        for effect in ("programming_error", "read_noise")
        for name, value in (("enable", True), ("model", "NormalIndependentDevice"), ("magnitude", 0.3))
    }
    assert adc_ranges(calibrated(hardware(**errors))) == adc_ranges(calibrated(hardware()))


def test_batches_do_not_influence_the_ranges() -> None:
    params = [hardware(), hardware()]
    found = [calibrate_network(TwoLayers({}, batch), params, IMAGES) for batch in (7, 150)]
    np.testing.assert_allclose(*map(adc_ranges, found), rtol=1e-6)


def test_calibrated_converters_cost_little_and_few_levels_more() -> None:
    exact = HIDDEN @ SECOND.T
    rms = [
        float(np.sqrt(np.mean((_answers(calibrated(hardware(xbar__adc__mvm__bits=bits))) - exact) ** 2)))
        for bits in (5, 8, 11)
    ]
    assert rms[0] > 4 * rms[1] > 4 * rms[2]  # an ideal quantiser gains a factor of eight each
    assert rms[1] < 0.02 * exact.std()


def test_a_calibrated_range_beats_the_maximum() -> None:
    exact = HIDDEN @ SECOND.T
    params = hardware(xbar__adc__mvm__bits=6, xbar__adc__mvm__adc_range_option="MAX")
    kept, chosen = calibrated(params, percentile=None), calibrated(params)
    assert [p.xbar.adc.mvm.adc_range_option for p in kept] == [ADCRangeLimits.MAX] * 2
    assert [p.xbar.adc.mvm.adc_range_option for p in chosen] == [ADCRangeLimits.CALIBRATED] * 2
    assert np.mean((_answers(chosen) - exact) ** 2) < np.mean((_answers(kept) - exact) ** 2) / 4


def _answers(found: list[CrossSimParameters]) -> np.ndarray:
    return NETWORK.on_hardware(found, seed=1).outputs(IMAGES, "", lambda *_: None)


def test_granular_ranges_are_kept() -> None:
    params = hardware(
        xbar__device__cell_bits=3, xbar__dac__mvm__bits=4, xbar__dac__mvm__input_bitslicing=True,
        xbar__adc__mvm__adc_per_ibit=True, xbar__adc__mvm__adc_range_option="GRANULAR",
    )  # fmt: skip
    assert [p.xbar.adc.mvm.adc_range_option for p in calibrated(params)] == [ADCRangeLimits.GRANULAR] * 2
    assert adc_ranges(calibrated(params)) == [[], []]


def test_a_range_per_vector_is_kept() -> None:
    params = hardware(core__mapping__inputs__mvm__percentile=1.0)
    assert [p.core.mapping.inputs.mvm.percentile for p in calibrated(params)] == [1.0, 1.0]


def test_the_given_description_is_not_changed() -> None:
    params = hardware()
    before = params.copy()
    calibrated(params)
    assert params == before


def test_unsigned_inputs() -> None:
    unsigned = hardware(xbar__dac__mvm__model="QuantizerDAC", xbar__dac__mvm__signed=False)
    _, second = calibrate_network(NETWORK, [hardware(), unsigned], IMAGES)
    assert second.core.mapping.inputs.mvm.min == 0
    assert second.core.mapping.inputs.mvm.max == pytest.approx(HIDDEN.max(), rel=1e-6)
    with pytest.raises(ParameterError, match=r"xbar\.dac\.mvm\.signed.*'first' has negative inputs"):
        calibrate_network(NETWORK, [unsigned, unsigned], IMAGES)


@pytest.mark.parametrize("style", ["BALANCED", "OFFSET"])
def test_slices_differ_by_powers_of_two_and_hold_their_currents(style: str) -> None:
    params = hardware(
        core__style="BITSLICED", core__bit_sliced__style=style, core__bit_sliced__num_slices=3, core__weight_bits=9,
        xbar__adc__mvm__model="SignMagnitudeADC",
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the parameters warn about ranges that cannot be added by shifting
        found = calibrated(params, percentile=100)
        analog = NETWORK.on_hardware(found, seed=1)
    for name, limits in zip(NETWORK.convertible, adc_ranges(found), strict=True):
        reach = np.array([high for _, high in limits])
        exponents = np.log2(reach.max() / reach)
        assert np.array_equal(exponents, np.rint(exponents))
        with analog.cores[name].profile() as seen:
            analog.outputs(IMAGES, "", lambda *_: None)
        largest = [max(-record.low, record.high) for record in seen.adc_slices("mvm", 3)]
        assert all(used <= limit < 2 * used or limit == reach.max() for used, limit in zip(largest, reach, strict=True))


def test_one_description_per_layer() -> None:
    with pytest.raises(ShapeError, match="1 hardware descriptions for 2 layers: first, second"):
        calibrate_network(NETWORK, [hardware()], IMAGES)


def test_progress_is_told() -> None:
    told: list[tuple[str, int, int]] = []
    calibrated(hardware(), progress=lambda *step: told.append(step))
    assert [stage for stage, done, total in told if done == total == len(IMAGES)] == ["input ranges", "ADC ranges"]
