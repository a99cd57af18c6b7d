"""Settings without effect: what is said to have none has none, and what was meant to have one is told of, once."""

from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np
import pytest

from crossohm import AnalogCore, CrossSimParameters, ParameterError, UnknownNameError
from crossohm.params import Measurements, preset_names, switched_off, without_effect
from crossohm.params.base import Group
from crossohm.params.checks.idle import SEARCHES, leaves
from crossohm.params.enums import Choice

DAC = {"xbar.dac.mvm.model": "SignMagnitudeDAC", "xbar.dac.mvm.bits": 6}
SLICED_DAC = {**DAC, "xbar.dac.mvm.input_bitslicing": True, "xbar.dac.mvm.slice_size": 2}
ADC = {"xbar.adc.mvm.model": "QuantizerADC", "xbar.adc.mvm.bits": 6, "xbar.adc.mvm.adc_range_option": "MAX"}
NOISE = {"xbar.device.read_noise": {"enable": True, "model": "NormalIndependentDevice", "magnitude": 0.05}}
WRITE = {"xbar.device.programming_error": {"enable": True, "model": "NormalIndependentDevice", "magnitude": 0.05}}
DRIFT = {
    "xbar.device.drift_error": {"enable": True, "model": "SONOS"},
    "xbar.device.Rmin": 1e5,
    "xbar.device.Rmax": 1e6,
}
WIRES = {"xbar.array.parasitics": {"enable": True, "Rp_row": 5.0, "Rp_col": 5.0}}

#: Hardware of all styles, with converters, wires and imperfections on, off, and half described.
HARDWARE: dict[str, dict[str, Any]] = {
    "ideal": {},
    "offset": {"core.style": "OFFSET"},
    "bit slices": {"core.style": "BITSLICED", "core.weight_bits": 6},
    "offset slices": {"core.style": "BITSLICED", "core.weight_bits": 6, "core.bit_sliced.style": "OFFSET"},
    "cells": {"xbar.device.cell_bits": 4, "core.rows_max": 3, "core.cols_max": 2},
    "full partitions": {"core.mapping.weights.col_partition_strategy": "MAX", "core.rows_max": 4},
    "infinite ratio": {"xbar.device.infinite_on_off_ratio": True},
    "clipped weights": {"core.mapping.weights.percentile": 0.8},
    "dac": DAC,
    "dac without bits": {"xbar.dac.mvm.model": "SignMagnitudeDAC"},
    "clipped inputs": {"core.mapping.inputs.mvm.clipping": True},
    "inputs from data": {"core.mapping.inputs.mvm.percentile": 0.9},
    "input slices": SLICED_DAC,
    "adc": {**DAC, **ADC},
    "adc without bits": {"xbar.adc.mvm.model": "SarADC"},
    "adc without model": {"xbar.adc.mvm.bits": 6},
    "calibrated adc": {"xbar.adc.mvm": {"model": "QuantizerADC", "bits": 6, "calibrated_range": [-2, 3]}},
    "sign adc": {**ADC, "xbar.adc.mvm.model": "SignMagnitudeADC"},
    "ramp": {**ADC, "xbar.adc.mvm.model": "RampADC", "xbar.adc.mvm.gain_db": 30.0},
    "sar": {**ADC, "xbar.adc.mvm.model": "SarADC", "xbar.adc.mvm.gain_db": 30.0},
    "pipeline": {**ADC, "xbar.adc.mvm.model": "PipelineADC", "xbar.adc.mvm.sigma_C1": 0.05},
    "cyclic": {**ADC, "xbar.adc.mvm.model": "CyclicADC"},
    "adc of slices": {**SLICED_DAC, **ADC, "xbar.adc.mvm.adc_per_ibit": True},
    "signs apart": {**ADC, "core.balanced.subtract_current_in_xbar": False},
    "sides apart": {
        "xbar.adc.match": False, "xbar.dac.match": False, "core.mapping.inputs.match": False,
        "xbar.adc.vmm.model": "QuantizerADC", "xbar.adc.vmm.bits": 5, "xbar.adc.vmm.adc_range_option": "MAX",
    },
    "programming error": WRITE,
    "read noise": NOISE,
    "sampled noise": {**NOISE, "simulation.read_noise_sampling": "explicit"},
    "model without enable": {"xbar.device.read_noise.model": "NormalIndependentDevice"},
    "enabled without model": {"xbar.device.programming_error.enable": True},
    "drift": {**DRIFT, "xbar.device.time": 1.0},
    "drift over programming": {**WRITE, **DRIFT, "xbar.device.time": 1.0},
    "programming before drift": {**WRITE, **DRIFT},
    "nonlinear": {"xbar.device.nonlinear_IV": {"enable": True, "model": "CubicDevice", "magnitude": 0.1}},
    "limited currents": {**SLICED_DAC, "xbar.array.Icol_max": 0.5},
    "wires": WIRES,
    "wires without enable": {"xbar.array.parasitics.Rp_row": 5.0},
    "wires without resistance": {"xbar.array.parasitics.enable": True},
    "gates": {**WIRES, **SLICED_DAC, "xbar.dac.mvm.slice_size": 1, "xbar.array.parasitics.current_from_input": False,
              "core.rows_max": 8},
}  # fmt: skip

OTHER = {  # for what the type alone does not say
    "core.weight_bits": 7,
    "core.mapping.weights.percentile": 0.7,
    "core.mapping.inputs.{}.min": -3.0,
    "core.mapping.inputs.{}.max": 3.0,
    "core.mapping.inputs.{}.percentile": 0.8,
    "core.mapping.inputs.{}.percentile_scope": "vector",
    "simulation.read_noise_sampling": "explicit",
    "simulation.Verr_matmul_criterion": "max_min",
    "simulation.relaxation_gamma": 0.5,
    "xbar.array.parasitics.selected_rows": "bottom",
    "xbar.array.parasitics.disable_slices": [0],
    "xbar.adc.{}.calibrated_range": [-0.5, 1.5],
    "xbar.adc.{}.model": "RampADC",
    "xbar.dac.{}.model": "QuantizerDAC",
    "xbar.device.Rmin": 2e3,
}


#: Parameters whose other values the rules refuse in hardware where they would mean nothing.
REFUSED = {"xbar.adc.mvm.adc_per_ibit", "xbar.adc.vmm.adc_per_ibit", "xbar.device.cell_bits"}


def built(settings: dict[str, Any]) -> CrossSimParameters:
    params = CrossSimParameters()
    params.update(settings)
    return params


def other_value(path: str, value: Any) -> Any:
    """Another value the parameter accepts."""
    side = path.split(".")[-2]
    general = path.replace(f".{side}.", ".{}.") if side in ("mvm", "vmm") else path
    if general in OTHER:
        return OTHER[general]
    if isinstance(value, bool):
        return not value
    if isinstance(value, Choice):
        return next(member for member in type(value) if member is not value)
    if path.endswith(".path"):
        return Measurements("conductance_uS,sd_uS\n0,1\n1000,1\n")
    if path.endswith(".model"):
        return "IdealDevice" if value != "IdealDevice" else "NormalProportionalDevice"
    if isinstance(value, list):
        return [2]
    return value + 2 if isinstance(value, int) else value + 0.3


def products(params: CrossSimParameters) -> np.ndarray:
    """Products of both directions, inputs within and beyond the range."""
    rng = np.random.default_rng(3)
    matrix, right, left = rng.normal(size=(5, 8)), rng.uniform(-1.5, 1.5, (8, 3)), rng.uniform(-1.5, 1.5, (3, 5))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        core = AnalogCore(matrix, params, seed=7)
    return np.concatenate([(core @ right).ravel(), (left @ core).ravel()])


@pytest.mark.parametrize("name", HARDWARE)
def test_what_is_said_to_have_no_effect_has_none(name: str) -> None:
    params = built(HARDWARE[name])
    expected = products(params)
    paths = list(leaves(CrossSimParameters))
    if name != "ideal":  # switches of the reference depend on nothing
        paths = [path for path in paths if not path.startswith("simulation") or "read_noise" in path]
    found = without_effect(params, paths)
    assert found
    for advice in found:
        changed = built(HARDWARE[name])
        changed.update({advice.path: other_value(advice.path, params.get(advice.path))})
        assert changed != params
        try:
            found_now = products(changed)
        except ParameterError:
            assert advice.path in REFUSED
            continue
        np.testing.assert_allclose(found_now, expected, rtol=1e-9, atol=1e-9, err_msg=str(advice))


def test_every_search_finds_something() -> None:
    for look in SEARCHES:
        assert any(list(look(built(settings))) for settings in HARDWARE.values()), look.__name__
        assert len(look.__doc__ or "") > 30


@pytest.mark.parametrize(
    ("name", "paths"),
    [
        ("dac", ["xbar.dac.mvm.bits", "xbar.dac.mvm.model", "core.mapping.inputs.mvm.max"]),
        ("adc", ["xbar.adc.mvm.bits", "xbar.adc.vmm.bits", "xbar.adc.mvm.model", "core.mapping.inputs.mvm.max"]),
        ("calibrated adc", ["xbar.adc.mvm.calibrated_range", "core.balanced.subtract_current_in_xbar"]),
        ("sar", ["xbar.adc.mvm.gain_db", "xbar.adc.mvm.sigma_capacitor", "xbar.adc.mvm.group_size"]),
        ("adc of slices", ["xbar.adc.mvm.adc_per_ibit", "xbar.dac.mvm.input_bitslicing", "xbar.dac.mvm.slice_size"]),
        ("bit slices", ["core.weight_bits", "core.bit_sliced.num_slices"]),
        ("cells", ["xbar.device.cell_bits", "core.rows_max"]),
        ("full partitions", ["core.mapping.weights.col_partition_strategy"]),
        ("programming error", ["xbar.device.programming_error.magnitude", "xbar.device.clip_conductance"]),
        ("programming before drift", ["xbar.device.programming_error.magnitude", "xbar.device.time"]),
        ("drift over programming", ["xbar.device.drift_error.model", "xbar.device.time", "xbar.device.Vread"]),
        ("read noise", ["xbar.device.read_noise.magnitude", "simulation.read_noise_sampling"]),
        ("wires", ["xbar.array.parasitics.Rp_col", "xbar.array.parasitics.enable", "xbar.device.Rmin"]),
        ("gates", ["xbar.array.parasitics.selected_rows"]),
        ("clipped weights", ["core.mapping.weights.clipping", "core.mapping.weights.percentile"]),
        ("ideal", ["core", "xbar", "xbar.device", "xbar.array.Icol_max"]),
    ],
)
def test_what_has_an_effect_is_left_alone(name: str, paths: list[str]) -> None:
    params = built(HARDWARE[name])
    assert without_effect(params, paths) == ()


TOLD: list[tuple[str, dict[str, Any], list[str], str]] = [
    ("bits on an ideal ADC", {"xbar.adc.mvm.bits": 8}, ["xbar.adc.mvm.bits"], "xbar.adc.mvm.model"),
    ("bits on an ideal DAC", {"xbar.dac.mvm.bits": 8}, ["xbar.dac.mvm.bits"], "xbar.dac.mvm.model"),
    ("an ADC without bits", {"xbar.adc.mvm.model": "SarADC"}, ["xbar.adc.mvm.model"], "xbar.adc.mvm.bits"),
    ("a DAC without bits", {"xbar.dac.mvm.model": "QuantizerDAC"}, ["xbar.dac.mvm.model"], "xbar.dac.mvm.bits"),
    ("one side", {"xbar.adc.match": False, "xbar.adc.vmm.bits": 8}, ["xbar.adc.vmm.bits"], "xbar.adc.vmm.model"),
    ("a range without ADC", {"xbar.adc.mvm.calibrated_range": [-1, 1]}, ["xbar.adc.mvm.calibrated_range"],
     "xbar.adc.mvm.model"),
    ("a range that is not asked for", {**ADC, "xbar.adc.mvm.calibrated_range": [-1, 1]},
     ["xbar.adc.mvm.calibrated_range"], "adc_range_option = 'CALIBRATED'"),
    ("another ADC's errors", {**ADC, "xbar.adc.mvm.sigma_C1": 0.1}, ["xbar.adc.mvm.sigma_C1"], "xbar.adc.mvm.model"),
    *((f"{role} without enable", {f"xbar.device.{role}.model": "Lab", f"xbar.device.{role}.magnitude": 0.1},
       [f"xbar.device.{role}.model", f"xbar.device.{role}.magnitude"], f"set xbar.device.{role}.enable = True")
      for role in ("programming_error", "drift_error", "read_noise", "nonlinear_IV")),
    ("enabled without model", {"xbar.device.read_noise.enable": True}, ["xbar.device.read_noise.enable"],
     "set xbar.device.read_noise.model"),
    ("two models of a write", HARDWARE["drift over programming"],
     [f"xbar.device.programming_error.{name}" for name in ("enable", "model", "magnitude")],
     "set xbar.device.drift_error.enable = False"),
    ("wires without enable", {"xbar.array.parasitics": {"Rp_row": 1.0, "Rp_col_terminal": 2.0}},
     ["xbar.array.parasitics.Rp_row", "xbar.array.parasitics.Rp_col_terminal"],
     "set xbar.array.parasitics.enable = True"),
    ("wires without resistance", HARDWARE["wires without resistance"], ["xbar.array.parasitics.enable"], "Rp_row"),
    ("a resistance that is infinite", {"xbar.device.Rmax": 1e6, "xbar.device.infinite_on_off_ratio": True},
     ["xbar.device.Rmax"], "infinite_on_off_ratio = False"),
    ("slices of none", {"core.bit_sliced.num_slices": 4}, ["core.bit_sliced.num_slices"], "core.style = 'BITSLICED'"),
    ("pairs of none", {"core.style": "OFFSET", "core.balanced.style": "TWO_SIDED"}, ["core.balanced.style"],
     "core.style = 'BALANCED'"),
    ("an offset of pairs", {"core.offset.style": "UNIT_COLUMN_SUBTRACTION"}, ["core.offset.style"], "'OFFSET'"),
    ("a partition of nothing", {"core.mapping.weights.row_partition_strategy": "MAX"},
     ["core.mapping.weights.row_partition_strategy"], "set core.cols_max"),
    ("a slice of no slices", {**DAC, "xbar.dac.mvm.slice_size": 2}, ["xbar.dac.mvm.slice_size"], "input_bitslicing"),
    ("sampling without noise", {"simulation.read_noise_sampling": "explicit"}, ["simulation.read_noise_sampling"],
     "xbar.device.read_noise"),
    ("a GPU", {"simulation.useGPU": True}, ["simulation.useGPU"], "PyTorch, CuPy or JAX"),
    ("profiled inputs", {"simulation.analytics.profile_xbar_inputs": True},
     ["simulation.analytics.profile_xbar_inputs"], "get_profiled_xbar_inputs"),
    ("profiled currents", {"simulation.analytics.profile_adc_inputs": True},
     ["simulation.analytics.profile_adc_inputs"], "get_profiled_adc_inputs"),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "paths", "remedy"), [case[1:] for case in TOLD], ids=[case[0] for case in TOLD])
def test_what_was_meant_to_have_an_effect_is_told_once(settings: dict[str, Any], paths: list[str], remedy: str) -> None:
    params = built(settings)
    assert [advice.path for advice in without_effect(params)] == paths
    assert all(remedy in advice.remedy and advice.reason for advice in without_effect(params))
    with pytest.warns(UserWarning, match="no effect") as caught:
        params.validate()
    (warning,) = caught
    assert warning.filename == __file__
    assert all(path in str(warning.message) for path in paths)
    assert remedy in str(warning.message)


SWITCHES = {
    "xbar.device.programming_error.enable": False, "xbar.device.drift_error.enable": False,
    "xbar.device.read_noise.enable": False, "xbar.device.nonlinear_IV.enable": False, "xbar.adc.mvm.bits": 0,
    "xbar.array.parasitics.enable": False,
}  # fmt: skip


@pytest.mark.parametrize("name", HARDWARE)
@pytest.mark.filterwarnings("ignore:xbar.device.time")
def test_what_is_switched_off_leaves_nothing_behind_and_nothing_else_changes(name: str) -> None:
    params = built(HARDWARE[name])
    if not params.xbar.array.parasitics.current_from_input:
        pytest.skip("gates need their wires")
    by_hand = built(HARDWARE[name])
    by_hand.update(SWITCHES)
    off = switched_off(params, SWITCHES)
    assert all(advice in without_effect(params) for advice in without_effect(off))
    np.testing.assert_array_equal(products(off), products(by_hand))
    assert params == built(HARDWARE[name])


@pytest.mark.parametrize("name", preset_names())
def test_presets_set_nothing_in_vain(name: str) -> None:
    assert without_effect(CrossSimParameters.from_json(name)) == ()


def test_groups_and_both_names_of_a_common_side_can_be_asked_for() -> None:
    params = built({"xbar.adc.mvm.bits": 8})
    by_path = {advice.path: advice for advice in without_effect(params, ["xbar.adc.vmm.bits", "core.bit_sliced"])}
    assert by_path["xbar.adc.vmm.bits"].value == 8
    assert isinstance(by_path["core.bit_sliced"].value, Group)
    with pytest.raises(UnknownNameError, match=r"xbar\.adc\.mvm\.bit"):
        without_effect(params, ["xbar.adc.mvm.bit"])


def test_what_is_asked_for_needs_no_valid_hardware() -> None:
    params = built({"core.style": "BITSLICED", "xbar.adc.mvm.adc_per_ibit": True})
    (advice,) = without_effect(params, ["core.offset.style"])
    assert json.dumps(advice.value) == '"DIGITAL_OFFSET"'
