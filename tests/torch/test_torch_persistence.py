"""The programmed chip travels with ``state_dict``: outputs come back bit for bit, on the hardware that was saved."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn
from torch_cases import CONVERTERS, PROGRAMMING_ERROR, SLICED, digital, hardware, inputs, resnet
from torch_pair import AnalogPair, Pair

from crossohm import CrossSimParameters, DataError
from crossohm.torch import AnalogLinear, analog_modules, from_torch, synchronize, to_torch

RAMP = {
    "xbar.adc.mvm.model": "RampADC",
    "xbar.adc.mvm.sigma_comparator": 0.02,
    "xbar.adc.mvm.adc_range_option": "MAX",
    "core.rows_max": 16,
}
HARDWARE = {
    "errors": hardware(PROGRAMMING_ERROR),
    "converters": hardware(PROGRAMMING_ERROR, CONVERTERS, RAMP),
    "sliced": hardware(PROGRAMMING_ERROR, SLICED["sliced"]),
}


def _saved(write: Callable, read: Callable) -> Callable:
    def route(model: nn.Module, fresh: nn.Module) -> nn.Module:
        buffer = io.BytesIO()
        write(model, buffer)
        buffer.seek(0)
        return read(buffer, fresh)

    return route


def _into(fresh: nn.Module, state: dict, assign: bool = False) -> nn.Module:
    fresh.load_state_dict(state, assign=assign)
    return fresh


ROUTES = {
    "state_dict": lambda model, fresh: _into(fresh, model.state_dict()),
    "assign": lambda model, fresh: _into(fresh, copy.deepcopy(model.state_dict()), assign=True),
    "torch.save": _saved(
        lambda model, file: torch.save(model.state_dict(), file),
        lambda file, fresh: _into(fresh, torch.load(file, weights_only=True)),
    ),
    "safetensors": _saved(
        lambda model, file: file.write(safetensors.torch.save(model.state_dict())),
        lambda file, fresh: _into(fresh, safetensors.torch.load(file.read())),
    ),
    "deepcopy": lambda model, fresh: copy.deepcopy(model),
    "pickle": _saved(torch.save, lambda file, fresh: torch.load(file, weights_only=False)),
}


def conductances(model: nn.Module) -> list[bytes]:
    return [array.conductance.tobytes() for layer in analog_modules(model) for array in layer.core.arrays]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("params", HARDWARE)
def test_a_restored_model_computes_bit_identically(route, params):
    model = from_torch(resnet(torch.float32), HARDWARE[params], bias_rows=2, seed=1)
    synchronize(model)
    fresh = from_torch(resnet(torch.float32), CrossSimParameters(), seed=9)
    for parameter in fresh.parameters():
        nn.init.ones_(parameter)
    x = inputs((2, 3, 8, 8), torch.float32)
    expected = model(x)
    twin = ROUTES[route](model, fresh)
    assert torch.equal(twin(x), expected)
    assert conductances(twin) == conductances(model)
    for ours, theirs in zip(analog_modules(twin), analog_modules(model), strict=True):
        assert (ours.params, ours.seed, ours.name, ours.bias_rows) == (theirs.params, theirs.seed, theirs.name, 2)
    for module in (model, twin):
        synchronize(module)
    assert conductances(twin) == conductances(model)


def test_descriptions_per_array_come_back():
    sizes = {"core.rows_max": 4, "core.cols_max": 2}
    params = [hardware(sizes) for _ in range(5)] + [hardware(sizes, PROGRAMMING_ERROR)]
    layer = from_torch(digital(nn.Linear, {"in_features": 12, "out_features": 4}), params, seed=1)
    fresh = from_torch(digital(nn.Linear, {"in_features": 12, "out_features": 4}), hardware(), bias_rows=3, seed=2)
    fresh.load_state_dict(layer.state_dict())
    x = inputs((3, 12))
    assert torch.equal(fresh(x), layer(x))
    assert fresh.params == layer.params
    fresh.reinitialize(1)
    assert torch.equal(fresh(x), layer(x))


def test_all_matrices_of_a_layer_come_back():
    layer = AnalogPair.from_torch(Pair(), HARDWARE["errors"], 2, seed=1, name="pair")
    fresh = AnalogPair.from_torch(Pair(), CrossSimParameters(), 0, seed=2)
    fresh.load_state_dict(layer.state_dict())
    x = inputs((3, 6))
    assert torch.equal(fresh(x), layer(x))
    assert [matrix.name for matrix in fresh.matrices] == ["pair.first", "pair.second"]


def test_a_digital_checkpoint_loads_and_is_written():
    analog, other = from_torch(resnet(), HARDWARE["errors"], bias_rows=1, seed=1), resnet()
    for parameter in other.parameters():
        nn.init.uniform_(parameter, -0.5, 0.5)
    before = conductances(analog)
    assert analog.load_state_dict(other.state_dict(), strict=True) == ([], [])
    assert all(old != new for old, new in zip(before, conductances(analog), strict=True))
    errors = (analog.head.get_matrix() - analog.head.form_matrix()).abs().max()
    assert 0 < errors < 0.3
    with pytest.raises(RuntimeError, match="Missing key"):
        analog.load_state_dict({}, strict=True)


def test_the_digital_model_takes_the_parameters():
    model = resnet()
    analog = from_torch(model, hardware(), bias_rows=1, seed=1)
    assert [key for key in analog.state_dict() if not key.endswith("._extra_state")] == list(model.state_dict())
    model.load_state_dict(to_torch(analog).state_dict(), strict=True)
    assert not model.load_state_dict(analog.state_dict(), strict=False).missing_keys


def test_parameters_that_do_not_belong_to_the_chip_are_written():
    layer = from_torch(digital(nn.Linear, {"in_features": 6, "out_features": 4}), HARDWARE["errors"], seed=1)
    state = layer.state_dict()
    state["weight"] = state["weight"] * 2
    fresh = copy.deepcopy(layer)
    fresh.load_state_dict(state)
    assert (fresh.get_matrix() - 2 * layer.weight).abs().max() < 0.6
    assert (fresh.get_matrix() - 2 * layer.get_matrix()).abs().max() > 1e-3


def test_a_stale_chip_stays_stale():
    layer = from_torch(digital(nn.Linear, {"in_features": 6, "out_features": 4}), hardware(), seed=1)
    nn.init.ones_(layer.weight)
    fresh = from_torch(digital(nn.Linear, {"in_features": 6, "out_features": 4}), hardware(), seed=2)
    fresh.load_state_dict(layer.state_dict())
    torch.testing.assert_close(fresh.get_matrix(), torch.ones(4, 6, dtype=torch.float64))


def test_a_chip_comes_back_in_another_dtype():
    layer = from_torch(digital(nn.Linear, {"in_features": 6, "out_features": 4}), HARDWARE["errors"], seed=1)
    fresh = AnalogLinear(CrossSimParameters(), 6, 4, dtype=torch.float32)
    fresh.load_state_dict(layer.state_dict())
    assert conductances(fresh) == conductances(layer)
    moved = copy.deepcopy(fresh).double()
    moved.load_state_dict(fresh.state_dict())
    assert conductances(moved) == conductances(layer)


def test_damaged_states_are_refused_and_nothing_changes():
    layer = from_torch(digital(nn.Linear, {"in_features": 6, "out_features": 4}), HARDWARE["errors"], seed=1)
    good = layer.get_extra_state()
    x, before = inputs((3, 6)), layer(inputs((3, 6)))
    damaged = [good[:-1], good[: len(good) // 2], good[:0], good.float(), good.numpy(), None, good[None]]
    for position in np.linspace(0, len(good) - 1, 60, dtype=int):
        flipped = good.clone()
        flipped[position] ^= 4
        damaged.append(flipped)
    for state in damaged:
        with pytest.raises(DataError, match=r"chip of AnalogLinear 'core'"):
            layer.set_extra_state(state)
    assert torch.equal(layer(x), before)


def test_a_chip_of_another_size_is_refused():
    layer, other = AnalogLinear(CrossSimParameters(), 6, 4), AnalogLinear(CrossSimParameters(), 5, 4)
    with pytest.raises(DataError, match=r"\(4, 5\).*AnalogLinear.*\(4, 6\)"):
        layer.set_extra_state(other.get_extra_state())
