"""The contract of every layer kind: its digital twin on ideal hardware, its matrix laid out as documented."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch_cases import (
    CASES,
    CONVERTERS,
    KINDS,
    NAMES,
    PROGRAMMING_ERROR,
    SLICED,
    SMALL_ARRAYS,
    STYLES,
    digital,
    hardware,
    inputs,
    relative_error,
)

from crossohm import CrossSimParameters, ParameterError, ShapeError, UnsupportedError
from crossohm.torch import AnalogConv2d, AnalogLayer, AnalogLinear, from_torch


@pytest.fixture(params=CASES, ids=NAMES)
def case(request: pytest.FixtureRequest) -> tuple[type[nn.Module], dict[str, Any], tuple[int, ...]]:
    return request.param


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
@pytest.mark.parametrize("bias_rows", [0, 1, 3])
@pytest.mark.parametrize("arrays", [{}, SMALL_ARRAYS], ids=["one-array", "small-arrays"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.float64, 1e-12)], ids=["f32", "f64"])
def test_ideal_layer_equals_torch(case, bias_rows, arrays, dtype, tolerance):
    kind, options, shape = case
    layer, x = digital(kind, options, dtype), inputs(shape, dtype)
    analog = from_torch(layer, hardware(arrays), bias_rows=bias_rows, seed=1)
    y = analog(x)
    assert y.dtype == dtype
    assert y.shape == layer(x).shape
    assert relative_error(y, layer(x)) < tolerance


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("bias_rows", [0, 2])
def test_every_mapping_equals_torch(case, style, bias_rows):
    kind, options, shape = case
    layer, x = digital(kind, options), inputs(shape)
    # A current limit far away keeps slices, signs and partitions apart, as converters would.
    params = hardware(STYLES[style], SMALL_ARRAYS, {"xbar.array.Icol_max": 1e6, "xbar.device.Rmax": 1e5})
    assert relative_error(from_torch(layer, params, bias_rows, seed=1)(x), layer(x)) < 1e-12


@pytest.mark.parametrize("style", SLICED)
def test_integer_weights_survive_slicing(case, style):
    kind, options, shape = case
    layer, x = digital(kind, options), inputs(shape)
    limits = {"percentile": None, "min": -127, "max": 127}
    params = hardware(SLICED[style], SMALL_ARRAYS, {f"core.mapping.weights.{k}": v for k, v in limits.items()})
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randint(-42, 43, parameter.shape) * 3)
    assert relative_error(from_torch(layer, params, 3, seed=1)(x), layer(x)) < 1e-12


def test_constructor_takes_the_hardware_then_torch_arguments(case):
    kind, options, _ = case
    analog = KINDS[kind](CrossSimParameters(), **options, bias_rows=2)
    plain = kind(**options)
    assert isinstance(analog, AnalogLayer)
    assert isinstance(analog, kind)
    assert list(analog.state_dict()) == [*plain.state_dict(), "_extra_state"]  # the chip comes last
    assert {k: v.shape for k, v in analog.named_parameters()} == {k: v.shape for k, v in plain.named_parameters()}
    assert analog.analog_bias == (plain.bias is not None)
    assert analog.form_matrix().shape[1] == analog.core.shape[1]


def test_reading_back_gives_the_parameters(case):
    kind, options, _ = case
    layer = digital(kind, options)
    weight, bias = from_torch(layer, hardware(), bias_rows=3, seed=1).get_core_weights()
    torch.testing.assert_close(weight, layer.weight, rtol=1e-12, atol=1e-13)
    if layer.bias is None:
        assert bias is None
    else:
        torch.testing.assert_close(bias, layer.bias, rtol=1e-12, atol=1e-13)


def test_positional_arguments_follow_torch():
    conv = AnalogConv2d(CrossSimParameters(), 4, 6, 3, 2, 1, 1, 2, False, "reflect", None, torch.float64, 1)
    assert (conv.stride, conv.padding, conv.groups, conv.bias) == ((2, 2), (1, 1), 2, None)
    assert (conv.padding_mode, conv.weight.dtype, conv.bias_rows) == ("reflect", torch.float64, 1)
    linear = AnalogLinear(CrossSimParameters(), 4, 6, True, "cpu", torch.float64, 2)
    assert (linear.bias_rows, linear.form_matrix().shape) == (2, (6, 6))


def test_convolution_matrix_is_the_flattened_kernel_with_shared_bias_last():
    conv = nn.Conv2d(2, 3, 2)
    with torch.no_grad():
        conv.weight.copy_(torch.arange(24.0).reshape(3, 2, 2, 2))
        conv.bias.copy_(torch.tensor([10.0, 20.0, 30.0]))
    analog = from_torch(conv, hardware(), bias_rows=2, seed=1)
    expected = [[*range(8), 5, 5], [*range(8, 16), 10, 10], [*range(16, 24), 15, 15]]
    assert analog.form_matrix().tolist() == expected
    np.testing.assert_allclose(analog.core.get_matrix(), expected, rtol=1e-6, atol=1e-5)


def test_grouped_convolution_is_stored_at_full_width():
    conv = nn.Conv2d(4, 4, (1, 2), groups=2, bias=False)
    with torch.no_grad():
        conv.weight.copy_(torch.arange(1.0, 17.0).reshape(4, 2, 1, 2))
    expected = [[1, 2, 3, 4, 0, 0, 0, 0], [5, 6, 7, 8, 0, 0, 0, 0]]
    expected += [[0, 0, 0, 0, 9, 10, 11, 12], [0, 0, 0, 0, 13, 14, 15, 16]]
    assert from_torch(conv, hardware(), seed=1).form_matrix().tolist() == expected


def test_bias_rows_without_bias_make_no_columns():
    assert AnalogLinear(CrossSimParameters(), 3, 2, bias=False, bias_rows=2).core.shape == (2, 3)


def test_one_description_per_array_changes_only_its_block():
    layer = digital(nn.Linear, {"in_features": 12, "out_features": 4})
    sizes = {"core.rows_max": 4, "core.cols_max": 2}
    params = [hardware(sizes) for _ in range(6)]
    params[4] = hardware(sizes, PROGRAMMING_ERROR)
    analog = from_torch(layer, params, seed=1)
    for _ in range(2):
        changed = (analog.get_core_weights()[0] - layer.weight).abs() > 1e-9
        expected = torch.zeros(4, 12, dtype=torch.bool)
        expected[2:4, 4:8] = True
        assert torch.equal(changed, expected)
        x = inputs((3, 12))
        torch.testing.assert_close(analog(x), analog.get_core_weights()[0].matmul(x.T).T + layer.bias)
        analog.reinitialize()
    assert isinstance(analog.params, list)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(case, dtype):
    kind, options, shape = case
    layer, x = digital(kind, options, dtype), inputs(shape, dtype)
    analog = from_torch(layer, hardware(), bias_rows=1, seed=1)
    y = analog(x)
    assert y.dtype == dtype
    exact = layer.double()(x.double())
    assert relative_error(y.double(), exact) < torch.finfo(dtype).eps


def test_mixed_dtypes_give_the_wider_one():
    analog = from_torch(digital(nn.Linear, {"in_features": 4, "out_features": 2}, torch.float32), hardware(), seed=1)
    assert analog(inputs((3, 4), torch.float64)).dtype == torch.float64


def test_autocast_does_not_reach_into_the_arrays():
    layer = digital(nn.Conv2d, {"in_channels": 2, "out_channels": 3, "kernel_size": 3}, torch.float32)
    x = inputs((2, 2, 6, 6), torch.float32)
    analog = from_torch(layer, hardware(), seed=1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = analog(x)
    assert relative_error(found, layer(x)) < 2e-6


def test_empty_batches_pass():
    linear, conv = AnalogLinear(CrossSimParameters(), 4, 2), AnalogConv2d(CrossSimParameters(), 2, 3, 3, bias_rows=1)
    assert linear(torch.zeros(0, 4)).shape == (0, 2)
    assert linear(torch.zeros(2, 0, 4)).shape == (2, 0, 2)
    assert conv(torch.zeros(0, 2, 5, 5)).shape == (0, 3, 3, 3)


def test_repr_tells_the_hardware():
    params = hardware(SLICED["sliced"], CONVERTERS, {"core.rows_max": 5, "xbar.adc.mvm.bits": 7})
    text = repr(AnalogLinear(params, 10, 4, bias_rows=1))
    for part in ("in_features=10", "bias_rows=1", "BITSLICED", "arrays=1x3x3x2", "adc=7 bits", "dac=8 bits"):
        assert part in text


@pytest.mark.parametrize(
    ("layer", "shape", "words"),
    [
        (AnalogLinear(CrossSimParameters(), 4, 2), (3, 5), ["(3, 5)", "in_features=4"]),
        (AnalogLinear(CrossSimParameters(), 4, 2), (), ["()", "in_features=4"]),
        (AnalogConv2d(CrossSimParameters(), 4, 2, 3), (1, 3, 5, 5), ["(1, 3, 5, 5)", "in_channels=4"]),
        (AnalogConv2d(CrossSimParameters(), 4, 2, 3), (4, 5), ["(4, 5)", "2 axes of positions"]),
    ],
)
def test_inputs_that_do_not_fit_are_refused(layer, shape, words):
    with pytest.raises(ShapeError) as error:
        layer(torch.zeros(shape))
    assert all(word in str(error.value) for word in words)


def test_impossible_hardware_is_refused_and_nothing_changes():
    analog = AnalogLinear(CrossSimParameters(), 4, 2, seed=1)
    before = (analog.core, analog.params, analog.bias_rows)
    for attribute, value, path in [
        ("params", [CrossSimParameters()] * 2, "params"),
        ("params", "ideal", "params"),
        ("params", hardware({"core.complex_matrix": True}), "core.complex_matrix"),
        ("bias_rows", -1, "bias_rows"),
        ("bias_rows", True, "bias_rows"),
    ]:
        with pytest.raises(ParameterError) as error:
            setattr(analog, attribute, value)
        assert error.value.path == path
        assert (analog.core, analog.params, analog.bias_rows) == before
    with pytest.raises(ParameterError, match="one description"):
        AnalogConv2d([CrossSimParameters()] * 2, 2, 3, 3)


def test_a_layer_kind_converts_only_its_own_type():
    class Mine(nn.Linear):
        pass

    for other in (Mine(3, 2), nn.Conv2d(1, 1, 1), nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))):
        with pytest.raises(UnsupportedError, match=r"plain torch\.nn\.Linear"):
            AnalogLinear.from_torch(other, CrossSimParameters())
