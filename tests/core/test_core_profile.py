"""The taps see exactly what the ADCs convert (Q47), and profiling leaves results as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from core_hardware import STYLES, core_on

from crossohm import AnalogCore
from crossohm.chain import Dense, Plan, lower, multiply

W = np.array([[0.5, -1.0, 0.25], [0.1, 0.0, -0.75]])
X = np.array([[0.8, -0.6, 0.3], [1.0, 0.5, -0.2]])  # two vectors
SLICING = {
    "xbar.dac.mvm.model": "SignMagnitudeDAC",
    "xbar.dac.mvm.bits": 4,
    "xbar.dac.mvm.input_bitslicing": True,
}
ADC = {"xbar.adc.mvm.model": "QuantizerADC", "xbar.adc.mvm.bits": 6, "xbar.adc.mvm.adc_range_option": "MAX"}
XQ = np.rint(X * 7) / 7
SLICES = [np.sign(X) * (np.rint(np.abs(X) * 7).astype(int) >> k & 1) for k in range(3)]


class Recorder:
    """A tap that keeps what passes."""

    def __init__(self) -> None:
        self.inputs: list[np.ndarray] = []
        self.currents: list[np.ndarray] = []

    def xbar_inputs(self, x: Any, operation: str, constants: int) -> None:
        self.inputs.append(np.array(x))

    def adc_inputs(self, currents: Any, operation: str, partition: int, plane: int) -> None:
        self.currents.append(np.array(currents))


def plan_of(core: AnalogCore, operation: str = "mvm") -> Plan:
    block = core.blocks[0]
    size = core.ncol if operation == "mvm" else core.nrow
    return lower(block.record, block.params, operation, Dense(size), np.zeros(1), tapped=True)


def tapped(core: AnalogCore, x: np.ndarray, operation: str = "mvm") -> tuple[Recorder, np.ndarray]:
    tap = Recorder()
    return tap, multiply(plan_of(core, operation), x, None, tap)


def lines(core: AnalogCore, slice_: int, sign: str, v: np.ndarray) -> np.ndarray:
    """Currents of one physical array, ``(vectors, outputs)``."""
    (g,) = (a.conductance for a in core.arrays if (a.slice, a.sign) == (slice_, sign))
    return v @ g.T


@pytest.mark.parametrize("adc", [{}, ADC], ids=["no ADC", "ADC"])
def test_analog_subtraction_taps_the_difference(adc: dict[str, Any]) -> None:
    core = core_on(W, adc)
    tap, _ = tapped(core, X)
    assert len(tap.currents) == 1
    np.testing.assert_allclose(tap.currents[0][:, 0], X @ (0.9 * W).T, atol=1e-14)
    np.testing.assert_array_equal(tap.inputs[0], X)


def test_digital_subtraction_taps_both_currents() -> None:
    core = core_on(W, STYLES["digital-subtraction"], ADC)
    tap, _ = tapped(core, X)
    assert tap.currents[0].shape == (2, 2, 2)
    for bank, sign in enumerate("+-"):
        np.testing.assert_allclose(tap.currents[0][:, bank], lines(core, 0, sign, X), atol=1e-14)


def test_offset_taps_the_raw_current() -> None:
    core = core_on(W, STYLES["offset"])
    tap, _ = tapped(core, X)
    np.testing.assert_allclose(tap.currents[0][:, 0], X @ (0.1 + 0.9 * (W + 1) / 2).T, atol=1e-14)


def test_unit_column_taps_the_unit_line_too() -> None:
    core = core_on(W, STYLES["unit-column"], ADC)
    tap, _ = tapped(core, X)
    expected = np.column_stack([X.sum(axis=1) * 0.55, X @ (0.1 + 0.9 * (W + 1) / 2).T])
    np.testing.assert_allclose(tap.currents[0][:, 0], expected, atol=1e-14)


@pytest.mark.parametrize("style", ["sliced-balanced", "sliced-offset"])
def test_every_weight_slice_has_a_tap(style: str) -> None:
    core = core_on(W, STYLES[style])
    tap, _ = tapped(core, X)
    count = core.params.core.bit_sliced.num_slices
    assert tap.currents[0].shape == (2, count, 2)
    for i in range(count):
        if style == "sliced-balanced":
            expected = lines(core, i, "+", X) - lines(core, i, "-", X)
        else:
            expected = lines(core, i, "", X)
        np.testing.assert_allclose(tap.currents[0][:, i], expected, atol=1e-14)


@pytest.mark.reference_defect("Q47")
def test_one_adc_after_shift_and_add_sees_the_sum() -> None:
    """With input slices and one conversion, the tap holds the recombined current, not the slices."""
    core = core_on(W, SLICING, ADC)
    tap, _ = tapped(core, X)
    assert len(tap.currents) == 1
    np.testing.assert_allclose(tap.currents[0][:, 0], XQ @ (0.9 * W).T, atol=1e-14)


def test_an_adc_per_input_slice_sees_every_slice() -> None:
    core = core_on(W, SLICING, ADC, {"xbar.adc.mvm.adc_per_ibit": True})
    tap, _ = tapped(core, X)
    assert len(tap.currents) == 3
    for seen, plane in zip(tap.currents, SLICES, strict=True):
        np.testing.assert_allclose(seen[:, 0], plane @ (0.9 * W).T, atol=1e-14)


def test_taps_sit_behind_the_current_limit() -> None:
    core = core_on(W, {"xbar.array.Icol_max": 0.4})
    tap, _ = tapped(core, X)
    limited = [np.clip(lines(core, 0, sign, X), -0.4, 0.4) for sign in "+-"]
    np.testing.assert_allclose(tap.currents[0][:, 0], limited[0] - limited[1], atol=1e-14)


def test_partitions_are_tapped_apart() -> None:
    core = core_on(W, {"core.rows_max": 2})
    tap, _ = tapped(core, X)
    assert len(tap.currents) == 2
    for seen, part in zip(tap.currents, (slice(0, 2), slice(2, 3)), strict=True):
        np.testing.assert_allclose(seen[:, 0], X[:, part] @ (0.9 * W[:, part]).T, atol=1e-14)


def test_left_products_are_tapped() -> None:
    core = core_on(W)
    z = np.array([[0.3, -0.7]])
    tap, y = tapped(core, z, "vmm")
    np.testing.assert_allclose(tap.currents[0][:, 0], z @ (0.9 * W), atol=1e-14)
    np.testing.assert_allclose(y, z @ W, atol=1e-14)


@pytest.mark.parametrize("style", list(STYLES))
def test_profiling_changes_no_result_and_fills_histograms(style: str) -> None:
    core = core_on(W, STYLES[style], ADC)
    plain, left = core @ X.T, X[:, :2] @ core
    with core.profile() as seen:
        np.testing.assert_array_equal(core @ X.T, plain)
        np.testing.assert_array_equal(X[:, :2] @ core, left)
    np.testing.assert_array_equal(core @ X.T, plain)
    tap, _ = tapped(core, X)
    assert seen.inputs["mvm"].total == X.size
    assert (seen.inputs["mvm"].low, seen.inputs["mvm"].high) == (X.min(), X.max())
    for bank in range(tap.currents[0].shape[1]):
        histogram = seen.adc["mvm", 0, bank]
        currents = tap.currents[0][:, bank]
        assert histogram.total == currents.size
        assert histogram.low == pytest.approx(currents.min(), abs=1e-14)
        assert histogram.high == pytest.approx(currents.max(), abs=1e-14)
    assert any(operation == "vmm" for operation, _, _ in seen.adc)


def test_profiles_nest_and_end() -> None:
    core = core_on(W)
    with core.profile() as outer:
        core @ X.T
        with core.profile() as inner:
            core @ X.T
        core @ X.T
    core @ X.T
    assert inner.inputs["mvm"].total == X.size
    assert outer.inputs["mvm"].total == 2 * X.size


def test_profile_stops_after_an_error() -> None:
    core = core_on(W)
    with pytest.raises(RuntimeError), core.profile() as seen:
        raise RuntimeError("a user's own")
    core @ X.T
    assert not seen.inputs


def test_profile_of_many_batches_stays_small() -> None:
    core = core_on(np.ones((4, 3)))
    rng = np.random.default_rng(0)
    with core.profile(bins=256) as seen:
        for _ in range(50):
            core @ rng.normal(size=(3, 100))
    assert seen.inputs["mvm"].total == 50 * 300
    assert all(len(h.counts) == 256 for h in [*seen.inputs.values(), *seen.adc.values()])


def test_a_calibrated_range_from_the_profile_holds_the_currents() -> None:
    """The purpose: ranges taken from the taps neither clip nor waste codes."""
    rng = np.random.default_rng(0)
    matrix, x = rng.normal(size=(10, 30)), rng.uniform(-1, 1, (30, 200))
    core = core_on(matrix)
    with core.profile() as seen:
        exact = core @ x
    (histogram,) = seen.adc_slices("mvm", 1)
    calibrated = {
        "xbar.adc.mvm.model": "QuantizerADC",
        "xbar.adc.mvm.bits": 10,
        "xbar.adc.mvm.calibrated_range": [histogram.low, histogram.high],
    }
    lsb = (histogram.high - histogram.low) / 1023 * core.max / 0.9
    assert np.max(np.abs(core_on(matrix, calibrated) @ x - exact)) <= lsb / 2 * (1 + 1e-9)
