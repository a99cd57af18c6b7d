"""Arrays and parameters stay together; chips are reproducible, copied and moved without changing."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import prune
from torch_cases import PROGRAMMING_ERROR, digital, hardware, inputs, resnet

from crossohm import AnalogCore, CrossSimParameters, ParameterError, StaleArraysError
from crossohm.backends.torch_fingerprint import fingerprint
from crossohm.torch import AnalogLinear, analog_modules, from_torch, reinitialize, synchronize, to_torch

OPTIONS = {"in_features": 6, "out_features": 4}


def conductances(model: nn.Module) -> list[np.ndarray]:
    return [array.conductance for layer in analog_modules(model) for array in layer.core.arrays]


def equal(left: list[np.ndarray], right: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))


def _optimizer_step(layer):
    layer(inputs((3, 6))).sum().backward()
    torch.optim.SGD(layer.parameters(), lr=0.1).step()


def _load(layer, assign=False):
    layer.load_state_dict({k: torch.rand_like(v) for k, v in layer.named_parameters()}, assign=assign)


def _in_place(layer):
    with torch.no_grad():
        layer.weight[1, 2] += 1


def _new_storage(layer):
    layer.weight.data = torch.rand_like(layer.weight)


def _replace(layer):
    layer.weight = nn.Parameter(torch.rand_like(layer.weight))


def _hidden_from_autograd(layer):
    layer.weight.data[1, 2] += 1


def _hidden_swap(layer):
    layer.weight.data.copy_(layer.weight.data.flip(0))


def _hidden_last_bit(layer):
    layer.weight.data.view(torch.int64)[3, 5] ^= 1


CHANGES = {
    "optimizer": _optimizer_step,
    "load": _load,
    "load-assign": lambda layer: _load(layer, assign=True),
    "in-place": _in_place,
    "initialiser": lambda layer: nn.init.normal_(layer.weight),
    "reset": lambda layer: layer.reset_parameters(),
    "data": _new_storage,
    "replaced": _replace,
    "hidden": _hidden_from_autograd,
    "hidden-swap": _hidden_swap,
    "hidden-last-bit": _hidden_last_bit,
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("bias_rows", [0, 2])
def test_changed_parameters_reach_the_arrays(change, bias_rows):
    layer = from_torch(digital(nn.Linear, OPTIONS), hardware(), bias_rows, seed=1)
    old = layer.weight.detach().clone()
    CHANGES[change](layer)
    assert not torch.equal(layer.weight, old)
    x = inputs((3, 6))
    torch.testing.assert_close(layer(x), nn.functional.linear(x, layer.weight, layer.bias), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(layer.get_matrix(), layer.form_matrix(), rtol=1e-12, atol=1e-12)


def test_writing_the_same_values_again_is_no_change():
    layer = from_torch(digital(nn.Linear, OPTIONS), hardware(PROGRAMMING_ERROR), seed=1)
    before = conductances(layer)
    layer.load_state_dict(copy.deepcopy(layer.state_dict()))
    layer.weight = nn.Parameter(layer.weight.detach().clone())
    assert equal(conductances(layer), before)


@pytest.mark.parametrize("change", ["optimizer", "load", "in-place", "data", "replaced", "hidden"])
def test_the_error_policy_names_what_changed(change):
    layer = from_torch(digital(nn.Linear, OPTIONS), hardware(PROGRAMMING_ERROR), 2, seed=1, sync="error")
    x, before = inputs((3, 6)), layer(inputs((3, 6)))
    assert torch.equal(layer(x), before)
    CHANGES[change](layer)
    with pytest.raises(StaleArraysError, match=r"weight.* of AnalogLinear 'core' changed .*synchronize\(\)") as error:
        layer(x)
    assert ("bias" in str(error.value)) == (change in ("optimizer", "load"))
    for use in (lambda: layer.core, layer.get_matrix, layer.get_core_weights):
        with pytest.raises(StaleArraysError):
            use()
    layer.synchronize()
    assert not torch.equal(layer(x), before)


def test_the_manual_policy_leaves_the_arrays_to_the_user():
    model = from_torch(resnet(), hardware(PROGRAMMING_ERROR), bias_rows=1, seed=1, sync="manual")
    before = conductances(model)
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    assert equal(conductances(model), before)
    assert {layer.sync for layer in analog_modules(copy.deepcopy(model))} == {"manual"}
    synchronize(model)
    assert not equal(conductances(model), before)
    assert not any(hasattr(module, "_sync") for module in to_torch(model).modules())


def test_the_policy_is_one_of_three():
    layer = from_torch(digital(nn.Linear, OPTIONS), hardware(), seed=1)
    with pytest.raises(ParameterError, match="'auto', 'manual', 'error'"):
        layer.sync = "always"
    assert layer.sync == "auto"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_fingerprints_see_every_bit_and_not_the_layout(dtype):
    value = torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)
    own = fingerprint(value)
    assert own == fingerprint(value.clone())
    assert own == fingerprint(value.transpose(0, 2).contiguous().transpose(0, 2))
    assert own != fingerprint(value.flip(0))
    bits = value.clone().view({2: torch.int16, 4: torch.int32, 8: torch.int64}[value.element_size()]).flatten()
    for position in range(0, bits.numel(), 9):
        for bit in range(8 * value.element_size() - 1):
            changed = bits.clone()
            changed[position] ^= 1 << bit
            assert fingerprint(changed.view(dtype)) != own


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_fingerprints_see_systematic_changes(dtype):
    generator = torch.Generator().manual_seed(1)
    for size in range(2, 60):
        value = torch.randn(size, generator=generator, dtype=torch.float64).to(dtype)
        factors = [torch.full((size,), f) for f in (-1, 2, -2, 0.5, 0.25, 4, 256)]
        for k in range(1, size):
            for f in (-1, 2, 0):
                factors.append(torch.ones(size).index_fill_(0, torch.tensor([0, k]), f))
        for factor in factors:
            assert fingerprint(value * factor.to(dtype)) != fingerprint(value)


def test_fingerprints_of_large_tensors_depend_on_the_order_of_their_parts():
    value = torch.zeros(3 << 20)
    value[5] = 1
    seen = {fingerprint(value.roll(shift << 20)) for shift in range(3)}
    assert len(seen) == 3


@pytest.mark.parametrize("change", ["parametrization", "pruning"])
def test_computed_weights_are_followed_and_trained(change):
    def changed(layer):
        if change == "pruning":
            return prune.random_unstructured(layer, "weight", 0.5)
        return nn.utils.parametrizations.weight_norm(layer)

    x, plain = inputs((3, 6)), digital(nn.Linear, OPTIONS)
    analog = from_torch(plain, hardware(), 1, seed=1)
    results = []
    for layer in (plain, analog):
        torch.manual_seed(1)
        layer = changed(layer)
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            y = layer(x)
            y.square().sum().backward()
            optimizer.step()
        results.append(y)
    torch.testing.assert_close(*results, rtol=1e-11, atol=1e-12)


def test_an_analog_bias_is_watched_and_a_digital_one_is_read():
    for bias_rows, rewritten in ((0, False), (2, True)):
        layer = from_torch(digital(nn.Linear, OPTIONS), hardware(PROGRAMMING_ERROR), bias_rows, seed=1)
        before = conductances(layer)
        nn.init.ones_(layer.bias)
        assert equal(conductances(layer), before) != rewritten
        assert (layer(torch.zeros(6, dtype=torch.float64)) - 1).abs().max() < 0.3


def test_functional_call_drives_the_parameters_it_is_given():
    layer = from_torch(digital(nn.Linear, OPTIONS), hardware(), bias_rows=1, seed=1)
    other = {"weight": torch.rand(4, 6, dtype=torch.float64), "bias": torch.rand(4, dtype=torch.float64)}
    x = inputs((3, 6))
    torch.testing.assert_close(torch.func.functional_call(layer, other, x), nn.functional.linear(x, **other))
    torch.testing.assert_close(layer(x), nn.functional.linear(x, layer.weight, layer.bias))


def test_forward_does_not_redraw_and_synchronize_does():
    layer = from_torch(digital(nn.Linear, OPTIONS), hardware(PROGRAMMING_ERROR), seed=1)
    before = conductances(layer)
    layer(inputs((3, 6))).sum().backward()
    assert equal(conductances(layer), before)
    layer.synchronize()
    assert not equal(conductances(layer), before)


def test_a_chip_is_the_same_in_numpy():
    layer = digital(nn.Linear, OPTIONS)
    params = hardware(PROGRAMMING_ERROR, {"core.rows_max": 4})
    analog = from_torch(layer, params, seed=11)
    core = AnalogCore(layer.weight.detach().numpy(), params, seed=11)
    assert equal(conductances(analog), [array.conductance for array in core.arrays])
    direct = AnalogLinear(params, **OPTIONS, dtype=torch.float64, seed=11)
    direct.load_state_dict(layer.state_dict())
    direct.reinitialize(11)
    assert equal(conductances(direct), conductances(analog))


def test_layers_of_a_model_are_named_by_their_place():
    model, params = resnet(), hardware(PROGRAMMING_ERROR)
    analog = from_torch(model, params, seed=11)
    for name, layer in analog.named_modules():
        if layer in analog_modules(analog):
            weight = model.get_submodule(name).weight.detach()
            core = AnalogCore(weight.flatten(1).numpy(), params, seed=11, name=name)
            assert equal(conductances(layer), [array.conductance for array in core.arrays])


def test_one_seed_one_chip():
    params = hardware(PROGRAMMING_ERROR)
    chips = [from_torch(resnet(), params, seed=seed) for seed in (1, 1, 2, None, None)]
    assert equal(conductances(chips[0]), conductances(chips[1]))
    assert len({chip.head.core.arrays[0].conductance.tobytes() for chip in chips}) == 4
    assert len({layer.seed for layer in analog_modules(chips[4])}) == 1


def test_layers_of_equal_weights_have_independent_errors():
    layer = digital(nn.Linear, {"in_features": 6, "out_features": 6})
    analog = from_torch(nn.Sequential(layer, copy.deepcopy(layer)), hardware(PROGRAMMING_ERROR), seed=1)
    assert torch.equal(analog[0].form_matrix(), analog[1].form_matrix())
    assert not torch.equal(analog[0].get_matrix(), analog[1].get_matrix())


def test_reinitialize_walks_through_a_fixed_sequence_of_chips():
    params = hardware(PROGRAMMING_ERROR)
    first, second = (from_torch(resnet(), params, seed=1) for _ in range(2))
    seen = [conductances(first)]
    for _ in range(2):
        reinitialize(first)
        reinitialize(second)
        assert equal(conductances(first), conductances(second))
        assert not any(equal(conductances(first), old) for old in seen)
        seen.append(conductances(first))
    reinitialize(first, seed=1)
    assert equal(conductances(first), seen[0])
    synchronize(first)
    assert not equal(conductances(first), seen[0])


def test_setters_rebuild_at_once_and_edits_need_reinitialize():
    given = CrossSimParameters()
    layer = from_torch(digital(nn.Linear, OPTIONS), given, seed=1)
    given.core.rows_max = 2
    assert layer.params.core.rows_max != 2
    layer.bias_rows = 3
    assert layer.core.shape == (4, 9)
    layer.params = hardware({"core.rows_max": 4})
    assert (layer.core.Ncores, layer.seed) == (3, 1)
    layer.params.core.rows_max = 5
    assert layer.core.Ncores == 3
    layer.reinitialize()
    assert layer.core.Ncores == 2


def test_copies_hold_the_same_chip_and_live_on_their_own():
    model = from_torch(resnet(), hardware(PROGRAMMING_ERROR), bias_rows=1, seed=1)
    x = inputs((2, 3, 8, 8))
    expected, before = model(x), conductances(model)
    twin = copy.deepcopy(model)
    assert torch.equal(twin(x), expected)
    assert equal(conductances(twin), before)
    nn.init.zeros_(twin.head.weight)
    assert not torch.equal(twin(x), expected)
    assert torch.equal(model(x), expected)


def test_a_stale_layer_stays_stale_when_copied():
    layer = from_torch(digital(nn.Linear, OPTIONS), hardware(), seed=1)
    nn.init.zeros_(layer.weight)
    twin = copy.deepcopy(layer)
    assert twin.get_matrix().abs().max() < 1e-15


@pytest.mark.parametrize("move", [lambda m: m.float(), lambda m: m.to("cpu"), lambda m: m.bfloat16()])
def test_moving_the_parameters_keeps_the_chip(move):
    layer = from_torch(digital(nn.Linear, OPTIONS), hardware(PROGRAMMING_ERROR), bias_rows=1, seed=1)
    before = conductances(layer)
    moved = move(layer)
    y = moved(inputs((3, 6), moved.weight.dtype))
    assert y.dtype == moved.weight.dtype
    assert equal(conductances(moved), before)
