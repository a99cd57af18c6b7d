"""Assigning parameters: names are checked, pairs stay together, updates are all or nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from crossohm import CrossOhmError, ParameterError, UnknownNameError
from crossohm.params import (
    ADCParameters,
    CoreStyle,
    CrossSimParameters,
    DACParameters,
    DeviceParameters,
    OffsetCoreStyle,
    SimulationParameters,
    XbarParameters,
)


@pytest.fixture
def params():
    return CrossSimParameters()


# --- names -----------------------------------------------------------------------------------------------------------


def test_a_misspelt_name_is_refused_with_path_and_neighbour(params):
    with pytest.raises(UnknownNameError, match=r"^xbar\.adc\.mvm\.bitz = 8: .*Did you mean 'xbar\.adc\.mvm\.bits'"):
        params.xbar.adc.mvm.bitz = 8
    assert not hasattr(params.xbar.adc.mvm, "bitz")


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("xbar.adc.bits", "xbar.adc.mvm.bits"),
        ("device.Rmin", "xbar.device"),
        ("xbar.device.rmin", "xbar.device.Rmin"),
        ("core.mapping.input.mvm.min", "core.mapping.inputs"),
        ("simulatoin", "simulation"),
        ("xbar.adc.mtach", "xbar.adc._match"),
    ],
)
def test_unknown_paths_name_what_was_probably_meant(params, path, meant):
    with pytest.raises(UnknownNameError) as caught:
        params.update({path: 1})
    assert caught.value.path == path
    assert f"Did you mean {meant!r}?" in str(caught.value)


def test_unknown_names_are_refused_at_any_depth_of_construction():
    for build in (
        lambda: CrossSimParameters(xbar={"adc": {"mvm": {"bitz": 1}}}),
        lambda: CrossSimParameters(xbar={"adc": {"mvm": {"bits": -3, "bitz": 1}}}),  # first of two complaints
    ):
        with pytest.raises(UnknownNameError) as caught:
            build()
        assert caught.value.path == "xbar.adc.mvm.bitz"
    assert any("xbar.adc.mvm.bits = -3" in note for note in caught.value.__notes__)


def test_groups_outside_a_tree_name_their_class():
    with pytest.raises(UnknownNameError, match=r"^ADCParameters\.bitz = 1"):
        ADCParameters(bitz=1)
    xbar = XbarParameters()
    with pytest.raises(ParameterError, match=r"^XbarParameters\.dac\.mvm\.bits = -1"):
        xbar.dac.mvm.bits = -1


def test_a_group_put_into_a_tree_learns_its_path(params):
    params.simulation = SimulationParameters()
    with pytest.raises(UnknownNameError, match=r"^simulation\.convolution\.x_parr"):
        params.simulation.convolution.x_parr = 1
    params.xbar.dac.match = False
    params.xbar.dac.vmm = DACParameters(bits=4)
    with pytest.raises(ParameterError, match=r"^xbar\.dac\.vmm\.bits"):
        params.xbar.dac.vmm.bits = 99
    with pytest.raises(ParameterError, match=r"^xbar\.dac\.vmm\.bits"):
        params.copy().xbar.dac.vmm.bits = 99


def test_private_and_derived_names_cannot_be_set(params):
    with pytest.raises(UnknownNameError):
        params.xbar.adc.mvm._bits = 8
    with pytest.raises(ParameterError, match=r"^xbar\.device\.Gmin_norm = 0: derived"):
        params.xbar.device.Gmin_norm = 0


# --- values ----------------------------------------------------------------------------------------------------------


def test_numpy_scalars_are_numbers(params):
    params.xbar.adc.mvm.bits = np.int64(8)
    params.xbar.device.Rmin = np.float32(500)
    params.xbar.array.parasitics.enable = np.bool_(True)
    assert type(params.xbar.adc.mvm.bits) is int
    assert type(params.xbar.device.Rmin) is float
    assert params.xbar.array.parasitics.enable is True


def test_integers_are_accepted_for_floats(params):
    params.xbar.device.time = 3
    assert type(params.xbar.device.time) is float


def test_members_of_other_enumerations_are_refused(params):
    with pytest.raises(ParameterError):
        params.core.style = OffsetCoreStyle.DIGITAL_OFFSET
    with pytest.raises(ParameterError, match="did you mean 'BITSLICED'"):
        params.core.style = "BITSLICE"


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ((-1, 2), [-1.0, 2.0]),
        (np.array([-1, 2]), [-1.0, 2.0]),
        (np.array([[-1, 2], [-3, 4.5]], dtype=np.float32), [[-1.0, 2.0], [-3.0, 4.5]]),
        ([(-1, 2), np.array([-3, 4])], [[-1.0, 2.0], [-3.0, 4.0]]),
        ([np.array([-1, 2]), np.array([-3, 4])], [[-1.0, 2.0], [-3.0, 4.0]]),
        ((np.array([-1, 2]), (-3, 4)), [[-1.0, 2.0], [-3.0, 4.0]]),
        ([np.float32(-1), np.int64(2)], [-1.0, 2.0]),
        ([np.array(-1.0), np.array(2.0)], [-1.0, 2.0]),
        (torch.tensor([[-1, 2], [-3, 4]]), [[-1.0, 2.0], [-3.0, 4.0]]),
        ([torch.tensor([-1.0, 2.0]), torch.tensor([-3.0, 4.0])], [[-1.0, 2.0], [-3.0, 4.0]]),
        ([np.array([-1, 2])], [[-1.0, 2.0]]),
        (None, []),
        ([], []),
    ],
)
def test_ranges_are_lists_of_floats_however_given(params, given, stored):
    params.xbar.adc.mvm.calibrated_range = given
    assert params.xbar.adc.mvm.calibrated_range == stored
    assert CrossSimParameters(**params.as_dict()) == params


@pytest.mark.parametrize(
    "given", [[1], [1, 2, 3], [1, "2"], [[1, np.nan]], [True, False], "12", [1, [2, 3]], [np.array([1, 2]), 3], 10**400]
)
def test_what_is_no_range_is_refused(params, given):
    with pytest.raises(ParameterError, match=r"^xbar\.adc\.mvm\.calibrated_range"):
        params.xbar.adc.mvm.calibrated_range = given


def test_a_list_given_is_not_shared(params):
    limits = [-1.0, 1.0]
    params.xbar.adc.mvm.calibrated_range = limits
    limits[0] = 5.0
    assert params.xbar.adc.mvm.calibrated_range == [-1.0, 1.0]


def test_groups_accept_dicts_instances_and_none(params):
    params.xbar.device = {"Rmin": 5.0}
    assert (params.xbar.device.Rmin, params.xbar.device.Rmax) == (5.0, 10000.0)
    params.xbar.device = DeviceParameters(Rmin=7)
    assert params.xbar.device.Rmin == 7.0
    params.xbar.device = None
    assert params == CrossSimParameters() == CrossSimParameters(core=None, xbar={"adc": None})


# --- pairs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pair", ["xbar.adc", "xbar.dac", "core.mapping.inputs"])
def test_matched_sides_are_one_group(params, pair):
    group = params.get(pair)
    assert group.match is group._match is True
    assert group.mvm is group.vmm
    copied = params.copy().get(pair)
    assert copied.mvm is copied.vmm is not group.mvm


@pytest.mark.parametrize("switch", ["match", "_match"])
def test_unmatched_sides_are_independent_copies(params, switch):
    params.xbar.adc.mvm.bits = 8
    setattr(params.xbar.adc, switch, False)
    params.xbar.adc.vmm.bits = 4
    assert (params.xbar.adc.mvm.bits, params.xbar.adc.vmm.bits) == (8, 4)
    setattr(params.xbar.adc, switch, True)
    assert params.xbar.adc.vmm is params.xbar.adc.mvm
    assert params.xbar.adc.vmm.bits == 8


@pytest.mark.parametrize("side", ["mvm", "vmm"])
def test_an_omitted_side_follows_the_given_one(params, side):
    built = CrossSimParameters(xbar={"adc": {side: {"bits": 8}}})
    assert built.xbar.adc.mvm is built.xbar.adc.vmm
    setattr(params.xbar.adc, side, ADCParameters(bits=8))
    assert params.xbar.adc.mvm is params.xbar.adc.vmm
    params_by_path = CrossSimParameters()
    params_by_path.update({f"xbar.adc.{side}.bits": 8})
    assert built == params == params_by_path


def test_equal_sides_spelt_out_match_and_different_ones_are_refused():
    both = CrossSimParameters(xbar={"adc": {"_match": True, "mvm": {"bits": 8}, "vmm": {"bits": 8}}})
    assert both.xbar.adc.mvm is both.xbar.adc.vmm
    with pytest.raises(ParameterError, match=r"^xbar\.adc = .*although match is True"):
        CrossSimParameters(xbar={"adc": {"mvm": {"bits": 8}, "vmm": {"bits": 7}}})
    with pytest.raises(ParameterError, match="although match is True"):
        CrossSimParameters().update({"xbar.adc": {"mvm": {"bits": 8}, "vmm": {}}})


def test_unmatched_sides_take_defaults_where_omitted():
    adc = CrossSimParameters(xbar={"adc": {"_match": False, "mvm": {"bits": 8}}}).xbar.adc
    assert (adc.mvm.bits, adc.vmm.bits) == (8, 0)


def test_one_group_given_for_both_unmatched_sides_is_copied(params):
    params.xbar.adc.match = False
    params.xbar.adc.vmm = params.xbar.adc.mvm
    assert params.xbar.adc.vmm is not params.xbar.adc.mvm


# --- update and get --------------------------------------------------------------------------------------------------


def test_update_is_all_or_nothing(params):
    held = params.xbar.adc.mvm
    for wrong in ({"xbar.adc.mvm.bitz": 1}, {"xbar.adc.mvm.bits": -1}, {"core.style": "X"}):
        with pytest.raises(ParameterError):
            params.update({"core.rows_max": 128, "xbar.device.Rmin": 10.0, **wrong})
        assert params == CrossSimParameters()
    params.update({"xbar.adc.mvm.bits": 8, "core.style": "OFFSET"})
    assert held is params.xbar.adc.mvm and held.bits == 8
    assert params.core.style is CoreStyle.OFFSET


def test_update_does_not_depend_on_order():
    entries = [("xbar.adc.vmm.bits", 4), ("xbar.adc.mvm.bits", 8), ("xbar.adc._match", False), ("xbar.adc", None)]
    results = []
    for order in (entries, entries[::-1], entries[2:] + entries[:2]):
        results.append(CrossSimParameters())
        results[-1].update(dict(order))
    assert results[0] == results[1] == results[2]
    assert (results[0].xbar.adc.mvm.bits, results[0].xbar.adc.vmm.bits) == (8, 4)


def test_contradicting_sides_of_a_pair_are_refused(params):
    params.update({"xbar.adc.mvm.bits": 8, "xbar.adc.vmm.bits": 8})
    with pytest.raises(ParameterError, match="given twice with different values"):
        params.update({"xbar.adc.mvm.bits": 8, "xbar.adc.vmm.bits": 4})


def test_update_of_a_group_is_relative_to_it(params):
    params.xbar.device.update({"read_noise.magnitude": 0.1, "Rmin": 10.0})
    assert params.get("xbar.device.read_noise.magnitude") == 0.1
    assert params.xbar.device.get("Rmin") == 10.0


def test_a_dict_replaces_a_group(params):
    params.update({"xbar.adc.mvm.bits": 8})
    params.update({"xbar.adc.mvm": {"model": "QuantizerADC"}})
    assert params.xbar.adc.mvm == ADCParameters(model="QuantizerADC")


def test_get_refuses_what_is_not_there(params):
    assert params.get("xbar.adc._match") is True
    assert params.get("xbar.adc") is params.xbar.adc
    for path in ("xbar.adc.mvm.bitz", "xbar.adc.mvm.bits.x", "", "xbar."):
        with pytest.raises(UnknownNameError):
            params.get(path)


# --- comparison and text ---------------------------------------------------------------------------------------------


def test_copies_are_equal_and_independent(params):
    params.xbar.adc.mvm.calibrated_range = [-1, 1]
    copied = params.copy()
    assert copied == params
    copied.xbar.adc.mvm.calibrated_range[0] = -2.0
    copied.core.balanced.interleaved_posneg = True
    assert params.xbar.adc.mvm.calibrated_range == [-1.0, 1.0]
    assert copied != params and params != 3


def test_diff_lists_both_values(params):
    other = params.copy()
    other.update({"xbar.adc.mvm.bits": 8, "core.style": "OFFSET"})
    assert params.diff(params) == {}
    assert params.diff(other) == {
        "core.style": (CoreStyle.BALANCED, CoreStyle.OFFSET),
        "xbar.adc.mvm.bits": (0, 8),
    }
    with pytest.raises(CrossOhmError):
        params.diff(params.xbar)


def test_repr_shows_what_differs_from_the_default(params):
    assert repr(params) == str(params) == "CrossSimParameters()"
    params.update({"xbar.adc.mvm.bits": 8, "core.style": "OFFSET"})
    assert repr(params) == "CrossSimParameters(core.style='OFFSET', xbar.adc.mvm.bits=8)"
    assert repr(params.xbar.adc.mvm) == "ADCParameters(bits=8)"
    params.xbar.adc.match = False
    assert "xbar.adc._match=False" in repr(params) and "xbar.adc.vmm.bits=8" in repr(params)


def test_what_repr_shows_can_be_given_to_update(params):
    params.update({"xbar.adc.mvm.bits": 8, "core.style": "OFFSET", "core.mapping.weights.max": 2.0})
    params.xbar.dac.match = False
    again = CrossSimParameters()
    again.update({path: mine for path, (mine, _) in params.diff(again).items()})
    assert again == params


# --- derived ---------------------------------------------------------------------------------------------------------


def test_derived_conductances():
    device = DeviceParameters(Rmin=1e4, Rmax=4e4)
    assert (device.Gmin_norm, device.Gmax_norm, device.Grange_norm) == (0.25, 1.0, 0.75)
    device.infinite_on_off_ratio = True
    assert (device.Gmin_norm, device.Grange_norm) == (0.0, 1.0)


@pytest.mark.parametrize("resistance", ["Rp_row", "Rp_col", "Rp_row_terminal", "Rp_col_terminal"])
def test_wires_take_effect_if_enabled_and_resistive(params, resistance):
    wires = params.xbar.array.parasitics
    setattr(wires, resistance, 1.0)
    assert not wires.effective
    wires.enable = True
    assert wires.effective
    setattr(wires, resistance, 0.0)
    assert not wires.effective


@pytest.mark.parametrize(
    ("bits", "slices", "style", "per_slice"),
    [(8, 2, "BALANCED", 4), (5, 2, "BALANCED", 2), (9, 4, "BALANCED", 2), (5, 2, "OFFSET", 3), (16, 8, "OFFSET", 2)],
)
def test_bits_per_slice(params, bits, slices, style, per_slice):
    params.update({"core.style": "BITSLICED", "core.weight_bits": bits, "core.bit_sliced.num_slices": slices})
    params.core.bit_sliced.style = style
    assert params.core.bits_per_slice == per_slice
