"""Single precision counts converter steps, their units in the matrix; double precision spells the conversions out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from core_hardware import STYLES, core_on

import crossohm.chain.running.plan as plan_module
from crossohm.circuits import DAC, dac
from crossohm.circuits.levels import Levels

UNSIGNED = {
    "core.mapping.inputs.mvm.min": 0.0,
    "core.mapping.inputs.mvm.max": 1.5,
    "xbar.dac.mvm.model": "QuantizerDAC",
    "xbar.dac.mvm.signed": False,
    "xbar.dac.mvm.bits": 5,
}
SIGNED = {"xbar.dac.mvm.model": "QuantizerDAC", "xbar.dac.mvm.bits": 5}
FROM_A_QUARTER = UNSIGNED | {"core.mapping.inputs.mvm.min": 0.375}
MAGNITUDE = {"xbar.dac.mvm.model": "SignMagnitudeDAC", "xbar.dac.mvm.bits": 5}
INPUTS = {"unsigned": UNSIGNED, "signed": SIGNED, "from-a-quarter": FROM_A_QUARTER, "sign-magnitude": MAGNITUDE}
ADC = {"xbar.adc.mvm.model": "QuantizerADC", "xbar.adc.mvm.bits": 9, "xbar.adc.mvm.adc_range_option": "MAX"}
#: No sum of few-bit numbers lies exactly between two levels of this range.
LIMITS = [-5.0 * 2**0.5, 6.0 * 3**0.5]
PER_BIT = {"xbar.dac.mvm.input_bitslicing": True, "xbar.adc.mvm.adc_per_ibit": True}
SLICE_OF_TWO = PER_BIT | {"xbar.dac.mvm.slice_size": 2}
RNG = np.random.default_rng(5)
MATRIX = RNG.uniform(-1, 1, (11, 23))
X = RNG.uniform(-1.3, 1.7, (23, 60))


def adc(style: str) -> dict[str, Any]:
    """Converters without ties, for every slice."""
    slices = STYLES[style].get("core.bit_sliced.num_slices")
    limits = [LIMITS] * slices if slices else LIMITS
    return ADC | {"xbar.adc.mvm.adc_range_option": "CALIBRATED", "xbar.adc.mvm.calibrated_range": limits}


def agree(overrides: dict[str, Any], matrix: np.ndarray = MATRIX, x: np.ndarray = X) -> None:
    """All but rare elements are equal; those next to a threshold may be a step or two away."""
    exact = core_on(matrix, overrides) @ x
    counted = core_on(matrix.astype(np.float32), overrides) @ x.astype(np.float32)
    assert counted.dtype == np.float32
    gap, scale = np.abs(counted - exact), np.abs(exact).max()
    assert np.mean(gap > 1e-5 * scale) < 0.01
    assert gap.max() < 0.2 * scale


@pytest.mark.parametrize("inputs", INPUTS)
@pytest.mark.parametrize("style", STYLES)
def test_every_mapping_with_every_input_converter(style: str, inputs: str) -> None:
    agree(STYLES[style] | INPUTS[inputs] | adc(style))


@pytest.mark.parametrize("slicing", [PER_BIT, SLICE_OF_TWO], ids=["one bit", "two bits"])
@pytest.mark.parametrize("inputs", [name for name in INPUTS if name != "signed"])
@pytest.mark.parametrize("style", STYLES)
def test_conversion_of_every_input_slice(style: str, inputs: str, slicing: dict[str, Any]) -> None:
    agree(STYLES[style] | INPUTS[inputs] | adc(style) | slicing)


@pytest.mark.parametrize("limits", [(-3.0, 5.1), (0.57, 4.0), (-2.03, 2.0)])
def test_ranges_that_do_not_start_at_zero(limits: tuple[float, float]) -> None:
    calibrated = {"xbar.adc.mvm.adc_range_option": "CALIBRATED", "xbar.adc.mvm.calibrated_range": list(limits)}
    agree(ADC | calibrated | SIGNED)
    agree(ADC | calibrated | UNSIGNED | PER_BIT | {"core.rows_max": 9})


def test_slices_with_ranges_of_their_own() -> None:
    ranges = [[-0.77, 0.8], [-1.54, 1.6], [-3.08, 3.2]]
    agree(
        STYLES["sliced-balanced"]
        | ADC
        | UNSIGNED
        | {"xbar.adc.mvm.adc_range_option": "CALIBRATED", "xbar.adc.mvm.calibrated_range": ranges}
    )


@pytest.mark.parametrize("extra", [{}, PER_BIT], ids=["at once", "per bit"])
@pytest.mark.parametrize("style", ["balanced", "digital-subtraction", "sliced-balanced", "unit-column"])
def test_zero_stays_zero_where_it_is_a_level(style: str, extra: dict[str, Any]) -> None:
    adc = {"xbar.adc.mvm.model": "SignMagnitudeADC", "xbar.adc.mvm.bits": 6, "xbar.adc.mvm.adc_range_option": "MAX"}
    core = core_on(MATRIX.astype(np.float32), STYLES[style] | MAGNITUDE | adc | extra)
    assert not np.any(core @ np.zeros((23, 3), dtype=np.float32))


def test_input_scale_from_the_data() -> None:
    agree(
        adc("balanced") | MAGNITUDE | {"core.mapping.inputs.mvm.percentile": 1.0, "core.mapping.inputs.mvm.min": None}
    )


@dac("StepOfTheCall")
class StepOfTheCall(DAC):
    """A step that follows from all inputs of a call."""

    def quantize(self, x: Any, low: float, high: float, bits: int) -> Any:
        step = (abs(x).mean() if x.size else 1.0) / 2**bits
        return (x / step).round() * step


#: Input converters of which some look at all inputs of a call.
PIECES = {
    "converters": ADC | UNSIGNED,
    "input slices": STYLES["sliced-offset"] | ADC | UNSIGNED | PER_BIT,
    "no input converter": ADC,
    "range of the call": ADC | MAGNITUDE | {"core.mapping.inputs.mvm.percentile": 0.9},
    "range of the vector": ADC
    | MAGNITUDE
    | {"core.mapping.inputs.mvm.percentile": 1.0, "core.mapping.inputs.mvm.percentile_scope": "vector"},
    "a user's": ADC | {"xbar.dac.mvm.model": "StepOfTheCall", "xbar.dac.mvm.bits": 4},
}


@pytest.mark.parametrize("overrides", PIECES.values(), ids=list(PIECES))
def test_pieces_of_the_batch_give_the_whole(overrides: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = core_on(MATRIX, overrides) @ X
    monkeypatch.setattr(plan_module, "CACHED_ELEMENTS", 200)
    monkeypatch.setattr(plan_module, "FEWEST_VECTORS", 1)
    core = core_on(MATRIX, overrides)  # a plan remembers how many entries it takes at a time
    np.testing.assert_allclose(core @ X, whole, rtol=1e-12, atol=1e-12)
    assert (core @ X[:, :0]).shape == (11, 0)


NOISE = {
    "xbar.device.read_noise.enable": True,
    "xbar.device.read_noise.model": "NormalProportionalDevice",
    "xbar.device.read_noise.magnitude": 0.02,
}


@pytest.mark.parametrize("noise", [{}, NOISE], ids=["no noise", "read noise"])
@pytest.mark.parametrize("rows", [256, 9], ids=["one partition", "three partitions"])
@pytest.mark.parametrize("style", STYLES)
def test_one_bank_is_counted_like_one_of_several(
    style: str, rows: int, noise: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the last bit, with the same random draws."""
    hardware = STYLES[style] | SIGNED | adc(style) | noise | {"core.rows_max": rows}
    matrix, x = MATRIX.astype(np.float32), X.astype(np.float32)
    core = core_on(matrix, hardware)
    stages = core.plan(x).plans[0].stages
    assert all(stage.counts_one_bank is (len(stage.combination.coefficients) == 1) for stage in stages)
    torch.manual_seed(1)
    found = core @ x, core @ torch.tensor(x)
    monkeypatch.setattr(plan_module.Stage, "counts_one_bank", False)
    torch.manual_seed(1)
    core = core_on(matrix, hardware)
    for one, wanted in zip(found, (core @ x, core @ torch.tensor(x)), strict=True):
        np.testing.assert_array_equal(one, wanted)


@pytest.mark.parametrize(
    "overrides", [ADC | SIGNED, ADC | FROM_A_QUARTER | PER_BIT], ids=["levels", "offset and levels"]
)
def test_what_partitions_add_to_every_output_is_added_once(overrides: dict[str, Any]) -> None:
    parted = overrides | {"core.rows_max": 9}
    stages = core_on(MATRIX.astype(np.float32), parted).plan(X.astype(np.float32)).plans[0].stages
    assert len(stages) == 3
    assert [stage.combination.constant is not None for stage in stages] == [True, False, False]
    agree(parted)


@pytest.mark.parametrize("extra", [{}, PER_BIT], ids=["at once", "per bit"])
def test_gradient_is_that_of_double_precision(extra: dict[str, Any]) -> None:
    overrides = ADC | UNSIGNED | {"core.rows_max": 9} | extra
    gradients = []
    for dtype in (torch.float32, torch.float64):
        x = torch.tensor(X[:, 0], dtype=dtype, requires_grad=True)
        core = core_on(torch.tensor(MATRIX, dtype=dtype), overrides)
        (core @ x).sum().backward()
        gradients.append(x.grad.double())
    assert torch.count_nonzero(gradients[1])
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-5, atol=1e-5)


def test_inputs_are_left_as_they_are() -> None:
    x = X.astype(np.float32)
    tensor = torch.tensor(x)
    for overrides in (ADC | UNSIGNED, ADC | SIGNED | STYLES["offset"], {}):
        core = core_on(MATRIX.astype(np.float32), overrides)
        for given in (x, tensor):
            core @ given
        np.testing.assert_array_equal(x, X.astype(np.float32))
        np.testing.assert_array_equal(tensor.numpy(), x)


def test_levels() -> None:
    levels = Levels.between(-1.0, 2.0, 4)
    np.testing.assert_array_equal(levels.values, [-1, 0, 1, 2])
    np.testing.assert_array_equal(levels(np.array([-5.0, -0.6, 0.4, 7.0])), [-1, -1, 0, 2])
    assert (levels.count, levels.step) == (4, 1.0)
    around = Levels.around_zero(0.75, 3)
    np.testing.assert_array_equal(around.values, [-0.75, -0.5, -0.25, 0, 0.25, 0.5, 0.75])
    np.testing.assert_array_equal(around.number(np.array([-3.6, 0.2, 1.5])), [-3, 0, 2])
