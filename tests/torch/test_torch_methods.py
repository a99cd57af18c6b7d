"""Products run on arrays however their code is reached: by methods past the call of the module, and by checkpoints."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import CheckpointError, checkpoint
from torch_cases import hardware

from crossohm import UnsupportedError
from crossohm.torch import from_torch, to_torch
from crossohm.torch.products.routing import LedMethod

X = torch.linspace(-1, 1, 12).reshape(3, 4)


class Encoder(nn.Module):
    """Answers by a method, which is also called in other ways."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.weight, self.way = nn.Parameter(torch.randn(4, 4, generator=torch.Generator().manual_seed(3))), way

    def encode(self, x: Tensor, scale: float = 2.0) -> Tensor:
        return F.linear(x, self.weight * scale).tanh()

    def multiply(self, x: Tensor, kernel: Tensor) -> Tensor:
        return F.linear(x, kernel).tanh()

    def forward(self, x: Tensor) -> Tensor:
        return WAYS[self.way](self, x)


WAYS: dict[str, Callable[[Encoder, Tensor], Tensor]] = {
    "method": lambda net, x: net.encode(x),
    "reentrant": lambda net, x: checkpoint(net.encode, x, use_reentrant=True),
    "checkpoint": lambda net, x: checkpoint(net.encode, x, use_reentrant=False),
    "reentrant-function": lambda net, x: checkpoint(lambda y: net.encode.__wrapped__(y), x, use_reentrant=True),
    "reentrant-kernel": lambda net, x: checkpoint(net.multiply, x, 2 * net.weight, use_reentrant=True),
    "function": lambda net, x: checkpoint(lambda y: F.linear(y, 2 * net.weight).tanh(), x, use_reentrant=False),
}


def analog(way: str) -> Encoder:
    """On hardware that changes answers and gradients."""
    model = Encoder(way)
    plain = Encoder("method") if way == "reentrant-function" else model  # which has no method to unwrap
    found: Encoder = from_torch(plain, hardware({"xbar.device.cell_bits": 2}), seed=1, example=X)
    found.way = way
    return found


def gradients(net: nn.Module) -> list[Tensor]:
    x = X.clone().requires_grad_()
    net(x).square().sum().backward()
    return [x.grad, net.weight.grad]


@pytest.mark.parametrize("way", ["method", "reentrant", "checkpoint"])
def test_methods_are_led_to_the_arrays_wherever_they_are_called(way):
    net = analog(way)
    assert {name for name, value in vars(net).items() if isinstance(value, LedMethod)} == {"encode", "forward"}
    wanted = net(X)
    assert not torch.allclose(wanted, Encoder("method")(X), rtol=1e-3)
    for twin in (net, copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(twin.encode(X), wanted)
        assert torch.equal(twin.forward(X), wanted)
    assert all(map(torch.equal, gradients(net), gradients(analog("method"))))
    assert inspect.signature(net.encode) == inspect.signature(Encoder(way).encode)


def test_a_method_that_fails_leaves_nothing():
    net = analog("method")
    with pytest.raises(RuntimeError):
        net.encode(X[:, :3])
    assert torch.equal(net.encode(X), net(X))


def test_the_way_back_has_the_methods_of_the_class():
    model, plain = Encoder("method"), to_torch(analog("method"))
    assert vars(plain).keys() == vars(model).keys()
    assert torch.equal(plain.encode(X), model.encode(X))


@pytest.mark.parametrize("way", ["reentrant-function", "reentrant-kernel"])
def test_what_backward_would_compute_digitally_is_refused(way):
    net, x = analog(way), X.clone().requires_grad_()
    with pytest.raises(UnsupportedError, match="'weight_product' is used in a function that"):
        net(x)
    with torch.no_grad():
        assert torch.equal(net(X), analog("method")(X))


def test_torch_refuses_what_computes_something_else_again():
    with pytest.raises(CheckpointError):
        gradients(analog("function"))
