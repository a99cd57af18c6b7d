"""`dnn_inference_params`: every keyword, one by one."""

from __future__ import annotations

from inspect import signature
from typing import Any

import numpy as np
import pytest

from crossohm import AnalogCore, CrossSimParameters, ParameterError, UnknownNameError
from crossohm.params import ADCRangeLimits, BalancedCoreStyle, CoreStyle, dnn_inference_params

DEFAULTS = {name: given.default for name, given in signature(dnn_inference_params).parameters.items()}
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


#: A value of another type for every keyword: what a careless script, or a file of strings, passes.
FLAGS = [name for name, given in DEFAULTS.items() if isinstance(given, bool)]
NUMBERS = [
    name for name, given in DEFAULTS.items()
    if name.startswith("N") or (isinstance(given, int | float) and not isinstance(given, bool))
]  # fmt: skip
NAMES = sorted(set(DEFAULTS) - set(FLAGS) - set(NUMBERS) - {"input_range", "adc_range"})


def test_the_kinds_of_keywords_are_all_of_them() -> None:
    assert NAMES == [
        "adc_range_option", "adc_type", "balanced_style", "core_style", "drift_model", "error_model", "noise_model",
        "selected_rows",
    ]  # fmt: skip


@pytest.mark.parametrize("name", FLAGS)
@pytest.mark.parametrize("wrong", ["False", "no", "", 0, 1, 0.0, None, np.int64(1), [True]])
def test_a_flag_is_true_or_false(name: str, wrong: Any) -> None:
    with pytest.raises(ParameterError, match=rf"^{name} = .*True or False"):
        dnn_inference_params(**{name: wrong})


@pytest.mark.parametrize("name", FLAGS)
def test_flags_of_numpy_are_flags(name: str) -> None:
    plain = dict(input_bitslicing=True, positiveInputsOnly=True)  # under which all flags are allowed
    for value in (True, False):
        if name == "input_bitslicing" and not value:
            continue
        keywords = plain | {name: value}
        assert dnn_inference_params(**keywords | {name: np.bool_(value)}) == dnn_inference_params(**keywords)


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("wrong", ["8", True, np.bool_(False), [8], float("nan"), float("inf"), 1j])
def test_a_number_is_a_number(name: str, wrong: Any) -> None:
    with pytest.raises(ParameterError, match=rf"^{name} = "):
        dnn_inference_params(**{name: wrong})


@pytest.mark.parametrize("name", [name for name in NUMBERS if not isinstance(DEFAULTS[name], float)])
def test_a_count_has_no_fraction(name: str) -> None:
    with pytest.raises(ParameterError, match=rf"^{name} = 2.5: not an integer"):
        dnn_inference_params(**{name: 2.5})


def test_numbers_of_numpy_are_numbers() -> None:
    numpy = dnn_inference_params(
        adc_bits=np.int64(6),
        Rmin=np.float32(2000),
        adc_range=np.array([-1, 2], np.float32),
        input_range=np.array([0, 3]),
    )
    assert numpy == dnn_inference_params(adc_bits=6, Rmin=2000, adc_range=(-1, 2), input_range=[0, 3])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("wrong", [True, 3.5, ["generic"], b"generic"])
def test_a_name_is_a_string(name: str, wrong: Any) -> None:
    with pytest.raises(ParameterError, match=rf"^{name} = "):
        dnn_inference_params(**{name: wrong})


@pytest.mark.parametrize(
    ("name", "wrong", "near"),
    [
        ("core_style", "balanced", "BALANCED"),
        ("core_style", "OFFSETS", "OFFSET"),
        ("balanced_style", "one_sided", "ONE_SIDED"),
        ("adc_type", "SAR", "sar"),
        ("adc_type", "pipelined", "pipeline"),
        ("adc_range_option", "max", "MAX"),
        ("adc_range_option", "CALIBRATE", "CALIBRATED"),
        ("selected_rows", "Bottom", "bottom"),
        ("error_model", "Generic", "generic"),
        ("noise_model", "None", "none"),
        ("drift_model", "NONE", "none"),
    ],
)
def test_a_misspelt_name_gets_the_right_one(name: str, wrong: str, near: str) -> None:
    with pytest.raises(UnknownNameError, match=rf"^{name} = '{wrong}'.*Did you mean '{near}'"):
        dnn_inference_params(**{name: wrong}, adc_bits=0)


def test_choices_count_as_their_names() -> None:
    by_name = dnn_inference_params(core_style="OFFSET", balanced_style="TWO_SIDED", adc_range_option="MAX")
    assert by_name == dnn_inference_params(
        core_style=CoreStyle.OFFSET,  # type: ignore[arg-type]
        balanced_style=BalancedCoreStyle.TWO_SIDED,  # type: ignore[arg-type]
        adc_range_option=ADCRangeLimits.MAX,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("name", ["input_range", "adc_range"])
@pytest.mark.parametrize("wrong", ["01", ("0", "1"), (True, False), 1.0, (0.0, float("nan")), {"min": 0, "max": 1}])
def test_a_range_is_two_numbers(name: str, wrong: Any) -> None:
    with pytest.raises(ParameterError, match=rf"^{name} = "):
        dnn_inference_params(**{name: wrong})


# --- what there is without a converter --------------------------------------------------------------------------------

STYLES: list[dict[str, Any]] = [
    {}, {"core_style": "OFFSET"}, {"Nslices": 2, "weight_bits": 8}, {"subtract_current_in_xbar": False},
    {"core_style": "OFFSET", "digital_offset": False},
]  # fmt: skip


@pytest.mark.parametrize("style", STYLES, ids=str)
@pytest.mark.parametrize("per_slice", [True, False])
@pytest.mark.parametrize("positive", [True, False])
def test_currents_are_recorded_as_an_adc_will_see_them(style: dict[str, Any], per_slice: bool, positive: bool) -> None:
    rng = np.random.default_rng(0)
    matrix, inputs = rng.normal(size=(5, 20)), rng.uniform(0 if positive else -1, 1, size=(20, 30))
    keywords = dict(
        input_bitslicing=True, digital_bias=True, positiveInputsOnly=positive, adc_per_ibit=per_slice, **style
    )

    def seen(**adc: Any) -> list[list[float]]:
        core = AnalogCore(matrix, dnn_inference_params(**keywords, **adc), seed=1)
        with core.profile() as taps:
            core @ inputs
        return [[record.percentile(0), record.percentile(100)] for record in taps.adc_slices()]

    np.testing.assert_allclose(seen(adc_bits=0), seen(adc_bits=8, adc_range_option="MAX"), rtol=1e-6)


@pytest.mark.parametrize("style", STYLES, ids=str)
@pytest.mark.parametrize("positive", [True, False])
@pytest.mark.parametrize("slicing", [True, False])
@pytest.mark.parametrize("bits", [0, 8])
def test_limits_from_the_hardware_suit_every_style_that_can_be_built(
    style: dict[str, Any], positive: bool, slicing: bool, bits: int
) -> None:
    params = dnn_inference_params(
        adc_range_option="MAX", positiveInputsOnly=positive, input_bits=bits, input_bitslicing=slicing and bits > 0,
        infinite_on_off_ratio=False, **style,
    )  # fmt: skip
    pairs_meet = "core_style" not in style and style.get("subtract_current_in_xbar", True)
    assert params.xbar.adc.mvm.model == ("SignMagnitudeADC" if pairs_meet or not positive else "QuantizerADC")
    y = AnalogCore(np.eye(4), params, seed=1) @ np.array([0.2, 0.9, 0.5, 0.0])
    assert np.abs(y - [0.2, 0.9, 0.5, 0.0]).max() < 0.3


def test_bits_given_to_hardware_without_converters_do_not_pass_in_silence() -> None:
    params = dnn_inference_params(adc_bits=0, input_bits=0)
    params.xbar.adc.mvm.bits = params.xbar.dac.mvm.bits = 8
    with pytest.warns(UserWarning, match="no effect") as caught:
        AnalogCore(np.eye(3), params)
    assert {str(warning.message).partition(" ")[0] for warning in caught} == {"xbar.adc.mvm.bits", "xbar.dac.mvm.bits"}


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"alpha_error": 0.1}, r"alpha_error = 0\.1 has no effect.*set error_model = 'generic'"),
        ({"alpha_noise": 0.1, "noise_model": "none"}, r"alpha_noise = 0\.1 has no effect.*noise_model is 'none'"),
        ({"input_bits": 0, "input_bitslicing": True, "adc_per_ibit": True}, r"input_bitslicing.*set input_bits"),
    ],
)
def test_keywords_without_effect_are_told_at_the_callers_line(keywords: dict[str, Any], message: str) -> None:
    with pytest.warns(UserWarning, match=message) as caught:
        dnn_inference_params(**keywords)
    assert [warning.filename for warning in caught] == [__file__]


def test_unknown_keywords_are_refused() -> None:
    with pytest.raises(TypeError, match="adc_bit"):
        dnn_inference_params(adc_bit=8)  # type: ignore[call-arg]


def test_the_callers_data_stay_as_they_are() -> None:
    adc_range, input_range = [-1.0, 1.01], [-0.5, 2.0]
    dnn_inference_params(adc_range=adc_range, input_range=input_range, adc_bits=6)
    assert (adc_range, input_range) == ([-1.0, 1.01], [-0.5, 2.0])
