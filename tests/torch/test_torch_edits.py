"""Edits of a description that was given have no effect, and that is said; the ways that have one are followed."""

from __future__ import annotations

import copy
import gc
import pickle
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from layer_cases import LAYERS
from torch import nn
from torch_cases import PROGRAMMING_ERROR, hardware

from crossohm import CrossSimParameters, ParameterError, UnknownNameError
from crossohm.torch import AnalogLinear, analog_modules, from_torch, reinitialize, synchronize

PATH = "xbar.device.programming_error.magnitude"


def noisy() -> CrossSimParameters:
    return hardware(PROGRAMMING_ERROR)


def edit(params: CrossSimParameters) -> None:
    params.update({PATH: 0.2})


def model() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 3))


def said(function: Callable[[], Any]) -> list[str]:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        function()
    assert all(warning.category is UserWarning and warning.filename == __file__ for warning in seen)
    return [str(warning.message) for warning in seen]


#: How descriptions are given, and the layers that have the first of them.
GIVEN: dict[str, tuple[Callable[[list[CrossSimParameters]], Any], str]] = {
    "one": (lambda p: p[0], "0, 2"),
    "list": (lambda p: p, "0"),
    "table": (lambda p: {"2": p[0], "*": p[1]}, "2"),
    "per-array": (lambda p: [[p[0]], p[1]], "0"),
    "per-matrix": (lambda p: [p[1], [[p[0]]]], "2"),
}


@pytest.mark.parametrize("kind", GIVEN)
def test_edits_of_what_was_given_are_named_once(kind):
    arrange, names = GIVEN[kind]
    given = [noisy(), noisy()]
    analog = from_torch(model(), arrange(given), seed=1)
    assert said(lambda: reinitialize(analog, seed=1)) == []
    before = [layer.get_matrix() for layer in analog_modules(analog)]
    edit(given[0])
    (found,) = said(lambda: reinitialize(analog, seed=1))
    assert f"given for {names} was edited since ({PATH} from 0.05 to 0.2)" in found
    assert "reinitialize(model, params=...)" in found
    assert all(torch.equal(layer.get_matrix(), m) for layer, m in zip(analog_modules(analog), before, strict=True))
    assert said(lambda: reinitialize(analog)) == []
    given[0].update({PATH: 0.3})
    (found,) = said(lambda: reinitialize(analog))
    assert "from 0.2 to 0.3" in found


@pytest.mark.parametrize("name", [name for name in LAYERS if "-" not in name])
def test_layers_of_every_kind_notice(name):
    params = noisy()
    layer = LAYERS[name].analog(params, 1)
    edit(params)
    (found,) = said(lambda: layer.reinitialize(1))
    assert f"given for core was edited since ({PATH}" in found
    assert said(lambda: layer.reinitialize(1)) == []


def test_layers_that_are_made_directly_notice():
    params = noisy()
    layer = AnalogLinear(params, 4, 4, seed=1)
    edit(params)
    assert len(said(layer.reinitialize)) == 1
    other = noisy()
    layer.params = other
    edit(params)
    assert said(layer.reinitialize) == []
    edit(other)
    assert len(said(layer.reinitialize)) == 1


def test_other_ways_to_edit_have_their_effect_silently():
    params = noisy()
    wanted = noisy()
    edit(wanted)
    expected = [layer.get_matrix() for layer in analog_modules(from_torch(model(), wanted, seed=1))]

    def edited_layers(analog: nn.Module) -> None:
        for layer in analog_modules(analog):
            edit(layer.params)
        reinitialize(analog, seed=1)

    def assigned(analog: nn.Module) -> None:
        for layer in analog_modules(analog):
            layer.params = wanted

    ways: list[Callable[[nn.Module], None]] = [
        edited_layers,
        assigned,
        lambda analog: reinitialize(analog, 1, wanted),
        lambda analog: reinitialize(analog, 1, [wanted, wanted]),
        lambda analog: reinitialize(analog, 1, {"*": wanted}),
        lambda analog: [layer.reinitialize(1, wanted) for layer in analog_modules(analog)],
    ]
    for way in ways:
        analog = from_torch(model(), params, seed=1)
        assert said(lambda way=way, analog=analog: way(analog)) == []
        assert all(
            torch.equal(layer.get_matrix(), m) for layer, m in zip(analog_modules(analog), expected, strict=True)
        )


def test_a_loop_over_an_edited_description_works_when_it_is_passed():
    params = hardware()
    analog = from_torch(nn.Linear(8, 4), params, seed=1)
    seen = []
    for bits in (2, 3, 4):
        params.xbar.device.cell_bits = bits
        assert said(lambda: reinitialize(analog, seed=1, params=params)) == []
        seen.append(analog.get_matrix())
    assert not torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[1], seen[2])


def test_layers_without_a_match_keep_their_hardware():
    analog = from_torch(model(), noisy(), bias_rows=1, seed=1)
    kept = analog[0].get_matrix()
    reinitialize(analog, 1, {"2": hardware({"core.rows_max": 2})})
    assert torch.equal(analog[0].get_matrix(), kept)
    assert [layer.params.core.rows_max for layer in analog_modules(analog)] == [noisy().core.rows_max, 2]
    assert [layer.bias_rows for layer in analog_modules(analog)] == [1, 1]
    with pytest.raises(ParameterError, match="list of 3"):
        reinitialize(analog, 1, [noisy()] * 3)
    with pytest.raises(UnknownNameError, match="layer9"):
        reinitialize(analog, 1, {"layer9": noisy()})


def test_a_handle_on_the_hardware_of_a_layer_stays_one():
    layer = from_torch(nn.Linear(4, 4), noisy(), seed=1)
    own = layer.params
    layer.bias_rows = 2
    own.core.rows_max = 3
    layer.reinitialize(1)
    assert layer.core.Ncores == 2


def test_copies_notice_and_saved_models_have_nothing_to_notice():
    params = noisy()
    analog = from_torch(model(), params, seed=1)
    twin, saved = copy.deepcopy(analog), pickle.loads(pickle.dumps(analog))
    edit(params)
    assert len(said(lambda: reinitialize(twin))) == 1
    assert said(lambda: reinitialize(saved)) == []
    assert len(said(lambda: reinitialize(analog))) == 1


def test_descriptions_are_not_kept_alive():
    params = noisy()
    analog = from_torch(model(), params, seed=1)
    alive = weakref.ref(params)
    del params
    gc.collect()
    assert alive() is None
    reinitialize(analog)
    synchronize(analog)
