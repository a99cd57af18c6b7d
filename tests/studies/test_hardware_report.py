"""What is reported as hardware is what was simulated."""

from __future__ import annotations

import math

import numpy as np
import pytest

from crossohm import AnalogCore, CrossSimParameters
from crossohm.costs.occupancy import HardwareReport, layer_report

MATRIX = np.random.default_rng(3).normal(size=(30, 70))

SMALL = {"core.rows_max": 32, "core.cols_max": 16}
SLICED = {"core.style": "BITSLICED", "core.weight_bits": 8, "core.bit_sliced.num_slices": 4}
OFFSET = {"core.style": "OFFSET", "xbar.device.cell_bits": 4}
UNIT = {"core.offset.style": "UNIT_COLUMN_SUBTRACTION"}


def report_of(changes: dict[str, object], vectors: int = 1) -> tuple[AnalogCore, object]:
    params = CrossSimParameters()
    params.update(changes)
    core = AnalogCore(MATRIX, params, seed=1)
    return core, layer_report("fc", "Linear", core, vectors)


@pytest.mark.parametrize(
    ("changes", "arrays", "largest"),
    [
        ({}, 2, (70, 30)),
        (SMALL, 2 * 3 * 2, (24, 15)),
        (OFFSET, 1, (70, 30)),
        (OFFSET | UNIT, 1, (70, 31)),
        (SLICED, 2 * 4, (70, 30)),
        (SLICED | SMALL, 2 * 4 * 3 * 2, (24, 15)),
        (SLICED | {"core.bit_sliced.style": "OFFSET"}, 4, (70, 30)),
    ],
)
def test_arrays_and_sizes(changes: dict[str, object], arrays: int, largest: tuple[int, int]) -> None:
    core, report = report_of(changes, vectors=5)
    assert report.arrays == len(core.arrays) == arrays
    assert (report.array_rows, report.array_columns) == largest
    assert report.mvms == 5 * arrays
    unit_cells = 70 if changes.get("core.offset.style") else 0
    assert report.devices == sum(array.conductance.size for array in core.arrays) + unit_cells
    assert (report.outputs, report.inputs) == MATRIX.shape


@pytest.mark.parametrize(
    ("changes", "levels"),
    [
        ({}, None),
        ({"xbar.device.cell_bits": 5}, 32),
        (SLICED, 4),
        (SLICED | {"core.bit_sliced.style": "OFFSET", "core.weight_bits": 12}, 8),
    ],
)
def test_cell_levels_are_those_written(changes: dict[str, object], levels: int | None) -> None:
    core, report = report_of(changes)
    assert report.cell_levels == levels
    if levels is not None:
        written = np.unique(np.round([g for a in core.arrays for g in a.target.ravel()], 9))
        assert 2 < len(written) <= levels


def test_ideal_converters_have_no_levels() -> None:
    _, report = report_of({})
    assert (report.dac_levels, report.adc_levels, report.adc_ranges) == (None, None, ())
    assert report.input_range == (-1.0, 1.0)


@pytest.mark.parametrize(("model", "levels"), [("QuantizerADC", 8), ("SignMagnitudeADC", 7), ("RampADC", 8)])
def test_adc_levels_and_range_are_those_of_the_outputs(model: str, levels: int) -> None:
    adc = {"xbar.adc.mvm.model": model, "xbar.adc.mvm.bits": 3, "xbar.adc.mvm.calibrated_range": [-2.0, 2.0]}
    core, report = report_of(adc | {"xbar.device.infinite_on_off_ratio": True})
    inputs = np.random.default_rng(4).uniform(-1, 1, size=(70, 500))
    outputs = np.unique(np.round(core @ inputs / core.max, 6))
    assert report.adc_levels == levels == len(outputs)
    assert report.adc_ranges == ((-2.0, 2.0),)
    assert np.all(np.abs(outputs) <= 2.0)


def test_dac_levels_and_range_are_those_of_the_inputs() -> None:
    dac = {"xbar.dac.mvm.model": "SignMagnitudeDAC", "xbar.dac.mvm.bits": 4, "core.mapping.inputs.mvm.max": 3.0,
           "core.mapping.inputs.mvm.min": -3.0}  # fmt: skip
    core, report = report_of(dac)
    seen = np.unique(np.round(core @ (np.eye(70)[:, :1] * np.linspace(-5, 5, 2001)), 6), axis=1)
    assert report.dac_levels == 15 == seen.shape[1]
    assert report.input_range == (-3.0, 3.0)


def test_the_widest_of_unequal_arrays_is_reported() -> None:
    adc = {"xbar.adc.mvm.model": "QuantizerADC", "xbar.adc.mvm.bits": 8, "xbar.adc.mvm.adc_range_option": "MAX"}
    _, report = report_of(SMALL | adc)  # 70 inputs in parts of 24, 23, 23
    assert report.adc_ranges == ((-24.0, 24.0),)


def test_a_range_per_vector_has_no_limits() -> None:
    _, report = report_of({"core.mapping.inputs.mvm.percentile": 1.0})
    assert report.input_range is None


def test_totals() -> None:
    layers = tuple(report_of(changes, vectors)[1] for changes, vectors in (({}, 1), (SMALL, 9)))
    total = HardwareReport(layers)
    assert total.arrays == 2 + 12
    assert total.devices == 2 * 2 * math.prod(MATRIX.shape)
    assert total.mvms == 2 + 9 * 12
    assert total.largest_array == (70, 30)
    assert total.as_dict()["totals"] == {"arrays": 14, "devices": 8400, "mvms": 110}


INPUT_SLICES = {"xbar.dac.mvm": {"model": "SignMagnitudeDAC", "bits": 8, "input_bitslicing": True}}
ADC = {"xbar.adc.mvm": {"model": "QuantizerADC", "bits": 6, "adc_range_option": "MAX"}}


@pytest.mark.parametrize(("size", "slices"), [(1, 7), (2, 4), (7, 1)])
@pytest.mark.parametrize("adc", [{}, ADC, ADC | {"xbar.adc.mvm.adc_per_ibit": True}], ids=["none", "sum", "per slice"])
@pytest.mark.parametrize("mapping", [{}, OFFSET, SLICED | SMALL])
def test_every_input_slice_is_an_operation_of_every_array(
    mapping: dict[str, object], adc: dict[str, object], size: int, slices: int
) -> None:
    """Whether or not the simulation merges them: the arrays are driven once per slice."""
    core, report = report_of(mapping | INPUT_SLICES | adc | {"xbar.dac.mvm.slice_size": size}, vectors=5)
    assert report.mvms == 5 * slices * len(core.arrays)


def test_operations_of_arrays_with_hardware_of_their_own_are_added() -> None:
    params = []
    for changes in ({}, INPUT_SLICES):
        params.append(CrossSimParameters())
        params[-1].update({"core.rows_max": 35, **changes})
    report = layer_report("fc", "Linear", AnalogCore(MATRIX, params, seed=1), 3)
    assert report.mvms == 3 * (2 * 1 + 2 * 7)


WIRES = {"xbar.array.parasitics": {"enable": True, "Rp_row": 2.0, "Rp_col": 3.0}}


@pytest.mark.parametrize("changes", [{}, SMALL, SLICED, ADC, INPUT_SLICES | ADC, OFFSET | UNIT | ADC])
def test_no_network_is_solved_for_the_table(changes: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    _, without = report_of(changes)
    for name in ("effective_matrix", "ladder_currents", "cell_currents", "DrivenNetwork", "DisturbedNetwork"):
        for module in (
            "circuits.grid",
            "chain.lowering.wires",
            "chain.lowering.array_circuits",
            "chain.running.circuit_readout",
        ):
            monkeypatch.setattr(f"crossohm.{module}.{name}", None, raising=False)
    monkeypatch.setattr("crossohm.chain.lowering.arrays.build_readout", None)
    _, report = report_of(changes | WIRES)
    assert report == without
