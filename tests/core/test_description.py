"""What a core is said to be made of is what works when it multiplies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from crossohm import AnalogCore
from crossohm.chain.inspection.describe import describe
from crossohm.testing.hardware import CONVERTERS, STYLES, hardware

MATRIX = np.random.default_rng(5).normal(size=(13, 21))
SMALL = {"core.rows_max": 8, "core.cols_max": 5}
SLICED_INPUTS = {"xbar.dac.mvm.input_bitslicing": True, "xbar.dac.mvm.slice_size": 2}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(
    "inputs", [{}, SLICED_INPUTS, {**SLICED_INPUTS, "xbar.adc.mvm.adc_per_ibit": True}], ids=["whole", "sliced", "each"]
)
def test_conversions_are_those_that_happen(style: str, inputs: dict[str, Any]) -> None:
    """Counted by a profile, which sees every ADC input."""
    core = AnalogCore(MATRIX, hardware(STYLES[style], CONVERTERS, SMALL, inputs), seed=1)
    vectors = np.random.default_rng(6).uniform(-1, 1, size=(21, 4))
    with core.profile() as seen:
        core @ vectors
    found = describe(core.state)
    assert found.conversions * 4 == sum(histogram.total for histogram in seen.conversions.values())
    assert found.planes == (4 if inputs else 1)
    assert found.operations == found.planes * len(core.arrays)
    assert core.array_count == len(core.arrays)
    assert (found.outputs, found.inputs) == MATRIX.shape


def test_without_converters_nothing_is_converted() -> None:
    found = describe(AnalogCore(MATRIX, hardware(), seed=1).state)
    assert (found.conversions, found.adc_levels, found.adc_ranges, found.dac_levels) == (0, None, (), None)


def test_the_other_product_has_its_own_converters() -> None:
    settings = {path.replace("mvm", "vmm"): value for path, value in CONVERTERS.items()}
    core = AnalogCore(MATRIX, hardware({"xbar.adc._match": False, "xbar.dac._match": False}, settings, SMALL), seed=1)
    found, forward = describe(core.state, "vmm"), describe(core.state)
    assert (found.outputs, found.inputs) == MATRIX.shape[::-1]
    assert found.adc_levels == 256 and forward.adc_levels is None
    assert found.conversions == 21 * 3  # outputs, by partitions of 13 inputs over 5 lines
    assert found.arrays == forward.arrays


def test_wires_are_not_eliminated_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    wires = {
        "xbar.array.parasitics.enable": True,
        "xbar.array.parasitics.Rp_row": 1e-3,
        "xbar.array.parasitics.Rp_col": 1e-3,
    }
    core = AnalogCore(MATRIX, hardware(CONVERTERS, wires), seed=1)

    def fail(*_: object) -> None:
        pytest.fail("eliminated")

    monkeypatch.setattr("crossohm.chain.lowering.wires.effective_matrix", fail)
    assert describe(core.state).operations == 2
