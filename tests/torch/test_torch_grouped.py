"""Grouped convolutions in arrays per group: no cells between groups, the same product."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from layer_cases import LAYERS
from torch import nn
from torch_cases import CONVERTERS, PROGRAMMING_ERROR, READ_NOISE, digital, hardware, inputs, relative_error

from crossohm import AnalogCore, CrossSimParameters, DataError, ParameterError, UnknownNameError
from crossohm.costs.occupancy import hardware_report
from crossohm.layers.maps.convolution import Convolution
from crossohm.layers.maps.grouped import GroupedConvolution
from crossohm.torch import AnalogConv1d, AnalogConv2d, TorchNetwork, from_torch

DEPTHWISE = {"in_channels": 4, "out_channels": 8, "kernel_size": 3, "groups": 4}


def test_every_row_holds_the_taps_of_its_own_group():
    conv = nn.Conv1d(4, 4, 2, groups=2)
    with torch.no_grad():
        conv.weight.copy_(torch.arange(1.0, 17.0).reshape(4, 2, 2))
        conv.bias.copy_(torch.arange(4.0))
    analog = from_torch(conv, hardware(), 2, seed=1, grouping="per_group")
    bias = [[0, 0], [0.5, 0.5], [1, 1], [1.5, 1.5]]
    expected = [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15, 16]]
    assert analog.form_matrix().tolist() == [row + ones for row, ones in zip(expected, bias, strict=True)]
    assert (analog.core.NrowsVec, analog.core.NcolsVec) == ([2, 2], [6])


def test_arrays_have_no_cells_between_groups():
    layer = digital(nn.Conv2d, DEPTHWISE)
    dense, apart = (from_torch(layer, hardware(), 1, seed=1, grouping=how) for how in ("dense", "per_group"))
    assert sum(array.conductance.size for array in dense.core.arrays) == 2 * 8 * (4 * 9 + 1)
    assert [array.conductance.shape for array in apart.core.arrays] == [(2, 9 + 1)] * 4 * 2
    assert "arrays=4x1x1x2" in repr(apart)
    assert "grouping=per_group" in repr(apart)


@pytest.mark.parametrize("effect", [{}, CONVERTERS, PROGRAMMING_ERROR], ids=["ideal", "converters", "errors"])
def test_groups_in_one_array_are_computed_apart_where_the_zeros_between_them_cannot_act(effect):
    layer, x = digital(nn.Conv2d, DEPTHWISE), inputs((2, 4, 6, 6))
    analog = from_torch(layer, hardware(effect), seed=1, grouping="dense")
    whole = Convolution(4, (3, 3), (1, 1), (1, 1))  # of no groups
    plans = [analog.core.plan(x, contraction=one) for one in (replace(whole, groups=4), whole)]
    apart, together = (plan.plans[0].stages[0].readout.kernel.groups for plan in plans)
    assert (apart, together) == (1 if effect is PROGRAMMING_ERROR else 4, 1)
    assert relative_error(plans[0](x), plans[1](x)) < 1e-12


def test_converter_ranges_are_those_of_the_smaller_arrays():
    """MAX ranges grow with the inputs of an array: 8-bit steps are four times finer with a quarter of the inputs."""
    layer, x = digital(nn.Conv2d, DEPTHWISE), inputs((2, 4, 6, 6))
    errors = [
        (from_torch(layer, hardware(CONVERTERS), seed=1, grouping=how)(x) - layer(x)).abs().mean().item()
        for how in ("dense", "per_group")
    ]
    assert 0.2 < errors[1] / errors[0] < 0.35


WIRES = {f"xbar.array.parasitics.{key}": value for key, value in (("enable", True), ("Rp_row", 5), ("Rp_col", 5))}
LAW = {
    "xbar.device.nonlinear_IV.enable": True,
    "xbar.device.nonlinear_IV.model": "CubicDevice",
    "xbar.device.Vread": 1.0,
}
PLANES = {"xbar.dac.mvm.model": "SignMagnitudeDAC", "xbar.dac.mvm.bits": 4, "xbar.dac.mvm.input_bitslicing": True}
NO_NOISE = {**READ_NOISE, "xbar.device.read_noise.magnitude": 1e-14}


@pytest.mark.parametrize(
    "effects",
    [(WIRES,), (WIRES, NO_NOISE), (WIRES, LAW, PLANES), (NO_NOISE, LAW, PLANES)],
    ids=["wires", "wires-noise", "wires-law", "noise-law"],
)
def test_groups_equal_layers_of_their_own(effects):
    case = LAYERS["apart1d"]
    weights = {f"core.mapping.weights.{k}": v for k, v in (("percentile", None), ("min", -1), ("max", 1))}
    params = hardware(weights, {"xbar.device.Rmin": 1e3, "xbar.device.Rmax": 1e5, "core.cols_max": 2}, *effects)
    layer, (x,) = case.digital(), case.inputs()
    found = case.analog(params, 1)(x)
    assert relative_error(found, layer(x)) > 1e-3
    for group in range(2):
        part = AnalogConv1d(params, 2, 3, 3, stride=2, padding=2, dtype=torch.float64, bias_rows=1)
        with torch.no_grad():
            part.weight.copy_(layer.weight[3 * group : 3 * group + 3])
            part.bias.copy_(layer.bias[3 * group : 3 * group + 3])
        own = part(x[:, 2 * group : 2 * group + 2])
        torch.testing.assert_close(found[:, 3 * group : 3 * group + 3], own, rtol=1e-9, atol=1e-12)


def test_windows_of_all_groups_lie_side_by_side():
    grouped = GroupedConvolution(Convolution(4, (2,), (1,), (1,), bias_columns=1, groups=2))
    x = torch.cat([torch.arange(12.0).reshape(1, 4, 3), torch.ones(1, 1, 3)], dim=1)
    assert grouped.windows(x).tolist() == [[0, 1, 3, 4, 1, 6, 7, 9, 10, 1], [1, 2, 4, 5, 1, 7, 8, 10, 11, 1]]
    y = grouped.row_group(1).row_group(0).contract(x, grouped.row_group(1).prepare(torch.ones(1, 5), 0))
    assert y.tolist() == [[[33.0, 37.0]]]
    assert grouped.fold(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), x).tolist() == [[[1.0, 3.0], [2.0, 4.0]]]


def test_grouping_is_chosen_per_layer():
    model = nn.Sequential(nn.Conv2d(4, 4, 3, groups=4), nn.ReLU(), nn.Conv2d(4, 4, 3, groups=2), nn.Conv2d(4, 4, 1))
    analog = from_torch(model, hardware(), seed=1)
    assert [analog[i].grouping for i in (0, 2, 3)] == ["per_group"] * 3
    with pytest.warns(RuntimeWarning, match="72 zeros between the groups of '2': 144 matrix .* 72 with"):
        analog = from_torch(model, hardware(), seed=1, grouping={"2": "dense"})
    assert [analog[i].grouping for i in (0, 2, 3)] == ["per_group", "dense", "per_group"]
    analog = from_torch(nn.Sequential(*model, nn.Flatten(), nn.Linear(16, 2)), hardware(), seed=1, grouping="per_group")
    assert [analog[i].core.num_cores_row for i in (0, 2, 3)] == [4, 2, 1]
    assert AnalogConv2d(CrossSimParameters(), 4, 4, 3, groups=2, grouping="per_group").core.num_cores_row == 2
    with pytest.raises(UnknownNameError, match="grouping"):
        from_torch(model, hardware(), grouping={"conv": "per_group"})
    with pytest.raises(ParameterError, match="dense or per_group") as error:
        from_torch(model, hardware(), grouping="apart")
    assert "0" in error.value.__notes__[0]


def test_a_chip_goes_back_into_a_layer_of_the_same_grouping():
    dense, apart = (AnalogConv2d(CrossSimParameters(), **DEPTHWISE, grouping=how) for how in ("dense", "per_group"))
    with pytest.raises(DataError, match="same kind and size"):
        dense.load_state_dict(apart.state_dict())


def test_row_groups_must_divide_the_rows():
    with pytest.raises(ParameterError, match="does not divide 5 rows"):
        AnalogCore(torch.ones(5, 2), row_groups=2)
    core = AnalogCore(torch.ones(6, 2) * 1j, hardware({"core.complex_matrix": True, "core.cols_max": 2}), row_groups=2)
    assert core.NrowsVec == [2, 1] * 4


def test_the_hardware_report_counts_the_arrays_of_all_groups():
    model = nn.Sequential(nn.Conv2d(**DEPTHWISE), nn.Flatten(), nn.Linear(8 * 16, 2))
    network = TorchNetwork(model, grouping="per_group").on_hardware([hardware(CONVERTERS)] * 2, seed=1)
    layer = hardware_report(network, torch.zeros(4, 6, 6).numpy()).layers[0]
    assert (layer.outputs, layer.inputs, layer.arrays, layer.array_rows, layer.array_columns) == (8, 9, 8, 9, 2)
    assert (layer.devices, layer.mvms) == (2 * 8 * 9, 16 * 8)
