"""Facts that follow from parameters, by law: what they say is what the hardware does, for every model and style."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from crossohm import AnalogCore, CrossSimParameters, ParameterError
from crossohm.circuits import ADCS, DACS
from crossohm.devices import ROLES, cell_of
from crossohm.mapping import build_mapping, weight_limits
from crossohm.params import (
    ADCParameters,
    DACParameters,
    DeviceModelParameters,
    Group,
    InputMappingParameters,
    WeightMappingParameters,
)
from crossohm.testing.hardware import STYLES, hardware

MATRIX = np.random.default_rng(0).uniform(-1, 1, (5, 6))
X = np.random.default_rng(1).uniform(-1, 1, 6)
NAMES = {"adc": sorted(ADCS), "dac": sorted(DACS)}
CONVERTERS = [(kind, model) for kind, models in NAMES.items() for model in models]

#: A style of mapping, with every choice about pairs.
styles = st.builds(
    lambda style, apart, shared: (
        STYLES[style]
        | {"core.balanced.subtract_current_in_xbar": not apart or shared, "core.balanced.interleaved_posneg": shared}
    ),
    st.sampled_from(sorted(STYLES)),
    st.booleans(),
    st.booleans(),
)
limit = st.floats(-1e3, 1e3)


@pytest.fixture(autouse=True)
def _settings_without_effect_are_meant() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


# --- converters -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["mvm", "vmm"])
@pytest.mark.parametrize("bits", [0, 3])
@pytest.mark.parametrize(("kind", "model"), CONVERTERS)
def test_a_converter_that_converts_changes_products_and_another_changes_none(
    kind: str, model: str, bits: int, operation: str
) -> None:
    values = {"model": model, "bits": bits} | ({"adc_range_option": "MAX"} if kind == "adc" else {})
    params = hardware({f"xbar.{kind}.match": False, f"xbar.{kind}.{operation}": values})
    converter = params.get(f"xbar.{kind}.{operation}")
    core = AnalogCore(MATRIX, params, seed=1)
    found, exact = (core @ X, MATRIX @ X) if operation == "mvm" else (X[:5] @ core, X[:5] @ MATRIX)
    assert converter.converts == (bits > 0 and not model.startswith("Ideal"))
    assert converter.converts == (not np.allclose(found, exact, rtol=1e-12, atol=1e-12))
    assert not params.get(f"xbar.{kind}.{'vmm' if operation == 'mvm' else 'mvm'}").converts


@given(model=st.text(min_size=1), bits=st.integers(0, 24))
def test_models_of_a_user_convert_by_their_bits(model: str, bits: int) -> None:
    assume(not model.startswith("Ideal"))
    for kind in (ADCParameters, DACParameters):
        assert kind(model=model, bits=bits).converts is (bits > 0)


@given(pairs=st.lists(st.tuples(limit, limit), max_size=4))
def test_calibrated_limits_are_pairs_however_they_were_given(pairs: list[tuple[float, float]]) -> None:
    expected = [list(pair) for pair in pairs]
    assert ADCParameters(calibrated_range=pairs).calibrated_pairs == expected
    for one in pairs:
        assert ADCParameters(calibrated_range=one).calibrated_pairs == [list(one)]


# --- ranges -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", [InputMappingParameters, WeightMappingParameters])
@given(low=limit | st.none(), high=limit | st.none(), percentile=st.floats(0.01, 10) | st.none())
def test_a_missing_limit_mirrors_the_other_and_a_percentile_has_none(
    group: type[Any], low: float | None, high: float | None, percentile: float | None
) -> None:
    limits = [end for end in (low, high) if end is not None]
    found = group(min=low, max=high, percentile=percentile).limits
    if percentile is not None or not limits:
        assert found is None
    else:
        assert found == (tuple(limits) if len(limits) == 2 else (-abs(limits[0]), abs(limits[0])))
        assert found == weight_limits(MATRIX, low, high, None)


@settings(max_examples=30)
@given(low=st.floats(-2, 0.4) | st.none(), high=st.floats(0.5, 2) | st.none())
def test_what_lies_outside_the_limits_is_clipped_to_them(low: float | None, high: float | None) -> None:
    assume(low is not None or high is not None)
    assume(low is None or high is not None or abs(low) > 0.1)
    clipped = {"clipping": True, "min": low, "max": high}
    params = hardware({"core.mapping.inputs.mvm": clipped, "core.mapping.weights": clipped | {"percentile": None}})
    inputs, weights = params.core.mapping.inputs.mvm.limits, params.core.mapping.weights.limits
    assert inputs is not None and inputs == weights
    expected = np.clip(MATRIX, *inputs) @ np.clip(X, *inputs)
    np.testing.assert_allclose(AnalogCore(MATRIX, params) @ X, expected, rtol=1e-9, atol=1e-9)


# --- cells ------------------------------------------------------------------------------------------------------------


@settings(max_examples=50)
@given(style=styles, r_min=st.floats(1, 1e5), ratio=st.floats(1.01, 1e6), infinite=st.booleans())
def test_the_lowest_conductance_is_the_lowest_that_mappings_and_devices_know(
    style: dict[str, Any], r_min: float, ratio: float, infinite: bool
) -> None:
    params = hardware(style)
    params.update({"xbar.device.Rmin": r_min, "xbar.device.Rmax": r_min * ratio})
    params.xbar.device.infinite_on_off_ratio = infinite
    device = params.xbar.device
    assert device.Gmin_norm == (0.0 if infinite else device.Rmin / device.Rmax)
    assert device.Grange_norm + device.Gmin_norm == pytest.approx(device.Gmax_norm)
    assert {cell_of(device, role).rho for role in ROLES} == {device.Gmin_norm}
    targets = build_mapping(params).targets(np.linspace(-1, 1, 255))
    assert targets.min() == pytest.approx(device.Gmin_norm, abs=1e-12)
    assert targets.max() == pytest.approx(device.Gmax_norm)


@pytest.mark.parametrize("enable", [False, True])
@pytest.mark.parametrize("model", ["IdealDevice", "NormalIndependentDevice"])
def test_a_model_of_the_cells_is_active_where_it_is_chosen_and_enabled(model: str, enable: bool) -> None:
    error = {"model": model, "enable": enable, "magnitude": 0.1}
    core = AnalogCore(MATRIX, hardware({"xbar.device.programming_error": error}), seed=1)
    is_exact = np.allclose(core.get_matrix(), MATRIX, rtol=1e-12)
    assert DeviceModelParameters(**error).active is (model != "IdealDevice" and enable) is not is_exact


# --- slices and pairs -------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(data=st.data(), bits=st.integers(2, 12), style=st.sampled_from(["BALANCED", "OFFSET"]))
def test_slices_have_just_the_bits_that_hold_every_code(data: st.DataObject, bits: int, style: str) -> None:
    slices = data.draw(st.integers(1, bits))
    top = 2 ** (bits - 1) - 1
    sizes = {"core.style": "BITSLICED", "core.weight_bits": bits, "core.bit_sliced.num_slices": slices}
    params = hardware(sizes, {"core.bit_sliced.style": style})
    params.update({"core.mapping.weights.min": -top, "core.mapping.weights.max": top})
    share, stored = params.core.bits_per_slice, bits - (style == "BALANCED")
    assert stored <= share * slices
    assert bits % slices == 0 or (share - 1) * slices < stored
    assert build_mapping(params).slice_bits == share
    codes = np.unique(np.linspace(-top, top, 64).round())[None]
    np.testing.assert_allclose(AnalogCore(codes, params).get_matrix(), codes, atol=1e-9 * max(top, 1))


@settings(max_examples=60)
@given(style=styles, signed=st.booleans(), operation=st.sampled_from(["mvm", "vmm"]), data=st.data())
def test_what_is_said_of_pairs_is_what_converters_see(
    style: dict[str, Any], signed: bool, operation: str, data: st.DataObject
) -> None:
    dac = {"model": "QuantizerDAC", "bits": 8, "signed": signed}
    params = hardware(style, {"xbar.dac.mvm": dac, "core.mapping.inputs.mvm.min": -1.0 if signed else 0.0})
    core, mapping = params.core, build_mapping(params)
    x = np.array(data.draw(st.lists(st.floats(-1.0 if signed else 0.0, 1), min_size=6, max_size=6)))
    analog = AnalogCore(MATRIX, params, seed=1)
    with analog.profile() as seen:
        _ = analog @ x if operation == "mvm" else x[:5] @ analog
    banks = {key.bank for key in seen.conversions}
    apart = core.uses_pairs and not core.subtracts_in_array
    assert core.uses_pairs == (mapping.signs == 2)
    assert not core.interleaves_pairs or core.subtracts_in_array
    assert not core.subtracts_in_array or core.uses_pairs
    assert len(banks) == mapping.slices * (2 if apart else 1)
    if not params.sees_both_signs(operation):
        assert min(record.low for record in seen.conversions.values()) >= -1e-12


@pytest.mark.parametrize("operation", ["mvm", "vmm"])
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("style", STYLES)
def test_converters_without_a_range_of_their_own_take_both_signs_where_they_see_them(
    style: str, signed: bool, operation: str
) -> None:
    dac = {"model": "QuantizerDAC", "bits": 8, "signed": signed}
    adc = {"model": "SignMagnitudeADC", "bits": 8, "adc_range_option": "MAX"}
    params = hardware(STYLES[style], {"xbar.dac.mvm": dac, "core.mapping.inputs.mvm.min": -1.0 if signed else 0.0})
    params.update({"xbar.adc.match": False, f"xbar.adc.{operation}": adc})
    if params.sees_both_signs(operation):
        params.validate()
    else:
        with pytest.raises(ParameterError, match=rf"xbar\.adc\.{operation}.*no current is negative here"):
            params.validate()


# --- all of them ------------------------------------------------------------------------------------------------------


def groups(group: Group) -> Iterator[Group]:
    yield group
    for name in type(group).model_fields:
        inner = getattr(group, name)
        if isinstance(inner, Group):
            yield from groups(inner)


def derived(group: Group) -> list[str]:
    """Names of what follows from other parameters."""
    properties = {name: getattr(type(group), name, None) for name in set(dir(type(group))) - set(dir(BaseModel))}
    return [
        name
        for name, value in properties.items()
        if isinstance(value, property) and value.fset is None and not name.startswith("_")
    ]


def test_what_follows_from_parameters_is_no_parameter_and_cannot_be_set() -> None:
    params = CrossSimParameters()
    found = {(group._where, name): group for group in groups(params) for name in derived(group)}
    assert {name for _, name in found} >= {
        "converts", "calibrated_pairs", "limits", "range", "active", "effective", "Gmin_norm", "bits_per_slice",
        "uses_pairs", "subtracts_in_array", "interleaves_pairs",
    }  # fmt: skip
    for (path, name), group in found.items():
        with pytest.raises(ParameterError, match=rf"^{path}\.{name} = .*derived from other parameters"):
            setattr(group, name, getattr(group, name))
        assert name not in group.as_dict()
