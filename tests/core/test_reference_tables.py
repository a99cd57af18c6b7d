"""The tables of the specification's section 11 and the check values of sections 2.2, 5.2 and 7.7.

Where the specification says that the reference is wrong, the recommended value stands here, derived by hand in the
test: Q24 (two-sided weights are rounded as a whole), Q27 (offset mapping has no gain error), Q36 and Q37 (ADC ranges).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from core_hardware import INFINITE, core_on, hardware

from crossohm import AnalogCore
from crossohm.chain import Dense, lower
from crossohm.chain.lowering.ranges import adc_limits
from crossohm.chain.operation import Operation
from crossohm.circuits.adc import get_adc
from crossohm.circuits.dac import build_dac
from crossohm.mapping import build_mapping

W = np.array([[0.5, -1, 0.25], [0.1, 0, -0.75]])
X = np.array([0.8, -0.6, 0.3])
UNIT = {"core.offset.style": "UNIT_COLUMN_SUBTRACTION"}
SLICED = {"core.style": "BITSLICED", "core.bit_sliced.num_slices": 2}
THIRD = 1 / 3

THREE_BITS = [[0.5714286, -1, 0.2857143], [0.1428571, 0, -0.7142857]]

CASES: dict[str, tuple[dict[str, Any], dict[tuple[int, str], Any], Any, Any]] = {
    "balanced": (
        {},
        {(0, "+"): [[0.55, 0.1, 0.325], [0.19, 0.1, 0.1]], (0, "-"): [[0.1, 1, 0.1], [0.1, 0.1, 0.775]]},
        W,
        [1.075, -0.145],
    ),
    "balanced, 3 bits": (
        {"xbar.device.cell_bits": 3},
        {
            (0, "+"): [[0.6142857, 0.1, 0.3571429], [0.2285714, 0.1, 0.1]],
            (0, "-"): [[0.1, 1, 0.1], [0.1, 0.1, 0.7428571]],
        },
        THREE_BITS,
        [1.1428571, -0.1],
    ),
    "offset": (
        {"core.style": "OFFSET"},
        {(0, ""): [[0.775, 0.1, 0.6625], [0.595, 0.55, 0.2125]]},
        W,
        [1.075, -0.145],
    ),
    "offset, 4 bits": (
        {"core.style": "OFFSET", "xbar.device.cell_bits": 4},
        {(0, ""): [[0.82, 0.16, 0.70], [0.64, 0.58, 0.28]]},
        THREE_BITS,
        [1.1428571, -0.1],
    ),
    "unit column, 4 bits": (
        {"core.style": "OFFSET", "xbar.device.cell_bits": 4, **UNIT},
        {(0, ""): [[0.82, 0.16, 0.70], [0.64, 0.58, 0.28]]},
        THREE_BITS,
        [1.1428571, -0.1],
    ),
    "sliced balanced": (
        {**SLICED, "core.weight_bits": 5, **INFINITE},
        {
            (0, "+"): [[0, 0, 0], [2 * THIRD, 0, 0]],
            (0, "-"): [[0, 1, 0], [0, 0, 1]],
            (1, "+"): [[2 * THIRD, 0, THIRD], [0, 0, 0]],
            (1, "-"): [[0, 1, 0], [0, 0, 2 * THIRD]],
        },
        [[0.5333333, -1, 0.2666667], [0.1333333, 0, -0.7333333]],
        [1.1066667, -0.1133333],
    ),
    "sliced offset": (
        {**SLICED, "core.bit_sliced.style": "OFFSET", "core.weight_bits": 4, **INFINITE},
        {
            (0, ""): [[0, THIRD, 2 * THIRD], [THIRD, 0, 1]],
            (1, ""): [[1, 0, 2 * THIRD], [2 * THIRD, 2 * THIRD, 0]],
        },
        THREE_BITS,
        [1.1428571, -0.1],
    ),
}


@pytest.mark.parametrize("name", list(CASES))
def test_conductances_read_back_and_product(name: str) -> None:
    overrides, conductances, stored, product = CASES[name]
    core = core_on(W, overrides)
    found = {(array.slice, array.sign): array.conductance for array in core.arrays}
    assert found.keys() == conductances.keys()
    for key, expected in conductances.items():
        np.testing.assert_allclose(found[key], expected, atol=1e-7)
    np.testing.assert_allclose(core.get_matrix(), stored, atol=1e-7)
    np.testing.assert_allclose(core @ X, product, atol=1e-7)
    np.testing.assert_allclose(np.array([0.4, -0.9]) @ core, np.array([0.4, -0.9]) @ np.array(stored), atol=1e-6)


@pytest.mark.reference_defect("Q24")
def test_two_sided_rounds_the_weight_then_splits_it() -> None:
    """The reference rounds both cells on their own and reads 0.4286 for 0.5; ours reads the nearest level 4/7.

    With 3 bits the pair has 2**4 - 1 levels d/7: d = rint(7 w) = [[4, -7, 2], [1, 0, -5]]. The upper cell takes
    ceil((7 + d)/2) steps, the lower one d fewer, so that both stay within the 8 levels of a cell.
    """
    core = core_on(W, {"core.balanced.style": "TWO_SIDED", "xbar.device.cell_bits": 3})
    d = np.array([[4, -7, 2], [1, 0, -5]])
    upper = np.array([[6, 0, 5], [4, 4, 1]])
    plus, minus = (array.conductance for array in core.arrays)
    np.testing.assert_allclose(plus, 0.1 + 0.9 * upper / 7, atol=1e-12)
    np.testing.assert_allclose(minus, 0.1 + 0.9 * (upper - d) / 7, atol=1e-12)
    np.testing.assert_allclose(core.get_matrix(), d / 7, atol=1e-12)
    np.testing.assert_allclose(core @ X, d / 7 @ X, atol=1e-12)
    one_sided = core_on(W, {"xbar.device.cell_bits": 3})
    np.testing.assert_allclose(core.get_matrix(), one_sided.get_matrix(), atol=1e-12)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"core.style": "OFFSET", "xbar.device.cell_bits": 4, **UNIT}, [[0.58] * 3]),
        (
            {**SLICED, "core.bit_sliced.style": "OFFSET", "core.weight_bits": 4, **INFINITE, **UNIT},
            [[0.0] * 3, [2 * THIRD] * 3],
        ),
    ],
)
def test_unit_line_conductances(overrides: dict[str, Any], expected: Any) -> None:
    units = core_on(W, overrides).blocks[0].record.units["mvm"]
    np.testing.assert_allclose(units[:, 0], expected, atol=1e-7)


@pytest.mark.parametrize(
    ("bits", "slices", "balanced", "offset"),
    [(8, 1, 8, 8), (8, 2, 4, 4), (8, 4, 2, 2), (8, 3, 3, 3), (5, 2, 2, 3), (7, 3, 2, 3), (16, 8, 2, 2), (9, 4, 2, 3)],
)
def test_bits_per_slice(bits: int, slices: int, balanced: int, offset: int) -> None:
    """``B/S`` if it divides, else ``ceil((B-1)/S)`` for sign-magnitude codes and ``ceil(B/S)`` for offset codes."""
    common = {"core.style": "BITSLICED", "core.bit_sliced.num_slices": slices, "core.weight_bits": bits}
    assert build_mapping(hardware(common)).slice_bits == balanced
    assert build_mapping(hardware(common, {"core.bit_sliced.style": "OFFSET"})).slice_bits == offset


# --- converters -------------------------------------------------------------------------------------------------------


def planes_of(dac: dict[str, Any]) -> tuple[np.ndarray, np.ndarray | None]:
    params = hardware({f"xbar.dac.mvm.{name}": value for name, value in dac.items()})
    low = -1.0 if params.xbar.dac.mvm.signed else 0.0
    converter = build_dac(params.xbar.dac.mvm, low, 1.0, "xbar.dac.mvm")
    x = X if low else np.abs(X)
    xq = converter.quantize(x)
    return xq, converter.planes(xq, 0, len(converter.plane_weights)) if converter.sliced else None


def test_dac_rows() -> None:
    sign_magnitude = {"model": "SignMagnitudeDAC", "bits": 4, "input_bitslicing": True}
    xq, planes = planes_of(sign_magnitude)
    np.testing.assert_allclose(xq, [0.8571429, -0.5714286, 0.2857143], atol=1e-7)
    np.testing.assert_allclose(planes, [[0, 0, 0], [1, 0, 1], [1, -1, 0]], atol=1e-12)
    _, planes = planes_of({**sign_magnitude, "slice_size": 2})
    np.testing.assert_allclose(planes, [[2 * THIRD, 0, 2 * THIRD], [THIRD, -THIRD, 0]], atol=1e-12)
    xq, _ = planes_of({"model": "QuantizerDAC", "bits": 4})
    np.testing.assert_allclose(xq, [0.8666667, -0.6, 0.3333333], atol=1e-7)
    xq, _ = planes_of({"model": "QuantizerDAC", "bits": 4, "signed": False})
    np.testing.assert_allclose(xq, [0.8, 0.6, 0.2666667], atol=1e-7)


@pytest.mark.parametrize(
    ("model", "levels", "expected"),
    [("SignMagnitudeADC", 31, [1.0370370, -0.1481481]), ("RampADC", 32, [1.0416667, -0.2083333])],
)
def test_adc_rows(model: str, levels: int, expected: list[float]) -> None:
    adc = {"xbar.adc.mvm.model": model, "xbar.adc.mvm.bits": 5, "xbar.adc.mvm.calibrated_range": [-2, 2]}
    core = core_on(W, adc, {"xbar.adc.mvm.gain_db": 300.0})
    np.testing.assert_allclose(core @ X, expected, atol=1e-7)
    block = core.blocks[0]
    plan = lower(block.record, block.params, "mvm", Dense(3), X)
    assert plan.stages[0].digitiser.converters[0][0].levels == levels


def test_pipeline_transfer_with_finite_gain() -> None:
    params = hardware({"xbar.adc.mvm.model": "PipelineADC", "xbar.adc.mvm.bits": 4, "xbar.adc.mvm.gain_db": 20.0})
    spec = params.xbar.adc.mvm
    model = get_adc("PipelineADC", "xbar.adc.mvm.model")
    drawn = model.mismatch(spec, 1, np.random.default_rng(0))
    converter = model.build(spec, -2.0, 2.0, drawn)
    found = converter(np.arange(-2, 2.01, 0.5).reshape(-1, 1))[:, 0]
    np.testing.assert_allclose(found, [-1.875, -1.375, -1.125, -1.375, -0.125, -0.625, 0.875, 1.375, 1.875])


# --- ADC ranges, section 5.2 ------------------------------------------------------------------------------------------

RANGE = {"xbar.adc.mvm.model": "QuantizerADC", "xbar.adc.mvm.bits": 8, "core.weight_bits": 8}
SIGNED = {"xbar.dac.mvm.model": "SignMagnitudeDAC", "xbar.dac.mvm.bits": 8}
UNSIGNED = {
    "xbar.dac.mvm.model": "QuantizerDAC",
    "xbar.dac.mvm.bits": 8,
    "xbar.dac.mvm.signed": False,
    "core.mapping.inputs.mvm.min": 0.0,
}
MAX = {"xbar.adc.mvm.adc_range_option": "MAX"}
GRANULAR = {
    "xbar.adc.mvm.adc_range_option": "GRANULAR",
    "xbar.adc.mvm.adc_per_ibit": True,
    "xbar.dac.mvm.input_bitslicing": True,
}
OFFSET = {"core.style": "OFFSET"}
APART = {"core.balanced.subtract_current_in_xbar": False}
SLICED4 = {"core.style": "BITSLICED", "core.bit_sliced.num_slices": 4}
SLICED4_OFFSET = {**SLICED4, "core.bit_sliced.style": "OFFSET"}


def limits_of(*overrides: dict[str, Any], inputs: int = 90) -> tuple[float, float]:
    params = hardware(RANGE, *overrides)
    mapping = build_mapping(params)
    found = adc_limits(params, mapping, Operation.MVM, inputs)
    assert len(found) == mapping.slices
    assert len(set(found)) == 1
    return found[0]


@pytest.mark.parametrize(
    ("style", "inputs", "expected"),
    [
        ({}, SIGNED, (-90, 90)),
        ({}, UNSIGNED, (-90, 90)),
        (APART, SIGNED, (-90, 90)),
        (APART, UNSIGNED, (0, 90)),
        (OFFSET, SIGNED, (-90, 90)),
        (OFFSET, UNSIGNED, (0, 90)),
        (SLICED4, SIGNED, (-90, 90)),
        (SLICED4, UNSIGNED, (-90, 90)),
        # Q36: the reference's 85.33 lies below the largest current of 90 inputs; ours is that current.
        (SLICED4_OFFSET, SIGNED, (-90, 90)),
        (SLICED4_OFFSET, UNSIGNED, (0, 90)),
    ],
)
def test_max_range(style: dict[str, Any], inputs: dict[str, Any], expected: tuple[float, float]) -> None:
    assert limits_of(style, inputs, MAX) == expected


@pytest.mark.parametrize(
    ("style", "inputs", "expected"),
    [
        # Q37: spacing = smallest step of a current, without the reference's factor 2**n/(2**n - 1).
        # Slices of 2 bits step by 1/3; the reference has 127/3 * 128/127 = 42.6667 and 255/3 * 256/255 = 85.3333.
        ({**SLICED4, **INFINITE}, SIGNED, (-127 / 3, 127 / 3)),
        ({**SLICED4, **INFINITE}, UNSIGNED, (-127 / 3, 127 / 3)),
        ({**SLICED4_OFFSET, **INFINITE}, SIGNED, (-127 / 3, 127 / 3)),
        ({**SLICED4_OFFSET, **INFINITE}, UNSIGNED, (0, 255 / 3)),
        (SLICED4, SIGNED, (-0.9 * 127 / 3, 0.9 * 127 / 3)),
        ({"xbar.device.cell_bits": 7}, SIGNED, (-0.9, 0.9)),
        ({"xbar.device.cell_bits": 7, **APART}, UNSIGNED, (0, 0.9 * 255 / 127)),
        ({"xbar.device.cell_bits": 8, **OFFSET, **INFINITE}, UNSIGNED, (0, 1.0)),
    ],
)
def test_granular_range(style: dict[str, Any], inputs: dict[str, Any], expected: tuple[float, float]) -> None:
    assert limits_of(inputs, GRANULAR, style) == pytest.approx(expected, rel=1e-12)


def test_granular_range_of_wider_input_slices() -> None:
    """An input slice of s bits steps by ``1/(2**s - 1)``."""
    found = limits_of(SIGNED, GRANULAR, {**SLICED4, **INFINITE, "xbar.dac.mvm.slice_size": 3})
    assert found == pytest.approx((-127 / 3 / 7, 127 / 3 / 7), rel=1e-12)


# --- other check values -----------------------------------------------------------------------------------------------


def test_current_limit_example() -> None:
    core = core_on([[1.0, 1, 1], [-1, 1, 0.2]], INFINITE, {"xbar.array.Icol_max": 0.5})
    np.testing.assert_allclose(core @ np.ones(3), [0.5, 0], atol=1e-12)


def test_current_limit_acts_on_the_net_current_of_interleaved_pairs() -> None:
    limit = {"xbar.array.Icol_max": 0.5, "core.balanced.interleaved_posneg": True}
    core = core_on([[1.0, 1, 1], [-1, 1, 0.2]], INFINITE, limit)
    np.testing.assert_allclose(core @ np.ones(3), [0.5, 0.2], atol=1e-12)


@pytest.mark.parametrize("fraction", [0.6, 0.9, 0.99])
def test_percentile_weight_range(fraction: float) -> None:
    matrix = np.random.default_rng(5).normal(size=(6, 5))
    core = core_on(matrix, {"core.mapping.weights.percentile": fraction})
    low, high = np.percentile(matrix, [100 - 100 * fraction, 100 * fraction])
    assert core.max == -core.min == max(abs(low), abs(high))
    np.testing.assert_allclose(core.get_matrix(), np.clip(matrix, core.min, core.max), atol=1e-14)


def test_percentile_above_one_widens_the_range() -> None:
    matrix = np.random.default_rng(5).normal(size=(6, 5))
    assert core_on(matrix, {"core.mapping.weights.percentile": 1.5}).max == 1.5 * np.abs(matrix).max()


def test_zero_matrix_has_a_range_and_multiplies_to_zero() -> None:
    core = AnalogCore(np.zeros((2, 3)), seed=0)
    assert core.max > 0
    assert np.max(np.abs(core @ np.ones(3))) < 1e-15 * core.max
    assert np.max(np.abs(core.get_matrix())) < 1e-15 * core.max
