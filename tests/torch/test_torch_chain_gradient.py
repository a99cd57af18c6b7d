"""gradient = "chain": the derivative of the converter chain, by finite differences where it is piecewise linear."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch_cases import (
    CASES,
    CONVERTERS,
    NAMES,
    PROGRAMMING_ERROR,
    READ_NOISE,
    SLICED,
    SMALL_ARRAYS,
    STYLES,
    digital,
    hardware,
    inputs,
    relative_error,
)

from crossohm import UnsupportedError
from crossohm.torch import AnalogLinear, from_torch

LINEAR = {"in_features": 6, "out_features": 4}
CONV = {"in_channels": 2, "out_channels": 4, "kernel_size": 2, "groups": 2, "padding": 1}
#: Every limit there is, narrow enough to be reached: inputs, weights, currents.
LIMITS = {
    "core.mapping.inputs.mvm.min": -0.7,
    "core.mapping.inputs.mvm.max": 0.7,
    "core.mapping.inputs.mvm.clipping": True,
    "core.mapping.weights.percentile": None,
    "core.mapping.weights.min": -0.25,
    "core.mapping.weights.max": 0.25,
    "xbar.device.Rmax": 1e5,
}
FINE = {
    "xbar.dac.mvm.model": "QuantizerDAC",
    "xbar.dac.mvm.bits": 24,
    "xbar.adc.mvm.model": "QuantizerADC",
    "xbar.adc.mvm.bits": 24,
}


def loss_of(layer: nn.Module, x: Tensor) -> Tensor:
    torch.manual_seed(8)
    y = layer(x)
    return (y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).reshape(y.shape).cos()).sum()


def derivatives(layer: nn.Module, x: Tensor) -> list[Tensor]:
    x = x.clone().requires_grad_()
    layer.zero_grad()
    loss_of(layer, x).backward()
    return [x.grad, *(p.grad.clone() for p in layer.parameters())]


@torch.no_grad()
def differences(layer: nn.Module, x: Tensor, h: float) -> list[Tensor]:
    x, found = x.clone(), []
    for value in (x, *layer.parameters()):
        slope = torch.empty_like(value)
        for index in range(value.numel()):
            for sign in (1, -1):
                old = value.view(-1)[index].item()
                value.view(-1)[index] = old + sign * h
                slope.view(-1)[index] = loss_of(layer, x) if sign > 0 else slope.view(-1)[index] - loss_of(layer, x)
                value.view(-1)[index] = old
        found.append(slope / (2 * h))
    return found


@pytest.mark.parametrize("style", ["digital-subtraction", "unit-column", "sliced"])
@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_without_clipping_parameters_have_the_ideal_gradient(case, style):
    apart = {"xbar.array.Icol_max": 1e6, "xbar.device.Rmax": 1e5}
    analog = case.analog(hardware({**STYLES, **SLICED}[style], SMALL_ARRAYS, apart), 2)
    analog.gradient = "chain"
    (x,) = case.inputs()
    found, expected = derivatives(analog, x), derivatives(case.digital(), x)
    for ours, theirs in zip(found[1:], expected[1:], strict=True):
        assert relative_error(ours, theirs) < 1e-11
    assert relative_error(found[0], expected[0]) < (1e-11 if style in STYLES else 0.1)


@pytest.mark.parametrize("bias_rows", [0, 2])
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(
    ("kind", "options", "shape", "limit", "grouping"),
    [
        (nn.Linear, LINEAR, (5, 6), 0.6, "dense"),
        (nn.Conv2d, CONV, (2, 2, 3, 3), 0.5, "dense"),
        (nn.Conv2d, CONV, (2, 2, 3, 3), 0.4, "per_group"),
    ],
    ids=["linear", "conv", "groups"],
)
def test_limits_of_inputs_weights_and_currents(kind, options, shape, limit, grouping, style, bias_rows):
    pedestal = 0.9 if style in ("offset", "unit-column") else 0.0
    params = hardware(STYLES[style], {"core.rows_max": 3}, LIMITS, {"xbar.array.Icol_max": limit + pedestal})
    layer = digital(kind, options)
    analog = from_torch(layer, params, bias_rows, seed=1, gradient="chain", grouping=grouping)
    found, expected = derivatives(analog, inputs(shape)), differences(analog, inputs(shape), 1e-6)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)
    assert (found[0] == 0)[inputs(shape).abs() > 0.7].all()
    assert (found[1] == 0)[layer.weight.abs() > 0.25].all()
    ideal = derivatives(from_torch(layer, params, bias_rows, seed=1), inputs(shape))
    assert relative_error(found[1], ideal[1] * (layer.weight.abs() <= 0.25)) > 0.05  # currents did reach their limit


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("kind", [nn.Linear, nn.Conv2d])
def test_saturating_converters(kind, style):
    options, shape = {nn.Linear: (LINEAR, (5, 6)), nn.Conv2d: (CONV, (2, 2, 3, 3))}[kind]
    middle = 0.8 if style == "offset" else 0.0
    span = {
        "xbar.adc.mvm.adc_range_option": "CALIBRATED",
        "xbar.adc.mvm.calibrated_range": [middle - 0.5, middle + 0.4],
    }
    params = hardware(STYLES[style], {"core.rows_max": 5}, LIMITS, FINE, span)
    analog = from_torch(digital(kind, options), params, 1, seed=1, gradient="chain")
    found, expected = derivatives(analog, inputs(shape)), differences(analog, inputs(shape), 2e-5)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0.02, atol=0.02 * float(ours.abs().max()))
    saturated = derivatives(from_torch(digital(kind, options), params, 1, seed=1), inputs(shape))
    assert relative_error(found[2], saturated[2]) > 0.05


@pytest.mark.parametrize("mode", ["auto", "explicit"])
@pytest.mark.parametrize(("kind", "options", "shape"), [(nn.Linear, LINEAR, (5, 6)), (nn.Conv2d, CONV, (2, 2, 3, 3))])
def test_read_noise_is_a_constant_of_the_derivative(kind, options, shape, mode):
    params = hardware(READ_NOISE, LIMITS, {"simulation.read_noise_sampling": mode, "xbar.array.Icol_max": 0.8})
    analog = from_torch(digital(kind, options), params, 1, seed=1, gradient="chain", grouping="per_group")
    found, expected = derivatives(analog, inputs(shape)), differences(analog, inputs(shape), 1e-6)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_input_slices_together_have_the_gradient_of_the_input():
    sliced = {"xbar.dac.mvm.input_bitslicing": True, "xbar.adc.mvm.adc_per_ibit": True, "xbar.adc.mvm.bits": 22}
    params = hardware(SMALL_ARRAYS, CONVERTERS, sliced)
    layer = digital(nn.Conv2d, {"in_channels": 3, "out_channels": 5, "kernel_size": 3})
    analog = from_torch(layer, params, 1, seed=1, gradient="chain")
    x = (inputs((2, 3, 7, 6)) * 127).round() / 127  # DAC levels: nothing but the cut is left to pass through
    for ours, theirs in zip(derivatives(analog, x), derivatives(layer, x), strict=True):
        assert relative_error(ours, theirs) < 1e-5


def test_a_code_of_zero_that_is_no_zero_counts():
    params = hardware(
        FINE, {"xbar.adc.mvm.bits": 0, "xbar.dac.mvm.bits": 12, "xbar.dac.mvm.signed": False},
        {"xbar.dac.mvm.input_bitslicing": True, "xbar.array.Icol_max": 1e6},
        {"core.mapping.inputs.mvm.min": 0.25, "core.mapping.inputs.mvm.max": 1.0},
    )  # fmt: skip
    layer = digital(nn.Linear, LINEAR | {"bias": False})
    analog = from_torch(layer, params, seed=1, gradient="chain")
    x = 0.25 + 0.75 * (inputs((5, 6)).abs() * 4095).round() / 4095
    for ours, theirs in zip(derivatives(analog, x), derivatives(layer, x), strict=True):
        assert relative_error(ours, theirs) < 1e-9


def test_descriptions_per_array_of_a_group():
    sizes = {"core.rows_max": 3}
    params = [hardware(sizes, LIMITS, {"xbar.array.Icol_max": 0.2 + 0.1 * i}) for i in range(4)]
    analog = from_torch(digital(nn.Conv2d, CONV), params, 1, seed=1, gradient="chain", grouping="per_group")
    x = inputs((2, 2, 3, 3))
    for ours, theirs in zip(derivatives(analog, x), differences(analog, x, 1e-6), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)


def test_nonlinear_cells():
    law = {"xbar.device.nonlinear_IV.enable": True, "xbar.device.nonlinear_IV.model": "CubicDevice"}
    analog = from_torch(digital(nn.Linear, LINEAR), hardware(LIMITS, law), 1, seed=1, gradient="chain")
    x = inputs((5, 6))
    found, expected = derivatives(analog, x), differences(analog, x, 1e-6)
    torch.testing.assert_close(found[0], expected[0], rtol=1e-6, atol=1e-7)
    ideal = derivatives(from_torch(digital(nn.Linear, LINEAR), hardware(LIMITS), 1, seed=1, gradient="chain"), x)
    for ours, theirs in zip(found[1:], ideal[1:], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_descriptions_per_array():
    sizes = {"core.rows_max": 4, "core.cols_max": 2}
    params = [hardware(sizes, LIMITS, {"xbar.array.Icol_max": 0.3 + 0.1 * i}) for i in range(4)]
    analog = from_torch(digital(nn.Linear, LINEAR), params, 1, seed=1, gradient="chain")
    found, expected = derivatives(analog, inputs((5, 6))), differences(analog, inputs((5, 6)), 1e-6)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)


def test_eval_mode_has_the_same_gradients():
    analog = from_torch(digital(nn.Linear, LINEAR), hardware(LIMITS, PROGRAMMING_ERROR), 1, seed=1, gradient="chain")
    for ours, theirs in zip(*(derivatives(analog.train(mode), inputs((5, 6))) for mode in (True, False)), strict=True):
        assert torch.equal(ours, theirs)


def test_the_forward_is_that_of_the_other_mode():
    params = hardware(PROGRAMMING_ERROR, CONVERTERS, SMALL_ARRAYS)
    layers = [from_torch(digital(nn.Linear, LINEAR), params, 1, seed=1, gradient=g) for g in ("programmed", "chain")]
    first, second = (layer(inputs((5, 6))) for layer in layers)
    assert torch.equal(first, second)
    with torch.no_grad():
        assert torch.equal(layers[1](inputs((5, 6))), first)
    assert layers[1].requires_grad_(False)(inputs((5, 6))).grad_fn is None


def test_only_what_needs_a_gradient_gets_one():
    analog = from_torch(digital(nn.Linear, LINEAR), hardware(LIMITS), 1, seed=1, gradient="chain")
    analog.weight.requires_grad_(False)
    loss_of(analog, inputs((5, 6))).backward()
    assert analog.weight.grad is None
    assert analog.bias.grad is not None
    x = inputs((5, 6)).requires_grad_()
    loss_of(analog.requires_grad_(False), x).backward()
    assert (x.grad[x.abs() < 0.7] != 0).all()


def test_arrays_solved_outside_of_autograd_are_refused():
    wires = {"xbar.array.parasitics.enable": True, "xbar.array.parasitics.Rp_row": 1.0}
    gated = {"xbar.array.parasitics.current_from_input": False, "xbar.dac.mvm.input_bitslicing": True}
    params = hardware(wires, gated, {"xbar.dac.mvm.model": "SignMagnitudeDAC", "xbar.dac.mvm.bits": 4})
    layer = AnalogLinear(params, 3, 2)
    layer.gradient = "chain"
    with pytest.raises(UnsupportedError, match=r"gradient = 'chain'.*Use gradient = 'programmed'"):
        layer(torch.ones(2, 3))
    with torch.no_grad():
        layer(torch.ones(2, 3))
