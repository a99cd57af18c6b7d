"""The layer contract, for every layer kind of `layer_cases`; and what torch's own interface adds to it."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from layer_cases import LAYERS, Case
from torch import nn

from crossohm import CrossSimParameters
from crossohm.testing.hardware import PROGRAMMING_ERROR, hardware
from crossohm.testing.layer import LayerContract
from crossohm.torch import AnalogLayer, from_torch, to_torch
from crossohm.torch.conversion.kinds import ANALOG_KINDS
from crossohm.torch.harness import TorchHarness


@pytest.fixture(params=LAYERS.values(), ids=LAYERS)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


class TestEveryLayer(LayerContract):
    harness = TorchHarness()

    @pytest.fixture(autouse=True)
    def _of_case(self, case: Case) -> None:
        self.case = case
        self.shapes, self.choices, self.rounding = case.shapes, case.choices, case.rounding

    def digital(self, dtype: str) -> nn.Module:
        return self.case.digital(getattr(torch, dtype))

    def call(self, layer: nn.Module, inputs: Any) -> Any:
        return layer(*inputs, **self.case.call)


def test_constructor_takes_the_hardware_then_torch_arguments(case):
    kind = ANALOG_KINDS[case.kind]
    ours, theirs = (list(inspect.signature(cls).parameters.values()) for cls in (kind, case.kind))
    assert ours[0].name == "params"
    if all(parameter.kind is parameter.POSITIONAL_OR_KEYWORD for parameter in theirs):
        assert [(p.name, p.default) for p in ours[1 : len(theirs) + 1]] == [(p.name, p.default) for p in theirs]
    rows = ["bias_rows"] if kind.bias_kinds == 1 else ["bias_ih_rows", "bias_hh_rows"]
    analog = kind(CrossSimParameters(), **case.options, **dict.fromkeys(rows, 2), **case.choices)
    plain = case.kind(**case.options)
    assert isinstance(analog, AnalogLayer)
    assert isinstance(analog, case.kind)
    assert set(analog.state_dict()) == {*plain.state_dict(), "_extra_state"}
    assert {k: v.shape for k, v in analog.named_parameters()} == {k: v.shape for k, v in plain.named_parameters()}
    columns = sum(matrix.core.shape[1] for matrix in analog.matrices)
    for name in rows:
        setattr(analog, name, 0)
    without = sum(matrix.core.shape[1] for matrix in analog.matrices)
    assert (columns > without) == case.options.get("bias", True)


def test_the_plain_layer_prints_and_keeps_what_torchs_does(case):
    digital = case.digital().eval()
    analog = case.analog(hardware(PROGRAMMING_ERROR), 2).eval()
    plain = to_torch(analog)
    assert repr(plain) == repr(digital)
    assert not plain.training
    assert all(plain.get_parameter(name) is not value for name, value in analog.named_parameters())
    assert vars(plain).keys() == vars(digital).keys()
    assert type(plain) is case.kind


def test_core_weights_are_the_parameters_the_arrays_hold(case):
    """Some kinds give them in another order, and None for missing biases."""
    analog = case.analog(hardware(PROGRAMMING_ERROR), 3)
    held = list(to_torch(analog, physical_weights=True).parameters())
    for part in analog.get_core_weights():
        assert part is None or any(part.shape == whole.shape and torch.equal(part, whole) for whole in held)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_gradients_do_not_depend_on_the_mode(case, training):
    harness = TorchHarness()
    analog = from_torch(case.digital().train(training), hardware(), 1, seed=1, **case.choices)
    digital = case.digital().train(training)
    found, expected = (
        harness.gradients(layer, case.inputs(), lambda module, x: module(*x, **case.call))
        for layer in (analog, digital)
    )
    for ours, theirs in zip(found, expected, strict=True):
        assert abs(ours - theirs).max() < 1e-11 * max(1.0, abs(theirs).max())
