"""Levels and transfer curves of the circuit ADCs as published, number by number."""

from __future__ import annotations

import numpy as np
import pytest
from converter_specs import CIRCUIT_ADCS, adc_spec, build_adc

from crossohm.circuits.adc.ramp import ramp_levels
from crossohm.circuits.adc.sar import sar_thresholds

EXACT_GAIN = {"gain_db": 300.0}


@pytest.mark.parametrize("model", CIRCUIT_ADCS)
def test_ideal_transfer_of_three_bits(model):
    """Thresholds at -0.75..0.75 in steps of 0.25, outputs at odd multiples of 0.125."""
    converter = build_adc(model, 3, -1.0, 1.0, **EXACT_GAIN)
    thresholds = np.linspace(-0.75, 0.75, 7)
    outputs = np.array([-0.875, -0.625, -0.375, -0.125, 0.125, 0.375, 0.625, 0.875])
    np.testing.assert_allclose(converter(thresholds - 1e-9), outputs[:-1], atol=1e-15)
    np.testing.assert_allclose(converter(thresholds + 1e-9), outputs[1:], atol=1e-15)
    np.testing.assert_allclose(converter.output_levels, outputs, atol=1e-15)
    assert converter.levels == 8
    assert converter.lsb == 0.25


@pytest.mark.parametrize("model", ["RampADC", "SarADC"])
def test_asymmetric_range_leaves_codes_unused(model):
    """The code scale stays symmetric: six of eight codes can occur in [-0.25, 1]."""
    converter = build_adc(model, 3, -0.25, 1.0, gain_db=1000.0)
    np.testing.assert_allclose(
        np.unique(converter(np.linspace(-2, 2, 4001))), [-0.375, -0.125, 0.125, 0.375, 0.625, 0.875], atol=1e-15
    )
    assert converter.levels == 8


@pytest.mark.parametrize("model", ["PipelineADC", "CyclicADC"])
def test_asymmetric_range_of_staged_converters(model):
    """As above, but for inputs clipped to exactly -Vref/4, which the 1.5-bit stage gets wrong."""
    inside = build_adc(model, 3, -0.25, 1.0, **EXACT_GAIN)(np.linspace(-0.2499, 2, 4001))
    np.testing.assert_allclose(np.unique(inside), [-0.125, 0.125, 0.375, 0.625, 0.875], atol=1e-15)


def test_symmetric_ramp_of_low_gain():
    levels = ramp_levels(adc_spec("RampADC", 5, gain_db=20.0, symmetric_cdac=True), 2.0, np.zeros(6))
    np.testing.assert_allclose(levels[:2], [-1.61458333, -1.51832461], atol=5e-9)
    np.testing.assert_allclose(levels[15:17], [-0.05649718, 0.05681818], atol=5e-9)
    np.testing.assert_allclose(levels[-2:], [1.52631579, 1.62303665], atol=5e-9)


def test_plain_ramp_of_low_gain():
    levels = ramp_levels(adc_spec("RampADC", 5, gain_db=20.0, symmetric_cdac=False), 2.0, np.zeros(6))
    np.testing.assert_allclose(levels[0], -1.76136364, atol=5e-9)
    np.testing.assert_allclose(levels[15:17], [-0.05449591, 0.05434783], atol=5e-9)
    np.testing.assert_allclose(levels[-1], 1.61879896, atol=5e-9)


def test_split_sar_of_low_gain():
    thresholds = sar_thresholds(adc_spec("SarADC", 4, gain_db=20.0, split_cdac=True), 2.0, np.zeros(5))
    np.testing.assert_allclose(
        thresholds[[0, 1, 8, 15]], [-1.82954545, -1.60227273, -0.01136364, 1.57954545], atol=5e-9
    )


def test_plain_sar_of_low_gain():
    thresholds = sar_thresholds(adc_spec("SarADC", 4, gain_db=20.0, split_cdac=False), 2.0, np.zeros(5))
    np.testing.assert_allclose(
        thresholds[[0, 1, 8, 9, 15]], [-1.6875, -1.49342105, -0.01136364, 0.21207865, 1.45394737], atol=5e-9
    )


def test_pipeline_of_low_gain():
    """Not monotone: inputs of exactly ±Vref/4 = ±0.5 are on neither side of a decision level."""
    y = build_adc("PipelineADC", 4, -2.0, 2.0, gain_db=20.0)(np.arange(-2, 2.1, 0.5))
    np.testing.assert_allclose(y, [-1.875, -1.375, -1.125, -1.375, -0.125, -0.625, 0.875, 1.375, 1.875], atol=1e-12)


# A balanced core with Rmin/Rmax = 0.1 delivers 0.9 times the product; results are in algorithm units.
RAW = 0.9 * np.array([1.075, -0.145])


def test_ramp_conversion_of_a_product():
    y = build_adc("RampADC", 5, -2.0, 2.0, **EXACT_GAIN)(RAW) / 0.9
    np.testing.assert_allclose(y, [1.0416667, -0.2083333], atol=5e-8)


def test_sign_magnitude_conversion_of_a_product():
    converter = build_adc("SignMagnitudeADC", 5, -2.0, 2.0)
    np.testing.assert_allclose(converter(RAW) / 0.9, [1.0370370, -0.1481481], atol=5e-8)
    assert converter.levels == 31
