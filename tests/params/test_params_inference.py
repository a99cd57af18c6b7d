"""`dnn_inference_params`: every keyword, one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from crossohm import AnalogCore, CrossSimParameters, ParameterError, UnknownNameError
from crossohm.params import dnn_inference_params

MODEL = "xbar.device.{}.{}"
ADC, DAC, INPUTS = "xbar.adc.mvm.", "xbar.dac.mvm.", "core.mapping.inputs.mvm."


def test_the_defaults_can_be_built_and_simulated() -> None:
    params = dnn_inference_params()
    assert (params.xbar.adc.mvm.bits, params.xbar.dac.mvm.bits) == (8, 8)
    y = AnalogCore(np.eye(3), params, seed=1) @ np.array([0.2, 0.5, 1.0])
    assert np.abs(y - [0.2, 0.5, 1.0]).max() < 0.02


def test_ideal_ignores_everything_but_the_machine() -> None:
    ideal = dnn_inference_params(ideal=True, adc_bits=4, alpha_error=0.1, error_model="generic", useGPU=True, gpu_id=2)
    assert set(ideal.diff(CrossSimParameters())) == {"simulation.useGPU", "simulation.gpu_id"}


#: Keywords, and what they set.
ROWS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"useGPU": True, "gpu_id": 1}, {"simulation.useGPU": True, "simulation.gpu_id": 1}),
    ({"x_par": 3, "y_par": 4}, {"simulation.convolution.x_par": 3, "simulation.convolution.y_par": 4}),
    ({"core_style": "OFFSET"}, {"core.style": "OFFSET"}),
    (
        {"core_style": "OFFSET", "Nslices": 4, "weight_bits": 8, "adc_range": [(0, 1)] * 4},
        {"core.style": "BITSLICED", "core.bit_sliced.style": "OFFSET", "core.bit_sliced.num_slices": 4},
    ),
    ({"balanced_style": "TWO_SIDED"}, {"core.balanced.style": "TWO_SIDED"}),
    ({"subtract_current_in_xbar": False}, {"core.balanced.subtract_current_in_xbar": False}),
    ({"interleaved_posneg": True}, {"core.balanced.interleaved_posneg": True}),
    ({"core_style": "OFFSET", "digital_offset": True}, {"core.offset.style": "DIGITAL_OFFSET"}),
    ({"core_style": "OFFSET", "digital_offset": False}, {"core.offset.style": "UNIT_COLUMN_SUBTRACTION"}),
    ({"NrowsMax": 72, "NcolsMax": 64}, {"core.rows_max": 72, "core.cols_max": 64}),
    ({"weight_bits": 8}, {"core.weight_bits": 8, "xbar.device.cell_bits": 7}),
    ({"weight_bits": 8, "core_style": "OFFSET"}, {"core.weight_bits": 8, "xbar.device.cell_bits": 8}),
    ({"weight_bits": 9, "Nslices": 4, "adc_range": [(-1, 1)] * 4}, {"xbar.device.cell_bits": 2}),
    ({"weight_bits": 8, "Nslices": 4, "adc_range": [(-1, 1)] * 4}, {"xbar.device.cell_bits": 2}),
    (
        {"weight_bits": 9, "Nslices": 4, "core_style": "OFFSET", "adc_range": [(0, 1)] * 4},
        {"xbar.device.cell_bits": 3},
    ),
    ({"weight_bits": 0}, {"core.weight_bits": 0, "xbar.device.cell_bits": 0}),
    ({"weight_percentile": 99.9}, {"core.mapping.weights.percentile": pytest.approx(0.999)}),
    (
        {"Rmin": 2e3, "Rmax": 5e4, "infinite_on_off_ratio": False, "Vread": 0.2},
        {"xbar.device.Rmin": 2e3, "xbar.device.Rmax": 5e4, "xbar.device.infinite_on_off_ratio": False,
         "xbar.device.Vread": 0.2},
    ),
    (
        {"error_model": "generic", "alpha_error": 0.1},
        {MODEL.format("programming_error", "enable"): True, MODEL.format("programming_error", "magnitude"): 0.1,
         MODEL.format("programming_error", "model"): "NormalIndependentDevice"},
    ),
    (
        {"error_model": "generic", "alpha_error": 0.1, "proportional_error": True},
        {MODEL.format("programming_error", "model"): "NormalProportionalDevice"},
    ),
    ({"error_model": "generic"}, {MODEL.format("programming_error", "enable"): False}),
    ({"error_model": "none", "alpha_error": 0.1}, {MODEL.format("programming_error", "enable"): False}),
    (
        {"noise_model": "generic", "alpha_noise": 0.02, "proportional_noise": True},
        {MODEL.format("read_noise", "enable"): True, MODEL.format("read_noise", "model"): "NormalProportionalDevice"},
    ),
    ({"drift_model": None}, {MODEL.format("drift_error", "enable"): False}),
    (
        {"Rp_row": 1.0, "Rp_col": 2.0, "Rp_row_terminal": 3.0, "Rp_col_terminal": 4.0},
        {"xbar.array.parasitics.enable": True, "xbar.array.parasitics.Rp_row": 1.0,
         "xbar.array.parasitics.Rp_col": 2.0, "xbar.array.parasitics.Rp_row_terminal": 3.0,
         "xbar.array.parasitics.Rp_col_terminal": 4.0},
    ),
    (
        {"Rp_col": 1.0, "current_from_input": False, "selected_rows": "bottom", "input_bitslicing": True},
        {"xbar.array.parasitics.current_from_input": False, "xbar.array.parasitics.selected_rows": "bottom"},
    ),
    ({}, {"xbar.array.parasitics.enable": False}),
    ({"Icol_max": 5.0}, {"xbar.array.Icol_max": 5.0}),
    ({"input_bits": 0}, {DAC + "bits": 0, DAC + "model": "IdealDAC"}),
    (
        {"input_bits": 6, "input_range": (0, 2), "positiveInputsOnly": True},
        {DAC + "bits": 6, DAC + "model": "QuantizerDAC", DAC + "signed": False, INPUTS + "min": 0.0,
         INPUTS + "max": 2.0},
    ),
    (
        {"input_range": (-3, 2)},
        {DAC + "model": "SignMagnitudeDAC", DAC + "signed": True, INPUTS + "min": -3.0, INPUTS + "max": 3.0},
    ),
    ({"input_range": (0, 0.5), "digital_bias": False}, {INPUTS + "max": 1.0}),
    ({"input_range": (0, 0.5), "digital_bias": True}, {INPUTS + "max": 0.5}),
    (
        {"input_bitslicing": True, "input_slice_size": 2, "adc_per_ibit": True},
        {DAC + "input_bitslicing": True, DAC + "slice_size": 2, ADC + "adc_per_ibit": True},
    ),
    ({"adc_bits": 0}, {ADC + "bits": 0, ADC + "model": "IdealADC"}),
    (
        {"adc_range": (0, 2)},
        {ADC + "model": "QuantizerADC", ADC + "signed": False, ADC + "calibrated_range": [0.0, 2.0]},
    ),
    (
        {"adc_range": (-1, 1.01), "adc_bits": 7},  # nearly symmetric: a level on zero is worth more
        {ADC + "model": "SignMagnitudeADC", ADC + "signed": True, ADC + "calibrated_range": [-1.01, 1.01]},
    ),
    (
        {"adc_range": (-1, 1.2)},
        {ADC + "model": "QuantizerADC", ADC + "signed": True, ADC + "calibrated_range": [-1.0, 1.2]},
    ),
    (
        {"Nslices": 2, "weight_bits": 8, "adc_range": [(-1, 1), (-2, 2)]},
        {ADC + "model": "SignMagnitudeADC", ADC + "calibrated_range": [[-1.0, 1.0], [-2.0, 2.0]]},
    ),
    ({"adc_range_option": "MAX"}, {ADC + "model": "SignMagnitudeADC", ADC + "adc_range_option": "MAX"}),
    (
        {"adc_range_option": "MAX", "core_style": "OFFSET", "positiveInputsOnly": True},
        {ADC + "model": "QuantizerADC", ADC + "signed": False},
    ),
    (
        {"adc_type": "sar", "adc_range": (-1, 2)},
        {ADC + "model": "SarADC", ADC + "signed": True, ADC + "calibrated_range": [-2.0, 2.0], ADC + "gain_db": 100.0,
         ADC + "sigma_capacitor": 0.0, ADC + "split_cdac": True, ADC + "group_size": 8},
    ),
    ({"adc_type": "ramp"}, {ADC + "model": "RampADC"}),
    ({"adc_type": "pipeline"}, {ADC + "model": "PipelineADC"}),
    ({"adc_type": "cyclic"}, {ADC + "model": "CyclicADC"}),
    (
        {"profile_xbar_inputs": True, "ntest": 7},
        {"simulation.analytics.profile_xbar_inputs": True, "simulation.analytics.ntest": 7},
    ),
    ({"profile_adc_inputs": True}, {"simulation.analytics.profile_adc_inputs": True}),
]  # fmt: skip


@pytest.mark.parametrize(("keywords", "expected"), ROWS, ids=[", ".join(k) or "defaults" for k, _ in ROWS])
def test_every_keyword(keywords: dict[str, Any], expected: dict[str, Any]) -> None:
    params = dnn_inference_params(**keywords)
    found = {path: params.get(path) for path in expected}
    assert {path: getattr(value, "name", value) for path, value in found.items()} == expected


def test_device_models_by_name() -> None:
    params = dnn_inference_params(error_model="RRAMMilo", drift_model="SONOS", t_drift=1.0, Vread=0.06)
    assert params.xbar.device.programming_error.model == "RRAMMilo"
    assert (params.xbar.device.drift_error.model, params.xbar.device.time) == ("SONOS", 1.0)


@pytest.mark.parametrize(
    ("keywords", "kind", "message"),
    [
        ({"core_style": "BITSLICED"}, UnknownNameError, "core_style = 'BITSLICED'"),
        ({"adc_type": "flash"}, UnknownNameError, "adc_type = 'flash'"),
        ({"adc_range": (1, 1)}, ParameterError, "adc_range"),
        ({"input_range": (2, 1)}, ParameterError, "input_range"),
        ({"Rmin": -1.0}, ParameterError, "xbar.device.Rmin"),
    ],
)
def test_what_is_wrong_is_named(keywords: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        dnn_inference_params(**keywords)


def test_a_device_that_does_not_exist_is_named_when_the_hardware_is_built() -> None:
    with pytest.raises(UnknownNameError, match="NoSuchDevice"):
        AnalogCore([[1.0]], dnn_inference_params(error_model="NoSuchDevice"))


def test_unknown_keywords_are_refused() -> None:
    with pytest.raises(TypeError, match="adc_bit"):
        dnn_inference_params(adc_bit=8)  # type: ignore[call-arg]


def test_the_callers_data_stay_as_they_are() -> None:
    adc_range, input_range = [-1.0, 1.01], [-0.5, 2.0]
    dnn_inference_params(adc_range=adc_range, input_range=input_range, adc_bits=6)
    assert (adc_range, input_range) == ([-1.0, 1.01], [-0.5, 2.0])
