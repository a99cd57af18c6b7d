"""Non-ideal hardware: a layer equals its matrix times unrolled input vectors, one by one, through the NumPy face."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from covering import every_pair
from layer_cases import LAYERS
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

from crossohm import AnalogCore
from crossohm.torch import from_torch

NONIDEAL = {
    "converters": (CONVERTERS,),
    "converter-errors": (CONVERTERS, {"xbar.adc.mvm.model": "SarADC", "xbar.adc.mvm.sigma_capacitor": 0.05}),
    "input-slices": (CONVERTERS, {"xbar.dac.mvm.bits": 5, "xbar.dac.mvm.input_bitslicing": True}),
    "adc-per-slice": (
        CONVERTERS,
        {"xbar.dac.mvm.bits": 5, "xbar.dac.mvm.input_bitslicing": True, "xbar.adc.mvm.adc_per_ibit": True},
    ),
    "errors": (PROGRAMMING_ERROR,),
    "limit": ({"xbar.array.Icol_max": 0.5},),
    "all": (CONVERTERS, PROGRAMMING_ERROR, {"xbar.array.Icol_max": 2.0}),
}


def unrolled(layer: nn.Module, x: Tensor, bias_rows: int) -> np.ndarray:
    """Input vectors ``(count, columns)`` by torch's own convolutions with one-hot kernels."""
    if isinstance(layer, nn.Linear):
        vectors = x.reshape(-1, layer.in_features)
    else:
        rank = len(layer.kernel_size)
        columns = layer.in_channels * math.prod(layer.kernel_size)
        taps = torch.eye(columns, dtype=x.dtype).reshape(columns, layer.in_channels, *layer.kernel_size)
        windows = _windows(layer, x if x.ndim == rank + 2 else x[None], taps, rank)
        vectors = windows.movedim(1, -1).flatten(0, -2)
    ones = vectors.new_ones(len(vectors), bias_rows if layer.bias is not None else 0)
    return torch.cat([vectors, ones], dim=1).numpy()


def _windows(layer: nn.Module, x: Tensor, taps: Tensor, rank: int) -> Tensor:
    if layer.transposed:
        kernel = taps.flip(tuple(range(2, rank + 2))).transpose(0, 1)
        convolve = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[rank - 1]
        return convolve(x, kernel, None, layer.stride, layer.padding, layer.output_padding, 1, layer.dilation)
    sides = layer._reversed_padding_repeated_twice
    x = F.pad(x, sides, mode="constant" if layer.padding_mode == "zeros" else layer.padding_mode)
    return (F.conv1d, F.conv2d, F.conv3d)[rank - 1](x, taps, None, layer.stride, 0, layer.dilation)


def as_vectors(layer: nn.Module, y: Tensor) -> np.ndarray:
    if not isinstance(layer, nn.Linear):
        y = (y if y.ndim == len(layer.kernel_size) + 2 else y[None]).movedim(1, -1)
    return y.reshape(-1, y.shape[-1]).detach().numpy()


@pytest.mark.parametrize(
    ("kind", "style", "effect"),
    every_pair(NAMES, ["balanced", "digital-subtraction", "unit-column", *SLICED], NONIDEAL),
)
def test_layer_equals_its_unrolled_twin(kind, style, effect):
    case = LAYERS[kind]
    layer, (x,) = case.digital(), case.inputs()
    params = hardware({**STYLES, **SLICED}[style], *NONIDEAL[effect], SMALL_ARRAYS, {"xbar.device.Rmax": 1e5})
    analog = case.analog(params, 2, seed=7)
    groups = layer.groups if case.choices.get("grouping") == "per_group" else 1
    twin = AnalogCore(analog.form_matrix().numpy(), params, seed=7, row_groups=groups)
    for ours, theirs in zip(analog.core.arrays, twin.arrays, strict=True):
        np.testing.assert_array_equal(ours.conductance, theirs.conductance)
    expected = products(twin, unrolled(layer, x, 2), groups, 2 if layer.bias is not None else 0)
    found = as_vectors(layer, analog(x))
    close = np.abs(found - expected) < 1e-9 * np.abs(expected).max()
    assert close.mean() > 0.995  # a value next to a decision level of a converter may fall on either side


def products(core: AnalogCore, vectors: np.ndarray, groups: int, bias_columns: int) -> np.ndarray:
    """Outputs ``(count, outputs)``; with groups, their outputs for the features of their own and the bias lines."""
    if groups == 1:
        return (core @ vectors.T).T
    data, ones = vectors[:, : len(vectors.T) - bias_columns], vectors[:, len(vectors.T) - bias_columns :]
    own = [np.concatenate([part, ones], axis=1) for part in np.split(data, groups, axis=1)]
    rows = [slice(i * core.shape[0] // groups, (i + 1) * core.shape[0] // groups) for i in range(groups)]
    return np.concatenate([(core @ v.T)[r].T for v, r in zip(own, rows, strict=True)], axis=1)


@pytest.mark.parametrize("scope", ["call", "vector"])
def test_ranges_from_the_data_include_the_bias_line(scope):
    params = hardware(
        {"xbar.dac.mvm.model": "SignMagnitudeDAC", "xbar.dac.mvm.bits": 6},
        {"core.mapping.inputs.mvm.percentile": 1.0, "core.mapping.inputs.mvm.percentile_scope": scope},
    )
    layer, x = digital(nn.Linear, {"in_features": 10, "out_features": 4}), inputs((5, 10)) * 3
    analog = from_torch(layer, params, bias_rows=1, seed=1)
    twin = AnalogCore(analog.form_matrix().numpy(), params, seed=1)
    np.testing.assert_allclose(analog(x).detach().numpy(), (twin @ unrolled(layer, x, 1).T).T, rtol=1e-12)


def test_read_noise_by_moments_has_the_law_of_sampled_noise():
    # Weights away from the ends of the conductance range, so that the moment method is exact and chosen.
    options, shape = {"in_channels": 2, "out_channels": 2, "kernel_size": 2}, (400, 2, 3, 3)
    layer = digital(nn.Conv2d, options)
    weights = {"core.mapping.weights.percentile": None, "core.mapping.weights.min": -2, "core.mapping.weights.max": 2}
    params = hardware({"core.style": "OFFSET"}, READ_NOISE, weights, {"xbar.device.Rmax": 1e5})
    x = inputs((1, *shape[1:])).expand(shape)
    torch.manual_seed(0)
    explicit = params.copy()
    explicit.simulation.read_noise_sampling = "explicit"
    chips = [from_torch(layer, p, bias_rows=2, seed=1) for p in (params, explicit)]
    assert ["moments" in str(chip.core.explain()) for chip in chips] == [True, False]
    with torch.no_grad():
        moments, sampled = (torch.cat([chip(x) for _ in range(5)]) for chip in chips)
        count, mean = len(moments), layer(x[:1])
    spread = sampled.std(0)
    assert spread.min() > 0
    for noisy in (moments, sampled):
        assert ((noisy.mean(0) - mean).abs() / spread).max() < 5 / count**0.5
    assert (moments.std(0) / spread - 1).abs().max() < 5 / count**0.5
    # Sampled noise of neighbouring outputs is independent too: a fresh draw for every window.
    pair = torch.corrcoef(sampled[:, 0, 0, :].T)
    assert pair[0, 1].abs() < 5 / count**0.5


def test_noise_is_fresh_per_call_and_follows_torch_seeds():
    params = hardware(READ_NOISE)
    analog = from_torch(digital(nn.Linear, {"in_features": 10, "out_features": 4}), params, seed=1)
    x = inputs((3, 10))
    torch.manual_seed(1)
    first, second = analog(x), analog(x)
    torch.manual_seed(1)
    assert torch.equal(analog(x), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_cell_by_cell_evaluation_without_noise_equals_torch(case):
    layer, (x,) = case.digital(), case.inputs()
    params = hardware(READ_NOISE, SMALL_ARRAYS, {"xbar.device.read_noise.magnitude": 1e-15})
    params.simulation.read_noise_sampling = "explicit"
    analog = case.analog(params, 2)
    assert "every cell evaluated" in str(analog.core.explain())
    assert relative_error(analog(x), layer(x)) < 1e-11
