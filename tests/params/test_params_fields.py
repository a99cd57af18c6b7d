"""Every default, the bounds that matter, values that are equivalent, and groups given in different ways."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from crossohm.errors import ParameterError, UnknownNameError
from crossohm.params import (
    ADCParameters,
    ADCRangeLimits,
    BalancedCoreStyle,
    BitSlicedCoreStyle,
    CoreStyle,
    CrossSimParameters,
    DeviceParameters,
    OffsetCoreStyle,
    OutputDType,
    PartitionStrategy,
    SimulationParameters,
    XbarParameters,
)

WEIGHTS = {
    "core.mapping.weights.clipping": True,
    "core.mapping.weights.min": None,
    "core.mapping.weights.max": None,
    "core.mapping.weights.percentile": 1.0,
    "core.mapping.weights.row_partition_priority": [],
    "core.mapping.weights.col_partition_priority": [],
    "core.mapping.weights.row_partition_strategy": PartitionStrategy.EQUAL,
    "core.mapping.weights.col_partition_strategy": PartitionStrategy.EQUAL,
}
INPUTS = {"clipping": False, "min": -1.0, "max": 1.0, "percentile": None}
ADC = {
    "model": "IdealADC", "bits": 0, "signed": True, "stochastic_rounding": False, "adc_per_ibit": False,
    "calibrated_range": [], "adc_range_option": ADCRangeLimits.CALIBRATED, "gain_db": 100.0, "sigma_capacitor": 0.0,
    "sigma_comparator": 0.0, "symmetric_cdac": True, "split_cdac": True, "group_size": 8, "sigma_C1": 0.0,
    "sigma_C2": 0.0, "sigma_Cpar": 0.0,
}  # fmt: skip
DAC = {"model": "IdealDAC", "bits": 0, "signed": True, "input_bitslicing": False, "slice_size": 1}
MODEL = {"enable": False, "model": "IdealDevice", "magnitude": 0.0}
ROLES = ("read_noise", "programming_error", "drift_error", "nonlinear_IV")
DEFAULTS: dict[str, Any] = {
    "core.style": CoreStyle.BALANCED,
    "core.rows_max": 0,
    "core.cols_max": 0,
    "core.weight_bits": 0,
    "core.complex_matrix": False,
    "core.complex_input": False,
    "core.output_dtype": OutputDType.NATIVE,
    "core.balanced.style": BalancedCoreStyle.ONE_SIDED,
    "core.balanced.interleaved_posneg": False,
    "core.balanced.subtract_current_in_xbar": True,
    "core.bit_sliced.style": BitSlicedCoreStyle.BALANCED,
    "core.bit_sliced.num_slices": 2,
    "core.offset.style": OffsetCoreStyle.DIGITAL_OFFSET,
    **WEIGHTS,
    **{f"core.mapping.inputs.{side}.{name}": value for side in ("mvm", "vmm") for name, value in INPUTS.items()},
    "core.mapping.inputs._match": True,
    "simulation.useGPU": False,
    "simulation.gpu_id": 0,
    "simulation.read_noise_sampling": "auto",
    "simulation.Niters_max_parasitics": 100,
    "simulation.Verr_th_mvm": 1e-3,
    "simulation.Verr_matmul_criterion": "max_max",
    "simulation.relaxation_gamma": 1.0,
    "simulation.disable_fast_balanced": False,
    "simulation.disable_fast_matmul": False,
    "simulation.disable_fast_nonlinear_IV": False,
    "simulation.hide_convergence_msg": False,
    "simulation.convolution.is_conv_core": False,
    "simulation.convolution.x_par": 1,
    "simulation.convolution.y_par": 1,
    "simulation.convolution.Nwindows": 1,
    "simulation.analytics.profile_xbar_inputs": False,
    "simulation.analytics.profile_adc_inputs": False,
    "simulation.analytics.ntest": 0,
    "xbar.device.cell_bits": 0,
    "xbar.device.Rmin": 1000.0,
    "xbar.device.Rmax": 10000.0,
    "xbar.device.Vread": 0.1,
    "xbar.device.time": 0.0,
    "xbar.device.infinite_on_off_ratio": False,
    "xbar.device.clip_conductance": False,
    **{f"xbar.device.{role}.{name}": value for role in ROLES for name, value in MODEL.items()},
    "xbar.array.Icol_max": 0.0,
    "xbar.array.parasitics.enable": False,
    "xbar.array.parasitics.Rp_row": 0.0,
    "xbar.array.parasitics.Rp_col": 0.0,
    "xbar.array.parasitics.Rp_row_terminal": 0.0,
    "xbar.array.parasitics.Rp_col_terminal": 0.0,
    "xbar.array.parasitics.current_from_input": True,
    "xbar.array.parasitics.selected_rows": "top",
    "xbar.array.parasitics.disable_slices": [],
    "xbar.adc._match": True,
    "xbar.dac._match": True,
    **{f"xbar.adc.{side}.{name}": value for side in ("mvm", "vmm") for name, value in ADC.items()},
    **{f"xbar.dac.{side}.{name}": value for side in ("mvm", "vmm") for name, value in DAC.items()},
}
# Fields beyond the documented tree.
EXTENSIONS = {f"core.mapping.inputs.{side}.percentile_scope" for side in ("mvm", "vmm")}


def leaf_paths(tree: dict[str, Any], prefix: str = "") -> list[str]:
    paths = []
    for name, value in tree.items():
        paths += leaf_paths(value, f"{prefix}{name}.") if isinstance(value, dict) else [f"{prefix}{name}"]
    return paths


PATHS = leaf_paths(CrossSimParameters().as_dict())


def test_the_tree_is_the_documented_one() -> None:
    assert set(PATHS) - EXTENSIONS == set(DEFAULTS)


@pytest.mark.parametrize("path", DEFAULTS)
def test_default(path: str) -> None:
    value = CrossSimParameters().get(path)
    assert value == DEFAULTS[path]
    assert type(value) is type(DEFAULTS[path])


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("xbar.adc.mvm.bits", 25), ("xbar.dac.mvm.bits", 25), ("core.weight_bits", 33), ("xbar.device.cell_bits", 25),
        ("xbar.dac.mvm.slice_size", 0), ("core.bit_sliced.num_slices", 0), ("core.bit_sliced.num_slices", 33),
        ("xbar.adc.mvm.group_size", 0), ("xbar.adc.mvm.gain_db", 401.0), ("xbar.device.Rmin", 0.0),
        ("xbar.device.Vread", 0.0), ("simulation.relaxation_gamma", 0.0), ("simulation.Niters_max_parasitics", 0),
        ("core.mapping.weights.percentile", 0.0), ("core.mapping.weights.row_partition_priority", [2, 0]),
    ],
)  # fmt: skip
def test_bounds(path: str, value: Any) -> None:
    with pytest.raises(ParameterError) as caught:
        CrossSimParameters().update({path: value})
    assert caught.value.path.startswith(path)


@pytest.mark.parametrize(
    ("path", "value", "stored"),
    [
        ("xbar.device.Rmin", 500, 500.0),
        ("xbar.device.Rmin", np.float32(500), 500.0),
        ("xbar.device.time", np.int64(3), 3.0),
        ("xbar.adc.mvm.bits", np.int32(8), 8),
        ("xbar.adc.mvm.signed", np.bool_(False), False),
        ("core.mapping.weights.row_partition_priority", (4, 2), [4, 2]),
        ("xbar.array.parasitics.disable_slices", [0, 1], [0, 1]),
        ("xbar.adc.mvm.calibrated_range", (-1, 2), [-1.0, 2.0]),
        ("xbar.adc.mvm.calibrated_range", np.array([-1.0, 2.0]), [-1.0, 2.0]),
        ("xbar.adc.mvm.calibrated_range", np.array([[-1, 1], [-2, 2]]), [[-1.0, 1.0], [-2.0, 2.0]]),
        ("xbar.adc.mvm.calibrated_range", [(-1, 1), np.array([-2.0, 2.0])], [[-1.0, 1.0], [-2.0, 2.0]]),
        ("xbar.adc.mvm.calibrated_range", None, []),
    ],
)  # fmt: skip
def test_equivalent_values_are_stored_as_plain_python(path: str, value: Any, stored: Any) -> None:
    params = CrossSimParameters()
    params.update({path: value})
    found = params.get(path)
    assert found == stored
    assert type(found) is type(stored)
    json.dumps(params.as_dict())


@pytest.mark.parametrize("given", [CoreStyle.BITSLICED, "BITSLICED", 2, np.int64(2)])
def test_choices_by_member_name_and_integer(given: Any) -> None:
    params = CrossSimParameters(core={"style": given})
    assert params.core.style is CoreStyle.BITSLICED
    params.core.style = "OFFSET"  # type: ignore[assignment]
    params.core.style = given
    assert params.core.style is CoreStyle.BITSLICED


@pytest.mark.parametrize(
    ("choice", "values"),
    [
        (CoreStyle, {"BALANCED": 1, "BITSLICED": 2, "OFFSET": 3}),
        (BalancedCoreStyle, {"ONE_SIDED": 1, "TWO_SIDED": 2}),
        (BitSlicedCoreStyle, {"BALANCED": 1, "OFFSET": 3}),
        (OffsetCoreStyle, {"DIGITAL_OFFSET": 1, "UNIT_COLUMN_SUBTRACTION": 2}),
        (PartitionStrategy, {"MAX": 1, "EQUAL": 2}),
        (ADCRangeLimits, {"CALIBRATED": 1, "MAX": 2, "GRANULAR": 3}),
        (
            OutputDType,
            {"NATIVE": 1, "MATRIX": 2, "INPUT": 3, "FLOAT32": 4, "FLOAT64": 5, "FLOAT16": 6, "INT64": 7, "INT32": 8,
             "INT16": 9, "INT8": 10},
        ),
    ],
)  # fmt: skip
def test_integers_of_choices(choice: Any, values: dict[str, int]) -> None:
    assert {member.name: member.value for member in choice} == values


def test_misspelt_names_are_refused_with_path_and_suggestion() -> None:
    params = CrossSimParameters()
    attempts = [
        lambda: setattr(params.xbar.adc.mvm, "bitz", 8),
        lambda: params.update({"xbar.adc.mvm.bitz": 8}),
        lambda: CrossSimParameters(xbar={"adc": {"mvm": {"bitz": 8}}}),
        lambda: setattr(params.xbar, "adc", {"mvm": {"bitz": 8}}),
        lambda: params.get("xbar.adc.mvm.bitz"),
    ]
    for attempt in attempts:
        with pytest.raises(UnknownNameError, match=r"xbar\.adc\.mvm\.bitz.*xbar\.adc\.mvm\.bits") as caught:
            attempt()
        assert caught.value.path == "xbar.adc.mvm.bitz"
    assert params == CrossSimParameters()


def test_a_name_known_elsewhere_is_suggested() -> None:
    with pytest.raises(UnknownNameError, match=r"core\.balanced\.interleaved_posneg"):
        CrossSimParameters(core={"interleaved_posneg": True})


def test_misspelt_choice_suggests_the_nearest() -> None:
    with pytest.raises(ParameterError, match="GRANULAR") as caught:
        ADCParameters(adc_range_option="GRANULARR")
    assert isinstance(caught.value, UnknownNameError)


def test_groups_outside_a_tree_name_themselves() -> None:
    with pytest.raises(ParameterError, match=r"DeviceParameters\.Rmin = -1"):
        DeviceParameters(Rmin=-1)


def test_groups_by_instance_dict_and_none() -> None:
    simulation = SimulationParameters(read_noise_sampling="explicit")
    params = CrossSimParameters(core=None, simulation=simulation, xbar={"device": {"cell_bits": 4}})
    assert params.simulation is simulation
    assert params.core == CrossSimParameters().core
    assert params.xbar.device.cell_bits == 4
    params.xbar.device = {"Rmin": 10.0}  # type: ignore[assignment]
    assert (params.xbar.device.Rmin, params.xbar.device.cell_bits) == (10.0, 0)
    params.xbar = None  # type: ignore[assignment]
    assert params.xbar == XbarParameters()
    with pytest.raises(ParameterError, match=r"xbar\.device = 3"):
        params.xbar.device = 3  # type: ignore[assignment]


def test_an_assigned_group_learns_its_path() -> None:
    params = CrossSimParameters()
    params.xbar.device = DeviceParameters()
    with pytest.raises(ParameterError, match=r"xbar\.device\.cell_bits = -1"):
        params.xbar.device.cell_bits = -1


def test_normalised_conductances() -> None:
    device = DeviceParameters(Rmin=1e4, Rmax=1e6)
    assert (device.Gmin_norm, device.Gmax_norm, device.Grange_norm) == (0.01, 1.0, 0.99)
    device.infinite_on_off_ratio = True
    assert (device.Gmin_norm, device.Gmax_norm, device.Grange_norm) == (0.0, 1.0, 1.0)
    with pytest.raises(ParameterError, match="derived"):
        device.Gmin_norm = 0.5  # type: ignore[misc]


def test_changing_the_adc_model_loses_nothing() -> None:
    adc = ADCParameters(model="RampADC", gain_db=40.0, symmetric_cdac=False)
    for model in ("SarADC", "PipelineADC", "IdealADC", "RampADC"):
        adc.model = model
    assert (adc.gain_db, adc.symmetric_cdac) == (40.0, False)
