"""What is hard in networks that others wrote keeps the laws of conversion.

`benchmarks/any_network.py` asks the originals.
"""

from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from hard_networks import HARD, GroupedExperts, written
from torch import Tensor, nn
from torch_cases import PROGRAMMING_ERROR, hardware, relative_error

from crossohm import calibrate
from crossohm.torch import TorchNetwork, conversion_report, from_torch, to_torch
from crossohm.torch.conversion.trial import called_with, tensors_in

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning", "ignore::FutureWarning")


@pytest.fixture(params=HARD)
def network(request: pytest.FixtureRequest) -> tuple[nn.Module, Any]:
    torch.manual_seed(4)
    model, example = HARD[request.param]()
    return model.double().eval(), doubled(example)


def doubled(example: Any) -> Any:
    if isinstance(example, dict):
        return {name: value.double() for name, value in example.items()}
    return tuple(value.double() if value.is_floating_point() else value for value in example)


def answer(model: nn.Module, example: Any) -> Tensor:
    """All that the model puts out."""
    return torch.cat([found.flatten() for found in tensors_in(called_with(model, example))])


def test_ideal_hardware_changes_nothing(network):
    """Neither answers nor gradients; no product with weights stays digital; the way back is exact."""
    model, example = network
    analog = from_torch(model, seed=1, example=example)
    outputs = {}
    for name, one in (("analog", analog), ("digital", model)):
        outputs[name] = answer(one, example)
        outputs[name].square().sum().backward()
    assert relative_error(outputs["analog"], outputs["digital"]) < 1e-12
    expected = {name: value.grad for name, value in model.named_parameters() if value.grad is not None}
    found = {name: value.grad for name, value in analog.named_parameters() if value.grad is not None}
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-8, atol=1e-9)
    plain = to_torch(analog)
    assert plain.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in plain.state_dict().items())
    assert torch.equal(answer(plain, example), answer(model, example))


@torch.no_grad()
def test_a_saved_chip_answers_the_same(network):
    model, example = network
    chip, other = (from_torch(model, hardware(PROGRAMMING_ERROR), seed=seed, example=example) for seed in (1, 2))
    file = io.BytesIO()
    torch.save(chip.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    found = answer(chip, example)
    assert torch.equal(answer(other, example), found)
    assert relative_error(found, answer(model, example)) > 1e-3


def test_calibration_takes_the_model_as_it_is(network):
    model, example = network
    found = calibrate(model, example if isinstance(example, dict) else [example], hardware())
    analog = from_torch(model, found.hardware, seed=1, example=example)
    assert relative_error(answer(analog, example), answer(model, example)) < 1e-12


@pytest.mark.skipif(not hasattr(torch.nn.functional, "grouped_mm"), reason="this torch has no product of groups")
def test_groups_of_tokens_meet_the_matrix_of_their_expert():
    torch.manual_seed(4)
    model, x = GroupedExperts(size=8, experts=5), torch.randn(6, 8)
    analog = from_torch(model, seed=1, example=x)
    assert conversion_report(analog, x).share == 1
    for one in (model, analog):
        one(x).square().sum().backward()
    torch.testing.assert_close(analog(x), model(x), rtol=1e-5, atol=1e-5)
    for (name, found), (other, expected) in zip(analog.named_parameters(), model.named_parameters(), strict=True):
        assert name == other
        torch.testing.assert_close(found.grad, expected.grad, rtol=1e-5, atol=1e-5)
    chip = from_torch(model, hardware(PROGRAMMING_ERROR), seed=1, example=x)
    assert relative_error(chip(x), model(x)) > 1e-3


def test_results_that_a_network_keeps_are_copied():
    """As LeViT keeps biases between passes, which autograd knows as results."""

    class Keeping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.table, self.kept = nn.Linear(4, 4), nn.Parameter(torch.randn(4)), {}

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x) + self.kept.setdefault("bias", 2 * self.table)

    model, x = Keeping(), torch.randn(3, 4)
    expected = model(x)
    torch.testing.assert_close(from_torch(model, seed=1, example=x)(x), expected)


@torch.no_grad()
def test_generation_with_a_cache_writes_the_digital_tokens():
    torch.manual_seed(4)
    model, (numbers,) = HARD["gpt2"]()
    analog = from_torch(model.eval(), seed=1, example=numbers)
    assert torch.equal(written(analog, numbers, 8), written(model, numbers, 8))


def test_calibration_has_ranges_for_products_of_code_and_chips_have_their_names():
    """In the same order, and without a word of digital products."""
    torch.manual_seed(4)
    model, (x,) = HARD["eva"]()
    network = TorchNetwork(model).seeing(x)
    assert network.convertible == ("qkv.weight_product", "wide", "narrow")
    chip = network.on_hardware([hardware(PROGRAMMING_ERROR)] * 3, seed=1)
    with chip.compared(network.folded()) as found:
        chip.outputs(x.numpy())
    assert tuple(chip.layers) == network.convertible
    assert found.keys() == set(network.convertible)
    ranges = calibrate(model, x.numpy(), hardware()).hardware["qkv.weight_product"].core.mapping.inputs.mvm
    assert ranges.max == pytest.approx(float(x.abs().max()))
