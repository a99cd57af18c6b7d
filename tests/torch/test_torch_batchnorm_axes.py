"""Folded BatchNorm answers inputs of every number of axes as the original network does, or refuses them like torch."""

from __future__ import annotations

import warnings
from itertools import product

import pytest
import torch
from torch import Tensor, nn
from torch_cases import hardware

from crossohm.errors import CrossOhmError
from crossohm.torch import from_torch, to_torch
from crossohm.torch.conversion.batchnorm import fold_batchnorm, see

CHANNELS, INPUTS = 4, 5
#: Layers that keep the size of what they slide over, and the normalisation of their channels.
LAYERS = {
    "linear": (lambda bias: nn.Linear(INPUTS, CHANNELS, bias=bias), nn.BatchNorm1d),
    "conv1d": (lambda bias: nn.Conv1d(INPUTS, CHANNELS, 3, padding=1, bias=bias), nn.BatchNorm1d),
    "conv2d": (lambda bias: nn.Conv2d(INPUTS, CHANNELS, 3, padding=1, bias=bias), nn.BatchNorm2d),
    "conv3d": (lambda bias: nn.Conv3d(INPUTS, CHANNELS, 3, padding=1, bias=bias), nn.BatchNorm3d),
    "transposed1d": (lambda bias: nn.ConvTranspose1d(INPUTS, CHANNELS, 3, padding=1, bias=bias), nn.BatchNorm1d),
    "transposed2d": (lambda bias: nn.ConvTranspose2d(INPUTS, CHANNELS, 3, padding=1, bias=bias), nn.BatchNorm2d),
    "transposed3d": (lambda bias: nn.ConvTranspose3d(INPUTS, CHANNELS, 3, padding=1, bias=bias), nn.BatchNorm3d),
}
#: In the first shape of each, the normalisation sees the channels of the layer; sizes are equal where they can be.
SHAPES = {
    "linear": [(3, 5), (3, CHANNELS, 5), (1, CHANNELS, 5), (CHANNELS, 5), (3, 2, 5), (5,), (2, 3, CHANNELS, 5)],
    "conv1d": [(3, 5, 4), (5, CHANNELS), (5, 3), (1, 5, 4)],
    "conv2d": [(3, 5, 4, 4), (5, CHANNELS, 4)],
    "conv3d": [(2, 5, 4, 4, 4), (5, CHANNELS, 4, 4)],
}
NORMS = [
    {"affine": True},
    {"affine": False},
    {"momentum": None},
    {"track_running_stats": False},
]


def normalised(kind: str, bias: bool = True, dtype: torch.dtype = torch.float64, **options: object) -> nn.Sequential:
    torch.manual_seed(len(kind) + bias)
    make, norm = LAYERS[kind]
    model = nn.Sequential(make(bias), norm(CHANNELS, **options), nn.ReLU()).to(dtype).eval()
    if model[1].running_mean is not None:
        model[1].running_mean.uniform_(-1, 1)
        model[1].running_var.uniform_(0.3, 3)
    if model[1].affine:
        nn.init.uniform_(model[1].weight, 0.3, 2)
        nn.init.uniform_(model[1].bias, -1, 1)
        model[1].weight.data[::2] *= -1
    return model


def shapes(kind: str) -> list[tuple[int, ...]]:
    return SHAPES[kind.replace("transposed", "conv")]


def folded(model: nn.Module, **options: object) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # some cases stay digital, which is not the point here
        return from_torch(model, hardware(), fuse_batchnorm=True, seed=1, **options)


def assert_same_answer(analog: nn.Module, model: nn.Module, x: Tensor, tolerance: float) -> None:
    """The same answer, or an error where torch has one."""
    try:
        expected = model(x)
    except (ValueError, RuntimeError):
        with pytest.raises((ValueError, RuntimeError)):
            analog(x)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        torch.testing.assert_close(analog(x), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("bias_rows", [0, 1])
@pytest.mark.parametrize("options", NORMS, ids=str)
@pytest.mark.parametrize(("kind", "bias"), list(product(LAYERS, [True, False])))
def test_every_input_is_answered_as_by_the_original(kind, bias, options, bias_rows):
    model = normalised(kind, bias, **options)
    analog = folded(model, bias_rows=bias_rows)
    for shape in shapes(kind):
        assert_same_answer(analog, model, torch.randn(shape, dtype=torch.float64), 1e-10)
        assert_same_answer(to_torch(analog), model, torch.randn(shape, dtype=torch.float64), 1e-10)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
@pytest.mark.parametrize("kind", ["linear", "conv1d", "transposed1d"])
def test_every_dtype(kind, dtype, tolerance):
    model = normalised(kind, dtype=dtype)
    for shape in shapes(kind):
        assert_same_answer(folded(model), model, torch.randn(shape, dtype=dtype), tolerance)


@pytest.mark.parametrize("kind", ["linear", "conv1d"])
def test_another_axis_is_told_once_with_the_remedy(kind):
    analog = folded(normalised(kind))
    other = torch.randn(shapes(kind)[1], dtype=torch.float64)
    with pytest.warns(RuntimeWarning, match=r"BatchNorm '1' normalises axis 1.*fuse_batchnorm=False") as told:
        analog(other)
        analog(other)
    assert len(told) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        folded(normalised(kind))(torch.randn(shapes(kind)[0], dtype=torch.float64))


@pytest.mark.parametrize("factor", [0.0, 1e-30])
@pytest.mark.parametrize("kind", ["linear", "conv1d"])
def test_what_cannot_be_divided_out_is_an_error(kind, factor):
    model = normalised(kind)
    model[1].weight.data[1] = factor
    analog = folded(model)
    proper, other = (torch.randn(shape, dtype=torch.float64) for shape in shapes(kind)[:2])
    assert_same_answer(analog, model, proper, 1e-10)
    with pytest.warns(RuntimeWarning), pytest.raises(CrossOhmError, match=r"'1'.*too small.*fuse_batchnorm=False"):
        analog(other)


@pytest.mark.parametrize("kind", ["linear", "conv1d"])
@pytest.mark.parametrize("place", [0, 1])
def test_an_example_decides(kind, place):
    model = normalised(kind)
    x = torch.randn(shapes(kind)[place], dtype=torch.float64)
    expected = model(x)
    seen = see(model, x)
    if place:
        with pytest.warns(RuntimeWarning, match="1: it normalises axis 1 of"):
            fold_batchnorm(model, seen)
    else:
        fold_batchnorm(model, seen)
    assert isinstance(model[1], nn.modules.batchnorm._BatchNorm) == bool(place)
    torch.testing.assert_close(model(x), expected)


def test_a_state_carries_what_was_folded():
    """Another network's weights come with the factors that were folded into them."""
    one, two = normalised("linear"), normalised("linear", bias=True, affine=False)
    first, second = folded(one), folded(two)
    second.load_state_dict(first.state_dict())
    assert_same_answer(second, one, torch.randn(3, CHANNELS, 5, dtype=torch.float64), 1e-10)


class Optional(nn.Module):
    """What lies between layer and norm depends on an argument that need not be given."""

    def __init__(self, when_given: bool) -> None:
        super().__init__()
        self.layer, self.norm, self.when_given = nn.Linear(INPUTS, CHANNELS), nn.BatchNorm1d(CHANNELS), when_given

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        y = self.layer(x)
        return self.norm(y.relu() if (mask is not None) == self.when_given else y)


@pytest.mark.parametrize("when_given", [True, False])
def test_arguments_that_need_not_be_given(when_given):
    torch.manual_seed(0)
    model = Optional(when_given).double().eval()
    model.norm.running_mean.uniform_(-1, 1)
    with pytest.warns(RuntimeWarning, match="norm: does not directly follow"):
        analog = from_torch(model, hardware(), fuse_batchnorm=True, seed=1)
    x = torch.randn(3, INPUTS, dtype=torch.float64)
    for arguments in ((x,), (x, x)):
        torch.testing.assert_close(analog(*arguments), model(*arguments))
