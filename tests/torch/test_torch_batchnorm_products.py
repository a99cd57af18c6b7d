"""Folding of BatchNorm into products of modules' own code, computed weights, and through changes of shape."""

from __future__ import annotations

import copy
import io
import re
import sys
import warnings
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
from test_torch_batchnorm import norms, randomised
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm
from torch_cases import CONVERTERS, PROGRAMMING_ERROR, hardware, inputs, relative_error

from crossohm import ShapeError, calibrate
from crossohm.torch import TorchNetwork, analog_modules, conversion_report, from_torch, reinitialize, to_torch


class SamePadded(nn.Conv2d):
    """As timm's Conv2dSame: pads as much as the size of the input asks for, and calls torch's function."""

    def forward(self, x: Tensor) -> Tensor:
        size = max((-(-x.shape[-1] // 2) - 1) * 2 + 3 - x.shape[-1], 0)
        x = F.pad(x, [size // 2, size - size // 2, size // 2, size - size // 2])
        return F.conv2d(x, self.weight, self.bias, self.stride, (0, 0), self.dilation, self.groups)


class LinearNorm(nn.Module):
    """As in timm's LeViT: tokens are normalised one by one."""

    def __init__(self, bias: bool = False) -> None:
        super().__init__()
        self.linear, self.bn = nn.Linear(4, 6, bias=bias), nn.BatchNorm1d(6)

    def forward(self, x: Tensor) -> Tensor:
        x = self.linear(x)
        return self.bn(x.flatten(0, 1)).reshape_as(x)


class Swapped(LinearNorm):
    """Tokens lie along the last axis while they are normalised."""

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.linear(x).transpose(1, 2)).mT


class Positions(nn.Module):
    """As patch embeddings: a convolution's positions become tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.flatten, self.norm = nn.Conv2d(2, 6, 2, 2), nn.Flatten(2), nn.BatchNorm1d(6)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.flatten(self.conv(x)))


class Matmul(nn.Module):
    """A matrix of the module's own, as a product of torch."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel, self.norm = nn.Parameter(torch.randn(4, 6)), nn.BatchNorm1d(6)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x @ self.kernel)


class Heads(Matmul):
    """Rows of the matrix are kept by head."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(2, 3, 4))

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(F.linear(x, self.kernel.reshape(6, 4)))


class Transposed(nn.Module):
    """A grouped transposed convolution as a function, its bias beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel, self.offset = nn.Parameter(torch.randn(2, 3, 2, 2)), nn.Parameter(torch.randn(6))
        self.norm = nn.BatchNorm2d(6)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(F.conv_transpose2d(x, self.kernel, self.offset, stride=2, groups=2))


def behind(layer: nn.Module, rank: int = 2) -> nn.Module:
    return nn.Sequential(layer, (nn.BatchNorm1d if not rank else nn.BatchNorm2d)(6), nn.ReLU())


IMAGE, VECTORS, TOKENS = (3, 2, 6, 6), (5, 4), (3, 5, 4)
FOLDED = {
    "same-padded": (lambda: behind(SamePadded(2, 6, 3, 2, bias=False)), IMAGE),
    "same-padded-bias": (lambda: behind(SamePadded(2, 6, 3, 2, groups=2)), IMAGE),
    "linear-norm": (LinearNorm, TOKENS),
    "linear-norm-bias": (lambda: nn.Sequential(LinearNorm(bias=True), nn.GELU()), TOKENS),
    "swapped": (Swapped, TOKENS),
    "positions": (Positions, IMAGE),
    "matmul": (Matmul, VECTORS),
    "heads": (Heads, VECTORS),
    "transposed": (Transposed, IMAGE),
    "pruned": (lambda: behind(prune.l1_unstructured(nn.Conv2d(2, 6, 3), "weight", 0.5)), IMAGE),
    "pruned-linear": (lambda: behind(prune.l1_unstructured(nn.Linear(4, 6, bias=False), "weight", 0.5), 0), VECTORS),
    "weight-norm": (lambda: behind(weight_norm(nn.Conv2d(2, 6, 3))), IMAGE),
    "weight-norm-transposed": (lambda: behind(weight_norm(nn.ConvTranspose2d(2, 6, 3), dim=1)), IMAGE),
    "parametrized": (lambda: behind(parametrizations.weight_norm(nn.Linear(4, 6)), 0), VECTORS),
}

pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated:FutureWarning")


def built(case: str) -> tuple[nn.Module, Tensor]:
    make, shape = FOLDED[case]
    torch.manual_seed(3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return randomised(make()), inputs(shape)


def folded(model: nn.Module, x: Tensor, params: object = None) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        analog = from_torch(model, params or hardware(), fuse_batchnorm=True, seed=1, example=x)
    assert norms(analog) == []
    return analog


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("case", FOLDED)
def test_answers_are_those_of_the_model_there_and_back(case, dtype, tolerance):
    model, x = built(case)
    model, x = model.to(dtype), x.to(dtype)
    state = copy.deepcopy(model.state_dict())
    expected = model(x)
    assert [norm.reason for norm in conversion_report(model, x).norms] == [""]
    analog = folded(model, x)
    assert len(analog_modules(analog)) == 1
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert relative_error(analog(x), expected) < tolerance
    for other in (x[:1], torch.cat([x, x])):
        assert relative_error(analog(other), model(other)) < tolerance
    back = to_torch(analog)
    assert analog_modules(back) == []
    assert relative_error(back(x), expected) < tolerance
    assert torch.equal(to_torch(from_torch(back, hardware(), seed=1, example=x))(x), back(x))


@pytest.mark.parametrize("case", FOLDED)
def test_gradients_are_those_of_the_folded_network(case):
    """Of its own parameters, as after any folding, and of the inputs, which are those of the original as well."""
    model, x = built(case)
    analog = folded(model, x)
    back = to_torch(analog)
    found = []
    for network in (model, analog, back):
        given = x.clone().requires_grad_()
        network(given).square().sum().backward()
        found.append((given.grad, {name: value.grad for name, value in network.named_parameters()}))
    (original, _), (ours, own), (plain, wanted) = found
    assert relative_error(ours, original) < 1e-12
    assert relative_error(ours, plain) < 1e-12
    assert own.keys() == wanted.keys()
    assert all(relative_error(own[name], wanted[name]) < 1e-10 for name in own if wanted[name].abs().max() > 1e-10)


@pytest.mark.parametrize("case", FOLDED)
def test_training_goes_on_from_the_folded_network(case):
    model, x = built(case)
    analog = folded(model, x)
    back = to_torch(analog)
    for network in (analog, back):
        network.train()
        optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
        for _ in range(2):
            optimizer.zero_grad()
            network(x).square().mean().backward()
            optimizer.step()
    assert relative_error(analog(x), back(x)) < 1e-10


@pytest.mark.parametrize("case", FOLDED)
def test_a_saved_chip_is_the_same(case):
    model, x = built(case)
    analog = folded(model, x, hardware(PROGRAMMING_ERROR))
    assert relative_error(analog(x), model(x)) > 1e-6
    with torch.no_grad():  # torch copies no weights that autograd knows as results
        expected = analog(x)
        assert torch.equal(copy.deepcopy(analog)(x), expected)
        if case != "parametrized":  # torch saves no such modules
            file = io.BytesIO()
            torch.save(analog, file)
            file.seek(0)
            assert torch.equal(torch.load(file, weights_only=False)(x), expected)
    other = folded(model, x, hardware(PROGRAMMING_ERROR))
    reinitialize(other, 5)
    other.load_state_dict(analog.state_dict())
    assert torch.equal(to_torch(other)(x), to_torch(analog)(x))


@pytest.mark.parametrize("case", ["same-padded", "linear-norm", "pruned", "matmul", "parametrized"])
def test_calibrated_hardware_remembers(case):
    model, x = built(case)
    model, x = model.float(), x.float()
    network = TorchNetwork(model).seeing(x)
    assert relative_error(torch.from_numpy(network.folded().outputs(x.numpy())), model(x)) < 1e-5
    found = calibrate(model, x.numpy(), hardware(CONVERTERS))
    assert [layer.batchnorm_folded for layer in found.layers.values()] == [True]
    analog = from_torch(model, found.hardware, seed=1, example=x)
    assert norms(analog) == []
    plain = calibrate(model, x.numpy(), hardware(CONVERTERS), fuse_batchnorm=False)
    assert len(norms(from_torch(model, plain.hardware, seed=1, example=x))) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        ours = relative_error(analog(x), model(x))
    assert ours < 0.2


def test_what_is_added_is_like_the_kernel():
    """Of its dtype, and trained if it is; results keep theirs."""
    torch.manual_seed(2)
    model, x = randomised(Matmul()).bfloat16(), inputs(VECTORS).bfloat16()
    model.norm.float()
    model.kernel.requires_grad_(False)
    analog = folded(model, x)
    assert (analog.norm.bias.dtype, analog.norm.bias.requires_grad) == (torch.bfloat16, False)
    assert analog(x).dtype == model(x).dtype == torch.bfloat16
    assert relative_error(analog(x), model(x)) < 2e-2
    assert folded(randomised(Matmul()), x.double()).norm.bias.requires_grad


class Tied(Matmul):
    """The matrix is used once more."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + F.linear(x, self.kernel.mT)


class CalledToo(nn.Module):
    """The kernel of a function is that of a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.norm = nn.Linear(4, 6), nn.BatchNorm1d(6)
        self.own = self.linear.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(F.linear(x, self.own)) + self.linear(x)


class SharedBias(Transposed):
    """The bias is added once more."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + self.offset.sum()


class ComputedBias(Transposed):
    """The bias is computed."""

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(F.conv_transpose2d(x, self.kernel, self.offset.tanh(), stride=2, groups=2))


class Standardised(nn.Conv2d):
    """As timm's StdConv2d: what a row is multiplied by has no effect."""

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean([1, 2, 3], keepdim=True)
        return F.conv2d(x, weight / weight.std([1, 2, 3], keepdim=True), self.bias)


class Both(LinearNorm):
    """What is normalised is also an answer."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.linear(x)
        return self.bn(x.flatten(0, 1)).reshape_as(x) + x


class ByToken(LinearNorm):
    """There are as many tokens as channels, and these are normalised."""

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.linear(x).flatten(1, -1).reshape(-1, 6, 6))


class Mixed(LinearNorm):
    """Every second channel of two tokens."""

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.linear(x).transpose(1, 2).reshape(-1, 6))


class Offset(Matmul):
    """A bias that is no parameter."""

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(F.linear(x, self.kernel.mT, torch.ones(6, dtype=torch.float64)))


class Hidden(Offset):
    """The same, where no trace is possible."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if x.sum() > -1e9 else x


class Halved(Matmul):
    """The function multiplies by a number, too."""

    def forward(self, x: Tensor) -> Tensor:
        alpha = 0.5 if x.sum() > -1e9 else 1
        return self.norm(torch.addmm(torch.zeros(6, dtype=torch.float64), x, self.kernel, alpha=alpha))


class Stack(Matmul):
    """A matrix for each entry of the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(5, 4, 6))

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(torch.einsum("bi,bio->bo", x, self.kernel))


REFUSED = {
    "tied": (Tied, VECTORS, "shared weights"),
    "called-too": (CalledToo, VECTORS, "shared weights"),
    "shared-bias": (SharedBias, IMAGE, "shared bias"),
    "computed-bias": (ComputedBias, IMAGE, "the bias of conv_transpose2d is no parameter"),
    "standardised": (lambda: behind(Standardised(2, 6, 3)), IMAGE, "weights of .* are computed, and no parameter"),
    "spectral": (lambda: behind(spectral_norm(nn.Conv2d(2, 6, 3))), IMAGE, "are computed, and no parameter"),
    "both": (Both, TOKENS, "linear or its output is also used elsewhere"),
    "by-token": (ByToken, (3, 6, 4), "axis 1 of what it normalises is not that of the outputs of linear"),
    "mixed": (Mixed, (3, 6, 4), "axis 1 of what it normalises is not that of the outputs of linear"),
    "flattened": (
        lambda: nn.Sequential(nn.Conv2d(2, 6, 3), nn.Flatten(), nn.BatchNorm1d(96)),
        IMAGE,
        "normalises 96 channels, the layer before has 6",
    ),
    "offset": (Offset, VECTORS, "the bias of linear is no parameter"),
    "hidden": (Hidden, VECTORS, "linear does more than multiply and add a bias"),
    "halved": (Halved, VECTORS, "addmm does more than multiply and add a bias"),
    "stack": (Stack, VECTORS, "no axis that is the channels"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_folded_stays_with_the_reason(case):
    make, shape, reason = REFUSED[case]
    torch.manual_seed(4)
    model, x = randomised(make()), inputs(shape)
    state, attributes = copy.deepcopy(model.state_dict()), set(vars(model))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        analog = from_torch(model, hardware(), fuse_batchnorm=True, seed=1, example=x)
    assert any(re.search(f"stays digital.*{reason}", str(one.message)) for one in told)
    assert len(norms(analog)) == len(conversion_report(model, x).norms) == 1
    assert relative_error(analog(x), model(x)) < 1e-12
    assert set(vars(model)) == attributes
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("linear-norm", "an example has to show where flatten takes the outputs of linear"),
        ("matmul", "a product of a module's own code"),
        ("pruned", "the weights of 0 are computed"),
    ],
)
def test_without_an_example_the_reason_asks_for_one(case, reason):
    model, x = built(case)
    with pytest.warns(RuntimeWarning, match=f"{reason}.*example|example.*{reason}|{reason}"):
        analog = from_torch(model, hardware(), fuse_batchnorm=True, seed=1)
    assert len(norms(analog)) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        assert relative_error(analog(x), model(x)) < 1e-12


def test_channels_that_lie_elsewhere_later_are_an_error():
    class Reshaping(LinearNorm):
        def forward(self, x: Tensor) -> Tensor:
            return self.bn(self.linear(x).reshape(len(x), -1))

    model, x = randomised(Reshaping()), inputs((3, 1, 4))
    analog = folded(model, x)
    assert relative_error(analog(x), model(x)) < 1e-12
    with pytest.raises(ShapeError, match=r"BatchNorm 'bn' was folded for inputs of 2 axes with 6 channels.*\(3, 12\)"):
        analog(inputs((3, 2, 4)))


class Wrapped(nn.Module):
    """As torch_geometric's BatchNorm."""

    def __init__(self) -> None:
        super().__init__()
        self.module = nn.BatchNorm1d(6)

    def forward(self, x: Tensor) -> Tensor:
        return self.module(x)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("place", ["torch_geometric.nn.dense.linear.Linear", "transformers.pytorch_utils.Conv1D"])
def test_layers_of_other_packages_take_a_normalisation(monkeypatch, place, bias):
    """As in torch_geometric's GIN, and with a weight whose inputs come first."""
    package, _, name = place.rpartition(".")

    class Foreign(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn((4, 6) if name == "Conv1D" else (6, 4)))
            self.bias = nn.Parameter(torch.randn(6)) if bias else None

        def forward(self, x: Tensor) -> Tensor:
            return F.linear(x, self.weight.mT if name == "Conv1D" else self.weight, self.bias)

    Foreign.__module__, Foreign.__qualname__ = package, name
    module = ModuleType(package)
    setattr(module, name, Foreign)
    monkeypatch.setitem(sys.modules, package, module)
    model, x = randomised(nn.Sequential(Foreign(), Wrapped(), nn.ReLU())), inputs(VECTORS)
    analog = from_torch(model, hardware(), fuse_batchnorm=True, seed=1)
    assert norms(analog) == []
    assert relative_error(analog(x), model(x)) < 1e-12
    assert relative_error(to_torch(analog)(x), model(x)) < 1e-12
