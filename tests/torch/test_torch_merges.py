"""Networks with several inputs and outputs, and with merges that do not commute: arrays keep who is who."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch_cases import PROGRAMMING_ERROR, hardware, inputs, relative_error

from crossohm.torch import analog_modules, from_torch, to_torch


class Branches(nn.Module):
    """Two inputs, layers in containers inside containers, a difference and a product of matrices, three outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Sequential(nn.Linear(6, 4), nn.Sequential(nn.Tanh(), nn.ModuleList([nn.Linear(4, 4)])[0]))
        self.right = nn.ModuleDict({"first": nn.Linear(5, 4), "second": nn.Linear(4, 4)})
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor, z: Tensor, *, scale: float = 1.0) -> tuple[Tensor, dict[str, Tensor | list[Tensor]]]:
        a, b = self.left(x), self.right["second"](self.right["first"](z).relu())
        return self.head(torch.cat([a, b], dim=-1)), {"difference": scale * a - b, "products": [a @ b.mT, a / (2 + b)]}


def results(y: tuple[Tensor, dict[str, Tensor | list[Tensor]]]) -> list[Tensor]:
    first, others = y
    return [first, others["difference"], *others["products"]]


@pytest.fixture
def model() -> Branches:
    torch.manual_seed(5)
    return Branches().double()


ARGUMENTS = (inputs((3, 7, 6)), inputs((3, 7, 5)) * 0.9)


@pytest.mark.parametrize("bias_rows", [0, 2])
def test_ideal_arrays_keep_inputs_outputs_and_order(model, bias_rows):
    analog = from_torch(model, hardware({"core.rows_max": 3}), bias_rows, seed=1)
    assert len(analog_modules(analog)) == 5
    expected = results(model(*ARGUMENTS, scale=0.5))
    for ours, theirs in zip(results(analog(*ARGUMENTS, scale=0.5)), expected, strict=True):
        assert relative_error(ours, theirs) < 1e-12
    swapped = results(analog(*ARGUMENTS, scale=2.0))
    assert relative_error(swapped[1], expected[1]) > 0.1


def test_the_way_back(model):
    analog = from_torch(model, hardware(PROGRAMMING_ERROR), 1, seed=1)
    for physical, reference in ((False, model), (True, analog)):
        plain = to_torch(analog, physical_weights=physical)
        assert not analog_modules(plain)
        for ours, theirs in zip(results(plain(*ARGUMENTS)), results(reference(*ARGUMENTS)), strict=True):
            assert relative_error(ours, theirs) < 1e-12


def test_gradients_reach_both_inputs(model):
    analog = from_torch(model, hardware(), 1, seed=1)
    grads = []
    for network in (model, analog):
        given = [value.clone().requires_grad_() for value in ARGUMENTS]
        sum(y.square().sum() for y in results(network(*given))).backward()
        grads.append([value.grad for value in given])
    for ours, theirs in zip(*grads, strict=True):
        assert relative_error(ours, theirs) < 1e-11


def test_lists_of_the_caller_stay_as_they_are(model):
    listed, rows = [hardware({"core.rows_max": 2 + i}) for i in range(5)], [0, 1, 2, 3, 4]
    kept = [params.copy() for params in listed]
    analog = from_torch(model, listed, rows, seed=1)
    analog_modules(analog)[0].params.core.rows_max = 50
    analog_modules(analog)[1].bias_rows = 7
    assert (listed, rows) == (kept, [0, 1, 2, 3, 4])
