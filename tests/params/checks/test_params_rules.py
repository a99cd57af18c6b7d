"""Every rule between parameters: hardware that breaks it is named, its nearest neighbour that does not passes."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from crossohm.errors import ParameterError
from crossohm.params import CrossSimParameters
from crossohm.params.root import RULES

SLICED = {"core.style": "BITSLICED", "core.weight_bits": 8}
OFFSET_SLICED = {**SLICED, "core.bit_sliced.style": "OFFSET"}
SIGN_DAC = {"xbar.dac.mvm.model": "SignMagnitudeDAC", "xbar.dac.mvm.bits": 8}
SLICED_DAC = {**SIGN_DAC, "xbar.dac.mvm.input_bitslicing": True}
QUANTIZER_DAC = {"xbar.dac.mvm.model": "QuantizerDAC", "xbar.dac.mvm.bits": 8}
UNSIGNED_DAC = {**QUANTIZER_DAC, "xbar.dac.mvm.signed": False, "core.mapping.inputs.mvm.min": 0.0}
MAX_ADC = {"xbar.adc.mvm.model": "QuantizerADC", "xbar.adc.mvm.bits": 8, "xbar.adc.mvm.adc_range_option": "MAX"}
CALIBRATED = {**MAX_ADC, "xbar.adc.mvm.adc_range_option": "CALIBRATED", "xbar.adc.mvm.calibrated_range": [-1.0, 2.0]}
SIGN_ADC = {**MAX_ADC, "xbar.adc.mvm.model": "SignMagnitudeADC"}
GRANULAR = {
    **SLICED_DAC, **MAX_ADC, "xbar.device.cell_bits": 4, "xbar.adc.mvm.adc_per_ibit": True,
    "xbar.adc.mvm.adc_range_option": "GRANULAR",
}  # fmt: skip
SWITCHED = {
    "xbar.array.parasitics.enable": True, "xbar.array.parasitics.Rp_row": 1.0,
    "xbar.array.parasitics.current_from_input": False,
}  # fmt: skip
FIRST_ORDER_NOISE = {
    "xbar.array.parasitics.enable": True, "xbar.array.parasitics.Rp_row": 1.0,
    "xbar.device.read_noise.enable": True, "simulation.read_noise_sampling": "first_order",
}  # fmt: skip
WEIGHTS = "core.mapping.weights"
INPUTS = "core.mapping.inputs.mvm"
RANGE = "xbar.adc.mvm.calibrated_range"

# (name, hardware that is right, what breaks it, path named in the error)
BROKEN: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("both limits and percentile", {}, {f"{WEIGHTS}.min": -1.0, f"{WEIGHTS}.max": 1.0, f"{WEIGHTS}.percentile": 0.9},
     f"{WEIGHTS}.percentile"),
    ("one limit and percentile", {}, {f"{INPUTS}.min": -1.0, f"{INPUTS}.percentile": 0.9}, f"{INPUTS}.percentile"),
    ("no weight range", {}, {f"{WEIGHTS}.percentile": None}, WEIGHTS),
    ("no input range", {f"{INPUTS}.min": None}, {f"{INPUTS}.min": None, f"{INPUTS}.max": None}, INPUTS),
    ("reversed range", {}, {f"{WEIGHTS}.min": 1.0, f"{WEIGHTS}.max": -1.0}, WEIGHTS),
    ("empty range", {}, {f"{WEIGHTS}.min": 1.0, f"{WEIGHTS}.max": 1.0}, WEIGHTS),
    ("mirrored zero", {}, {f"{WEIGHTS}.min": 0.0, f"{WEIGHTS}.max": None}, WEIGHTS),
    ("bit-sliced without bits", SLICED, {"core.weight_bits": 0}, "core.weight_bits"),
    ("bit-sliced with a sign only", SLICED, {"core.weight_bits": 1}, "core.weight_bits"),
    ("more slices than bits", SLICED, {"core.bit_sliced.num_slices": 9}, "core.bit_sliced.num_slices"),
    ("cells of other bits than slices", {**SLICED, "xbar.device.cell_bits": 4}, {"xbar.device.cell_bits": 3},
     "xbar.device.cell_bits"),
    ("cells of other bits than offset slices", {**OFFSET_SLICED, "core.weight_bits": 9, "xbar.device.cell_bits": 5},
     {"xbar.device.cell_bits": 4}, "xbar.device.cell_bits"),
    ("one-bit offset cells", {"core.style": "OFFSET", "xbar.device.cell_bits": 2}, {"xbar.device.cell_bits": 1},
     "xbar.device.cell_bits"),
    ("interleaved pairs digitised separately", {"core.balanced.interleaved_posneg": True},
     {"core.balanced.subtract_current_in_xbar": False}, "core.balanced.subtract_current_in_xbar"),
    ("equal resistances", {}, {"xbar.device.Rmin": 1e4}, "xbar.device.Rmin"),
    ("reversed resistances", {}, {"xbar.device.Rmin": 2e4}, "xbar.device.Rmin"),
    ("switched inputs of many bits", {}, SWITCHED, "xbar.array.parasitics.current_from_input"),
    ("switched inputs of two bits", {**SWITCHED, **SLICED_DAC}, {"xbar.dac.mvm.slice_size": 2},
     "xbar.array.parasitics.current_from_input"),
    ("first-order noise of switched inputs", {**SWITCHED, **SLICED_DAC, "xbar.device.read_noise.enable": True},
     {"simulation.read_noise_sampling": "first_order"}, "simulation.read_noise_sampling"),
    ("first-order noise of nonlinear cells", FIRST_ORDER_NOISE,
     {"xbar.device.nonlinear_IV.enable": True}, "simulation.read_noise_sampling"),
    ("slices without wires that are not there", {**SLICED, "xbar.array.parasitics.disable_slices": [0, 1]},
     {"xbar.array.parasitics.disable_slices": [2]}, "xbar.array.parasitics.disable_slices"),
    ("slices of no bits", SLICED_DAC, {"xbar.dac.mvm.bits": 0}, "xbar.dac.mvm.bits"),
    ("slices of an ideal DAC", SLICED_DAC, {"xbar.dac.mvm.model": "IdealDAC"}, "xbar.dac.mvm.model"),
    ("slices of a signed quantizer", {**UNSIGNED_DAC, "xbar.dac.mvm.input_bitslicing": True},
     {"xbar.dac.mvm.signed": True}, "xbar.dac.mvm.signed"),
    ("unsigned sign-magnitude DAC", {**SIGN_DAC}, {"xbar.dac.mvm.signed": False}, "xbar.dac.mvm.signed"),
    ("sign-magnitude DAC of one bit", SIGN_DAC, {"xbar.dac.mvm.bits": 1}, "xbar.dac.mvm.bits"),
    ("asymmetric sign-magnitude DAC", SIGN_DAC, {f"{INPUTS}.max": 2.0}, INPUTS),
    ("unsigned DAC of negative inputs", UNSIGNED_DAC, {f"{INPUTS}.min": -0.1}, f"{INPUTS}.min"),
    ("unsigned DAC with a mirrored range", UNSIGNED_DAC, {f"{INPUTS}.min": None}, f"{INPUTS}.min"),
    ("granular without input slices digitised", GRANULAR, {"xbar.adc.mvm.adc_per_ibit": False},
     "xbar.adc.mvm.adc_range_option"),
    ("granular with continuous cells", GRANULAR, {"xbar.device.cell_bits": 0}, "xbar.adc.mvm.adc_range_option"),
    ("granular with one weight bit", GRANULAR, {"xbar.device.cell_bits": 0, "core.weight_bits": 1},
     "xbar.adc.mvm.adc_range_option"),
    ("granular with continuous inputs", GRANULAR, {"xbar.dac.mvm.bits": 0}, "xbar.dac.mvm.bits"),
    ("input slices digitised that are not there", SLICED_DAC, {"xbar.adc.mvm.adc_per_ibit": True,
     "xbar.dac.mvm.input_bitslicing": False}, "xbar.adc.mvm.adc_per_ibit"),
    ("not calibrated", CALIBRATED, {RANGE: []}, RANGE),
    ("reversed limits", CALIBRATED, {RANGE: [2.0, -1.0]}, RANGE),
    ("empty limits", CALIBRATED, {RANGE: [1.0, 1.0]}, RANGE),
    ("limits per slice without slices", CALIBRATED, {RANGE: [[-1.0, 1.0]]}, RANGE),
    ("limits of one slice only", {**CALIBRATED, **SLICED, RANGE: [[-1, 1], [-2, 2]]}, {RANGE: [[-1, 1]]}, RANGE),
    ("one pair for two slices", {**CALIBRATED, **SLICED, RANGE: [[-1, 1], [-2, 2]]}, {RANGE: [-1, 1]}, RANGE),
    ("one slice reversed", {**CALIBRATED, **SLICED, RANGE: [[-1, 1], [-2, 2]]}, {RANGE: [[-1, 1], [2, -2]]}, RANGE),
    ("unsigned sign-magnitude ADC", SIGN_ADC, {"xbar.adc.mvm.signed": False}, "xbar.adc.mvm.signed"),
    ("sign-magnitude ADC of one bit", SIGN_ADC, {"xbar.adc.mvm.bits": 1}, "xbar.adc.mvm.bits"),
    ("asymmetric sign-magnitude ADC", CALIBRATED, {"xbar.adc.mvm.model": "SignMagnitudeADC"}, RANGE),
    ("sign-magnitude ADC of positive offset currents", {**SIGN_ADC, **UNSIGNED_DAC}, {"core.style": "OFFSET"},
     "xbar.adc.mvm.adc_range_option"),
    ("sign-magnitude ADC of separate pairs", {**SIGN_ADC, **UNSIGNED_DAC},
     {"core.balanced.subtract_current_in_xbar": False}, "xbar.adc.mvm.adc_range_option"),
    *((f"{model} of 17 bits", {**MAX_ADC, "xbar.adc.mvm.model": model, "xbar.adc.mvm.bits": 16},
       {"xbar.adc.mvm.bits": 17}, "xbar.adc.mvm.bits") for model in ("RampADC", "SarADC", "PipelineADC", "CyclicADC")),
]  # fmt: skip

# Settings that look like a violation but are not one.
ALLOWED: list[tuple[str, dict[str, Any]]] = [
    ("no conductance range needed", {"xbar.device.Rmin": 2e4, "xbar.device.infinite_on_off_ratio": True}),
    ("switched inputs without wires", {"xbar.array.parasitics.current_from_input": False}),
    ("switched inputs with ideal wires", {**SWITCHED, "xbar.array.parasitics.Rp_row": 0.0}),
    ("first-order noise without wires", {"xbar.device.nonlinear_IV.enable": True,
     **FIRST_ORDER_NOISE, "xbar.array.parasitics.enable": False}),
    ("interleaved is for pairs", {"core.style": "OFFSET", "core.balanced.interleaved_posneg": True,
                                  "core.balanced.subtract_current_in_xbar": False}),
    ("ideal ADC with bits", {"xbar.adc.mvm.bits": 8}),
    ("ADC model without bits", {"xbar.adc.mvm.model": "SignMagnitudeADC", "xbar.adc.mvm.signed": False}),
    ("a lone limit is mirrored", {f"{WEIGHTS}.min": -2.0}),
    ("a signed DAC takes any range", {**QUANTIZER_DAC, f"{INPUTS}.min": 0.5, f"{INPUTS}.max": 2.0}),
    ("an unsigned percentile range", {**UNSIGNED_DAC, f"{INPUTS}.min": None, f"{INPUTS}.max": None,
                                      f"{INPUTS}.percentile": 0.99}),
    ("sign-magnitude ADC given its limits", {**SIGN_ADC, **UNSIGNED_DAC, "core.style": "OFFSET", RANGE: [-1, 1],
                                             "xbar.adc.mvm.adc_range_option": "CALIBRATED"}),
    ("granular by weight bits", {**GRANULAR, "xbar.device.cell_bits": 0, "core.weight_bits": 4}),
    ("generic ADC of many bits", {**MAX_ADC, "xbar.adc.mvm.bits": 24}),
]  # fmt: skip


def built(*settings: dict[str, Any]) -> CrossSimParameters:
    params = CrossSimParameters()
    for setting in settings:
        params.update(setting)
    return params


@pytest.mark.parametrize(("right", "wrong", "path"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_a_contradiction_is_named(right: dict[str, Any], wrong: dict[str, Any], path: str) -> None:
    built(right).validate()
    params = built(right, wrong)
    with pytest.raises(ParameterError) as caught:
        params.validate()
    named = [caught.value.path, *(note.removeprefix("also: ").split(" = ")[0] for note in notes(caught.value))]
    assert path in named
    assert caught.value.allowed or caught.value.remedy


def notes(error: BaseException) -> list[str]:
    return getattr(error, "__notes__", [])


def test_every_rule_is_broken_by_some_case() -> None:
    broken = {rule.__name__ for case in BROKEN for rule in RULES if list(rule(built(case[1], case[2])))}
    assert broken == {rule.__name__ for rule in RULES}


@pytest.mark.parametrize("settings", [case[1] for case in ALLOWED], ids=[case[0] for case in ALLOWED])
def test_what_is_allowed(settings: dict[str, Any]) -> None:
    built(settings).validate()


def sided(settings: dict[str, Any]) -> dict[str, Any]:
    return {path.replace(".mvm.", ".vmm."): value for path, value in settings.items()}


SIDED = [case for case in BROKEN if ".mvm." in case[3] + "."]


@pytest.mark.parametrize(("right", "wrong", "path"), [case[1:] for case in SIDED], ids=[case[0] for case in SIDED])
def test_the_vmm_side_is_checked_and_named(right: dict[str, Any], wrong: dict[str, Any], path: str) -> None:
    apart = {f"{pair}._match": False for pair in ("xbar.adc", "xbar.dac", "core.mapping.inputs")}
    built(apart, sided(right)).validate()
    with pytest.raises(ParameterError) as caught:
        built(apart, sided(right), sided(wrong)).validate()
    named = [caught.value.path, *(note.removeprefix("also: ").split(" = ")[0] for note in notes(caught.value))]
    assert path.replace(".mvm", ".vmm") in named
    assert not any(".mvm" in name for name in named)


def test_assigning_does_not_run_the_rules() -> None:
    params = CrossSimParameters()
    params.xbar.dac.mvm.input_bitslicing = True  # not yet consistent: a script sets bits in the next line
    params.xbar.dac.mvm.bits = 8
    params.xbar.dac.mvm.model = "SignMagnitudeDAC"
    params.validate()


def test_all_contradictions_are_listed() -> None:
    params = built({"xbar.device.Rmin": 2e4, "core.style": "BITSLICED"})
    with pytest.raises(ParameterError) as caught:
        params.validate()
    text = "\n".join([str(caught.value), *notes(caught.value)])
    assert "xbar.device.Rmin" in text
    assert "core.weight_bits" in text


@pytest.mark.parametrize("style", ["BALANCED", "OFFSET"])
def test_weight_bits_that_do_nothing_are_reported(style: str) -> None:
    params = built({"core.style": style, "core.weight_bits": 8})
    with pytest.warns(UserWarning, match=r"core\.weight_bits = 8 does not quantise") as caught:
        params.validate()
    assert caught[0].filename == __file__  # points at the user's line


def test_weight_bits_that_do_something_are_not_reported() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        built({"core.weight_bits": 8, "xbar.device.cell_bits": 7}).validate()
        built(SLICED).validate()
        built({**GRANULAR, "xbar.device.cell_bits": 0, "core.weight_bits": 8}).validate()


@pytest.mark.parametrize("order", [("min", "max"), ("max", "min")])
def test_limits_set_one_by_one_replace_the_percentile(order: tuple[str, str]) -> None:
    weights = CrossSimParameters().core.mapping.weights
    for name in order:
        setattr(weights, name, {"min": -2.0, "max": 2.0}[name])
    assert (weights.min, weights.max, weights.percentile, weights.range) == (-2.0, 2.0, None, 4.0)


def test_a_percentile_replaces_the_limits_and_back() -> None:
    params = CrossSimParameters(core={"mapping": {"inputs": {"mvm": {"percentile": 0.99}}}})
    inputs = params.core.mapping.inputs.mvm
    assert (inputs.min, inputs.max, inputs.percentile, inputs.range) == (None, None, 0.99, None)
    inputs.max = 3.0
    inputs.min = -1.0
    assert (inputs.min, inputs.max, inputs.percentile) == (-1.0, 3.0, None)
    inputs.percentile = 1.0
    assert (inputs.min, inputs.max, inputs.percentile) == (None, None, 1.0)
    params.update({f"{INPUTS}.min": None, f"{INPUTS}.max": None, f"{INPUTS}.percentile": 0.95})
    params.validate()


def test_a_partly_given_weight_mapping_keeps_the_other_defaults() -> None:
    weights = CrossSimParameters(core={"mapping": {"weights": {"row_partition_strategy": "MAX"}}}).core.mapping.weights
    assert (weights.clipping, weights.min, weights.max, weights.percentile) == (True, None, None, 1.0)
