"""Function transforms of every kind of layer, and a layer with layers inside.

`test_layer_contract` has what every single layer keeps.
"""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch_cases import PROGRAMMING_ERROR, hardware

from crossohm import CrossSimParameters, StaleArraysError
from crossohm.torch import from_torch

pytestmark = pytest.mark.filterwarnings("ignore:layers with weights that stay digital:RuntimeWarning")

DTYPE = torch.float64
KINDS: dict[str, tuple[Any, tuple[tuple[int, ...], ...]]] = {
    "grouped": (lambda: nn.Conv2d(4, 6, 2, groups=2, dtype=DTYPE), ((2, 4, 5, 5),)),
    "transposed": (lambda: nn.ConvTranspose2d(4, 6, 2, stride=2, groups=2, dtype=DTYPE), ((2, 4, 3, 3),)),
    "rnn-cell": (lambda: nn.RNNCell(5, 4, dtype=DTYPE), ((3, 5),)),
    "gru-cell": (lambda: nn.GRUCell(5, 4, dtype=DTYPE), ((3, 5),)),
    "lstm": (lambda: nn.LSTM(5, 4, 2, bidirectional=True, dtype=DTYPE), ((6, 3, 5),)),
    "lstm-projected": (lambda: nn.LSTM(5, 4, proj_size=3, dtype=DTYPE), ((6, 3, 5),)),
    "gru": (lambda: nn.GRU(5, 4, 2, dtype=DTYPE), ((6, 3, 5),)),
    "attention": (lambda: nn.MultiheadAttention(8, 2, dtype=DTYPE), ((6, 3, 8),) * 3),
    "attention-sizes": (
        lambda: nn.MultiheadAttention(8, 2, kdim=6, vdim=4, dtype=DTYPE), ((6, 3, 8), (6, 3, 6), (6, 3, 4)),
    ),
    "encoder": (lambda: nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, dtype=DTYPE).eval(), ((6, 3, 8),)),
}  # fmt: skip


@pytest.fixture
def encoder() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return layer_and_inputs("encoder")


@pytest.fixture(params=KINDS)
def case(request: pytest.FixtureRequest) -> tuple[nn.Module, tuple[Tensor, ...]]:
    return layer_and_inputs(request.param)


def layer_and_inputs(name: str) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A torch layer without zeros among its parameters, and its inputs."""
    make, shapes = KINDS[name]
    torch.manual_seed(3)
    layer = make()
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -0.5, 0.5)
    return layer, tuple(torch.rand(shape, dtype=DTYPE) * 2 - 1 for shape in shapes)


def first(y: Any) -> Tensor:
    return y if isinstance(y, Tensor) else y[0]


@pytest.mark.parametrize("bias_rows", [0, 2])
def test_every_hidden_change_reaches_the_arrays(encoder, bias_rows):
    layer, x = encoder
    analog = from_torch(layer, hardware(), bias_rows, seed=1)
    twins = dict(analog.named_parameters())
    for name, parameter in layer.named_parameters():
        for value in (parameter, twins[name]):
            value.data.view(-1)[::3] *= 0.9
        torch.testing.assert_close(first(analog(*x)), first(layer(*x)), rtol=1e-10, atol=1e-11)


def test_the_error_policy_names_the_parameter(encoder):
    layer, x = encoder
    analog = from_torch(layer, hardware(), 2, seed=1, sync="error")
    first(analog(*x))
    analog.get_parameter(next(iter(dict(layer.named_parameters())))).data.mul_(1.1)
    with pytest.raises(StaleArraysError, match=r"^(weight|in_proj_weight|q_proj_weight)\w* of Analog"):
        first(analog(*x))


@pytest.mark.parametrize("route", ["state", "copy", "pickle"])
def test_the_chip_is_kept(encoder, route):
    layer, x = encoder
    analog = from_torch(layer, hardware(PROGRAMMING_ERROR), 2, seed=1)
    file = io.BytesIO()
    if route == "state":
        twin = from_torch(layer, CrossSimParameters(), 0, seed=5)
        for parameter in twin.parameters():
            nn.init.ones_(parameter)
        torch.save(analog.state_dict(), file)
        file.seek(0)
        twin.load_state_dict(torch.load(file, weights_only=True))
    elif route == "copy":
        twin = copy.deepcopy(analog)
    else:
        torch.save(analog, file)
        file.seek(0)
        twin = torch.load(file, weights_only=False)
    assert torch.equal(first(twin(*x)), first(analog(*x)))
    assert analog.load_state_dict(layer.state_dict(), strict=True) == ([], [])


@pytest.mark.parametrize("gradient", ["programmed", "chain"])
def test_gradients_are_the_ideal_ones_where_nothing_clips(encoder, gradient):
    layer, x = encoder
    apart = hardware({"xbar.array.Icol_max": 1e6, "xbar.device.Rmax": 1e5})
    analog = from_torch(layer, apart, 2, seed=1, gradient=gradient)
    for module in (layer, analog):
        first(module(*x)).square().sum().backward()
    for ours, theirs in zip(analog.parameters(), layer.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-9, atol=1e-11)


@pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")  # torch's own attention under vmap
def test_transforms(case):
    layer, x = case
    analog = from_torch(layer, hardware(PROGRAMMING_ERROR), 2, seed=1)
    several = tuple(torch.stack([value, value / 2]) for value in x)
    found = vmap(lambda *one: first(analog(*one)))(*several)
    expected = torch.stack([first(analog(*(value[i] for value in several))) for i in range(2)])
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-13)

    own = {name: value.detach() for name, value in analog.named_parameters()}
    functional = grad(lambda p: first(functional_call(analog, p, x)).square().sum())(own)
    first(analog(*x)).square().sum().backward()
    for name, value in analog.named_parameters():
        torch.testing.assert_close(functional[name], value.grad, rtol=1e-12, atol=1e-13)
