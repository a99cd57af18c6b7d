"""Layout of the matrix, dtypes, and what layers refuse; see `test_layer_contract` for what all kinds share."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch_cases import (
    CONVERTERS,
    PROGRAMMING_ERROR,
    SLICED,
    digital,
    hardware,
    inputs,
    relative_error,
)

from crossohm import CrossSimParameters, ParameterError, ShapeError, UnsupportedError
from crossohm.torch import AnalogConv1d, AnalogConv2d, AnalogConvTranspose2d, AnalogLinear, from_torch


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


def test_dense_groups_are_stored_at_full_width():
    conv = nn.Conv1d(4, 4, 2, groups=2, bias=False)
    with torch.no_grad():
        conv.weight.copy_(torch.arange(1.0, 17.0).reshape(4, 2, 2))
    expected = [[1, 2, 3, 4, 0, 0, 0, 0], [5, 6, 7, 8, 0, 0, 0, 0]]
    expected += [[0, 0, 0, 0, 9, 10, 11, 12], [0, 0, 0, 0, 13, 14, 15, 16]]
    assert AnalogConv1d.from_torch(conv, hardware(), grouping="dense").form_matrix().tolist() == expected


def test_transposed_convolution_matrix_is_that_of_the_convolution_it_computes():
    conv = nn.ConvTranspose1d(2, 2, 3, stride=2)
    with torch.no_grad():
        conv.weight.copy_(torch.arange(12.0).reshape(2, 2, 3))  # (input channel, output channel, tap)
        conv.bias.copy_(torch.tensor([10.0, 20.0]))
    analog = from_torch(conv, hardware(), bias_rows=2, seed=1)
    assert analog.form_matrix().tolist() == [[2, 1, 0, 8, 7, 6, 5, 5], [5, 4, 3, 11, 10, 9, 10, 10]]


def test_three_dimensional_kernels_are_flattened_with_the_last_axis_fastest():
    conv = nn.Conv3d(2, 1, (2, 1, 3), bias=False)
    with torch.no_grad():
        conv.weight.copy_(torch.arange(12.0).reshape(conv.weight.shape))
    assert from_torch(conv, hardware(), seed=1).form_matrix().tolist() == [list(range(12))]


def test_the_size_of_a_transposed_convolution_must_be_possible():
    analog = AnalogConvTranspose2d(CrossSimParameters(), 2, 3, 3, stride=2)
    assert analog(torch.zeros(1, 2, 4, 4), output_size=(10, 9)).shape == (1, 3, 10, 9)
    with pytest.raises(ValueError, match="valid sizes"):
        analog(torch.zeros(1, 2, 4, 4), output_size=(12, 9))


def test_bias_rows_without_bias_make_no_columns():
    assert AnalogLinear(CrossSimParameters(), 3, 2, bias=False, bias_rows=2).core.shape == (2, 3)


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
    transposed = AnalogConvTranspose2d(CrossSimParameters(), 2, 3, 3, stride=2, bias_rows=1)
    assert transposed(torch.zeros(0, 2, 5, 5)).shape == (0, 3, 11, 11)


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
        (AnalogConvTranspose2d(CrossSimParameters(), 4, 2, 3), (1, 3, 5, 5), ["(1, 3, 5, 5)", "in_channels=4"]),
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


def test_a_layer_kind_converts_only_its_own_type():
    class Mine(nn.Linear):
        pass

    for other in (Mine(3, 2), nn.Conv2d(1, 1, 1), nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))):
        with pytest.raises(UnsupportedError, match=r"plain torch\.nn\.Linear"):
            AnalogLinear.from_torch(other, CrossSimParameters())


def test_descriptions_per_array_go_row_by_row():
    """Element 4 of 2 x 3 arrays governs outputs 2 and 3, inputs 4 to 7."""
    layer = digital(nn.Linear, {"in_features": 12, "out_features": 4})
    params = [hardware({"core.rows_max": 4, "core.cols_max": 2}) for _ in range(6)]
    params[4].update(PROGRAMMING_ERROR)
    analog = from_torch(layer, params, seed=1)
    expected = torch.zeros(4, 12, dtype=torch.bool)
    expected[2:4, 4:8] = True
    assert torch.equal((analog.get_core_weights()[0] - layer.weight).abs() > 1e-9, expected)
    x = inputs((3, 12))
    torch.testing.assert_close(analog(x), analog.get_core_weights()[0].matmul(x.T).T + layer.bias)
