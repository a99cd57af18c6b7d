"""Kinds made as they are met: subclasses that compute as their base does, and layers of other packages."""

from __future__ import annotations

import copy
import io
import sys
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn
from torch_cases import PROGRAMMING_ERROR, hardware

from crossohm.torch import analog_modules, from_torch, to_torch


class Square(nn.Linear):
    """As many outputs as inputs."""

    def __init__(self, size: int) -> None:
        super().__init__(size, size)
        self.size = size

    def twice(self, x: Tensor) -> Tensor:
        return 2 * self(x)


class Causal(nn.Conv1d):
    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 3)


class Shifted(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input) + 1


class Guarded(nn.Conv1d):
    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return super()._conv_forward(input, weight.tanh(), bias)


class Conv1D(nn.Module):
    """As the layer of that name in transformers."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(4, 3)), nn.Parameter(torch.randn(3))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias, x.view(-1, 4), self.weight).view(*x.shape[:-1], 3)


@pytest.mark.parametrize(("layer", "shape"), [(Square(4), (2, 4)), (Causal(4), (2, 4, 5))])
def test_subclasses_that_inherit_forward_are_converted(layer, shape):
    analog, x = from_torch(nn.Sequential(layer), hardware(PROGRAMMING_ERROR), seed=1), torch.rand(shape)
    assert isinstance(analog[0], type(layer)) and len(analog_modules(analog)) == 1
    assert not torch.equal(analog(x), layer(x))
    torch.testing.assert_close(from_torch(nn.Sequential(layer), seed=1)(x), layer(x))
    assert torch.equal(copy.deepcopy(analog)(x), analog(x))
    file = io.BytesIO()
    torch.save(analog, file)
    file.seek(0)
    assert torch.equal(torch.load(file, weights_only=False)(x), analog(x))
    plain = to_torch(analog)
    assert type(plain[0]) is type(layer)
    assert torch.equal(plain(x), layer(x))


def test_what_a_subclass_adds_stays():
    analog, x = from_torch(nn.Sequential(Square(4)), seed=1), torch.rand(2, 4)
    assert analog[0].size == 4
    torch.testing.assert_close(analog[0].twice(x), 2 * analog(x))


@pytest.mark.parametrize("layer", [Shifted(4, 4), Guarded(4, 4, 3)])
def test_subclasses_that_compute_something_else_stay_digital(layer):
    with pytest.warns(RuntimeWarning, match="stay digital"):
        assert analog_modules(from_torch(nn.Sequential(layer), seed=1)) == []


def test_layers_of_other_packages_are_known_by_name(monkeypatch):
    package = ModuleType("transformers.pytorch_utils")
    kind = type("Conv1D", (Conv1D,), {"__module__": package.__name__, "__qualname__": "Conv1D"})
    package.Conv1D = kind
    monkeypatch.setitem(sys.modules, package.__name__, package)
    model, x = nn.Sequential(nn.Linear(4, 4), kind()), torch.rand(2, 5, 4)
    for rows in (0, 1):
        analog = from_torch(model, bias_rows=rows, seed=1)
        assert len(analog_modules(analog)) == 2
        torch.testing.assert_close(analog(x), model(x))
    coarse = from_torch(model, hardware({"xbar.device.cell_bits": 2}), seed=1)
    held = to_torch(coarse, physical_weights=True)
    assert type(held[1]) is kind
    torch.testing.assert_close(held(x), coarse(x))
    fresh = from_torch(model, seed=1)
    fresh.load_state_dict(coarse.state_dict())
    assert torch.equal(fresh(x), coarse(x))
    assert "AnalogConv1D" in repr(copy.deepcopy(coarse))
