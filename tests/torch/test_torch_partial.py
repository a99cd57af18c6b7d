"""Changing one of several stored parameters writes only its cells, if the weight range allows it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch_cases import PROGRAMMING_ERROR, SLICED, SMALL_ARRAYS, STYLES, digital, hardware, inputs
from torch_pair import AnalogPair, Pair

from crossohm.torch import from_torch

OPTIONS = {"in_features": 12, "out_features": 5}
CONV = {"in_channels": 4, "out_channels": 6, "kernel_size": 2, "groups": 2}


def cells(layer: nn.Module) -> tuple[np.ndarray, np.ndarray]:
    """Targets and conductances, ``(slices, signs, outputs, inputs)``."""
    record = layer.core.blocks[0].record
    return record.target.copy(), record.conductance.copy()


def assert_written(layer: nn.Module, before: tuple[np.ndarray, np.ndarray], columns: slice) -> None:
    untouched = np.ones(before[1].shape[3], dtype=bool)
    untouched[columns] = False
    for old, new in zip(before, cells(layer), strict=True):
        assert np.array_equal(old[..., untouched], new[..., untouched])
    assert (before[1] != cells(layer)[1])[..., columns].any(axis=(0, 1)).mean() > 0.9


@pytest.mark.parametrize("arrays", [{}, SMALL_ARRAYS], ids=["one-array", "small-arrays"])
@pytest.mark.parametrize("style", [*STYLES, *SLICED])
@pytest.mark.parametrize("kind", ["linear", "conv", "conv-apart"])
def test_only_the_cells_of_the_changed_parameter_are_written(kind, style, arrays):
    params = hardware({**STYLES, **SLICED}[style], arrays, PROGRAMMING_ERROR)
    layer = digital(nn.Linear, OPTIONS) if kind == "linear" else digital(nn.Conv2d, CONV)
    grouping = "per_group" if kind == "conv-apart" else "dense"
    layer = from_torch(layer, params, 2, seed=1, grouping=grouping)
    inputs_ = layer.form_matrix().shape[1] - 2
    before = cells(layer)
    with torch.no_grad():
        layer.bias.mul_(0.9)
    assert_written(layer, before, slice(inputs_, None))
    before = cells(layer)
    layer.weight = nn.Parameter(layer.weight * 0.95)
    assert_written(layer, before, slice(0, inputs_))  # zeros between groups lie in its rectangle
    assert (layer.get_matrix() - layer.form_matrix()).abs().mean() < 0.12


def test_the_product_is_that_of_the_new_parameters():
    layer = from_torch(digital(nn.Linear, OPTIONS), hardware(SMALL_ARRAYS), 2, seed=1)
    layer(inputs((3, 12)))
    with torch.no_grad():
        layer.bias.mul_(0.5)
    x = inputs((3, 12))
    torch.testing.assert_close(layer(x), nn.functional.linear(x, layer.weight, layer.bias), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("factor", [3.0, 0.2], ids=["too-large", "too-small"])
def test_a_range_that_no_longer_suits_is_renewed(factor):
    layer = from_torch(digital(nn.Linear, OPTIONS), hardware(PROGRAMMING_ERROR), 1, seed=1)
    before = cells(layer)
    with torch.no_grad():
        layer.bias.fill_(1e-3)
    layer.core  # noqa: B018 - writes the arrays
    assert np.array_equal(before[1][..., :12], cells(layer)[1][..., :12])
    with torch.no_grad():
        layer.weight.mul_(factor)
    assert layer.core.max == pytest.approx(float(layer.form_matrix().abs().max()))
    assert not np.array_equal(before[1][..., 12:], cells(layer)[1][..., 12:])


def test_explicit_limits_stay_and_clip():
    limits = {"percentile": None, "min": -0.2, "max": 0.2}
    params = hardware(PROGRAMMING_ERROR, {f"core.mapping.weights.{k}": v for k, v in limits.items()})
    layer = from_torch(digital(nn.Linear, OPTIONS), params, 1, seed=1)
    before = cells(layer)
    nn.init.constant_(layer.bias, 7.0)
    assert_written(layer, before, slice(12, None))
    assert layer.get_matrix()[:, 12:].max() < 0.3


def test_descriptions_per_array():
    sizes = {"core.rows_max": 7}
    params = [hardware(sizes, PROGRAMMING_ERROR), hardware(sizes, PROGRAMMING_ERROR)]
    layer = from_torch(digital(nn.Linear, OPTIONS), params, 1, seed=1)
    first, second = (block.record.conductance for block in layer.core.blocks)
    nn.init.zeros_(layer.bias)
    assert layer.core.blocks[0].record.conductance is first
    assert np.array_equal(layer.core.blocks[1].record.conductance[..., :-1], second[..., :-1])
    assert not np.array_equal(layer.core.blocks[1].record.conductance[..., -1], second[..., -1])


def test_one_of_three_parameters_of_one_of_two_matrices():
    pair = AnalogPair.from_torch(Pair(), hardware(PROGRAMMING_ERROR), 2, seed=1)
    before = [matrix.core.blocks[0].record.conductance for matrix in pair.matrices]
    with torch.no_grad():
        pair.v.mul_(0.99)
        pair.bias.mul_(0.99)
    after = [matrix.core.blocks[0].record.conductance for matrix in pair.matrices]
    assert after[1] is before[1]
    changed = (after[0] != before[0]).any(axis=(0, 1, 2))
    assert changed.tolist() == [False] * 3 + [True] * 5


def test_parameters_that_hold_several_matrices():
    layer = from_torch(nn.MultiheadAttention(8, 2), hardware(PROGRAMMING_ERROR), 2, seed=1)
    before = [matrix.core.blocks[0].record.conductance for matrix in layer.matrices]
    with torch.no_grad():
        layer.in_proj_weight[8:16].mul_(0.97)
    after = [matrix.core.blocks[0].record.conductance for matrix in layer.matrices]
    assert [old is new for old, new in zip(before, after, strict=True)] == [True, False, True, True]
    assert (before[1] != after[1]).any(axis=(0, 1, 2)).tolist() == [True] * 8 + [False] * 2


@pytest.mark.parametrize("name", ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"])
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_recurrent_layers(kind, name):
    torch.manual_seed(3)
    layer = from_torch(kind(5, 4), hardware(PROGRAMMING_ERROR), 1, seed=1)
    before = layer.core.blocks[0].record.conductance
    with torch.no_grad():
        getattr(layer, name).mul_(0.97)
    changed = (before != layer.core.blocks[0].record.conductance).any(axis=(0, 1, 2))
    parts = {"weight_ih_l0": slice(0, 5), "weight_hh_l0": slice(5, 9), "bias_ih_l0": slice(9, 10)}
    expected = np.zeros(11, dtype=bool)
    expected[parts.get(name, slice(10, 11))] = True
    assert np.array_equal(changed, expected)


def test_a_matrix_all_of_whose_parameters_changed_is_written_as_a_whole():
    layer = from_torch(digital(nn.Linear, OPTIONS), hardware(PROGRAMMING_ERROR), 1, seed=1)
    before = cells(layer)
    with torch.no_grad():
        layer.weight.mul_(0.99)
        layer.bias.mul_(0.99)
    assert_written(layer, before, slice(None))


def test_synchronize_writes_everything():
    layer = from_torch(digital(nn.Linear, OPTIONS), hardware(PROGRAMMING_ERROR), 2, seed=1)
    before = cells(layer)
    with torch.no_grad():
        layer.bias.mul_(0.9)
    layer.synchronize()
    assert (before[1] != cells(layer)[1]).any(axis=(0, 1)).all()
