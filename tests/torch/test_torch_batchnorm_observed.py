"""Folding of BatchNorm in models that no trace can follow, and of kinds that put more behind the normalisation."""

from __future__ import annotations

import copy
import pickle
import warnings

import pytest
import torch
import torch.nn.functional as F
from test_torch_batchnorm import norms, randomised
from torch import Tensor, nn
from torch_cases import hardware, inputs, relative_error

from crossohm import calibrate
from crossohm.torch import conversion_report, from_torch, to_torch


class Untraceable(nn.Module):
    """Control flow depends on values."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.end(self.conv(x)) if x.sum() > -1e9 else x

    def end(self, y: Tensor) -> Tensor:
        return self.norm(y)


class InPlace(Untraceable):
    def end(self, y: Tensor) -> Tensor:
        return self.norm(y.relu_())


class ThroughView(Untraceable):
    def end(self, y: Tensor) -> Tensor:
        y.view(-1)[::2].mul_(2)
        return self.norm(y)


class Branch(Untraceable):
    def end(self, y: Tensor) -> Tensor:
        return self.norm(y) + y.tanh()


class ValueRead(Untraceable):
    def end(self, y: Tensor) -> Tensor:
        return self.norm(y) * y.sum().item()


class Returned(Untraceable):
    def end(self, y: Tensor) -> Tensor:
        return torch.stack([self.norm(y), y]) if y.shape[0] < 2 else {"norm": self.norm(y), "plain": y}


class Kernel(Untraceable):
    def end(self, y: Tensor) -> Tensor:
        return self.norm(y) * self.conv.weight.mean()


class Twice(Untraceable):
    def end(self, y: Tensor) -> Tensor:
        return self.norm(y) + self.norm(2 * y)


class Double(torch.autograd.Function):
    @staticmethod
    def forward(ctx, y):
        return 2 * y

    @staticmethod
    def backward(ctx, gradient):
        return 2 * gradient


class OwnFunction(Untraceable):
    def end(self, y: Tensor) -> Tensor:
        return self.norm(y) + Double.apply(y)


class Form(Untraceable):
    """Shapes are no values."""

    def end(self, y: Tensor) -> Tensor:
        batch, channels = y.shape[:2]
        return self.norm(y).reshape(batch, channels, -1) / y.size(0) if y.dim() == 4 else y


REFUSED = {
    InPlace: "norm: does not directly follow .*but relu_",
    ThroughView: "norm: does not directly follow .*but changed_in_place",
    Branch: "conv or its output is also used elsewhere",
    ValueRead: "conv or its output is also used elsewhere",
    Returned: "conv or its output is also used elsewhere",
    Kernel: "shared weights",
    Twice: "used 2 times",
    OwnFunction: "conv or its output is also used elsewhere",
}


def example() -> Tensor:
    return inputs((3, 2, 5, 5))


def tensor(answer: object) -> Tensor:
    return torch.cat(list(answer.values())) if isinstance(answer, dict) else answer


@pytest.mark.parametrize("kind", [Untraceable, Form])
def test_an_example_shows_what_no_trace_can(kind):
    model, x = randomised(kind()), example()
    analog = from_torch(model, hardware(), fuse_batchnorm=True, seed=1, example=x)
    assert norms(analog) == []
    assert relative_error(analog(x), model(x)) < 1e-12
    with pytest.warns(RuntimeWarning, match="norm: the model cannot be traced, and no example was given"):
        assert norms(from_torch(model, hardware(), fuse_batchnorm=True, seed=1)) == ["norm"]


@pytest.mark.parametrize("kind", REFUSED)
def test_what_an_example_speaks_against_stays_digital(kind):
    model, x = randomised(kind()), example()
    with pytest.warns(RuntimeWarning, match=REFUSED[kind]):
        analog = from_torch(model, hardware(), fuse_batchnorm=True, seed=1, example=x)
    assert norms(analog) == ["norm"]
    assert relative_error(tensor(analog(x)), tensor(model(x))) < 1e-12


def test_observation_leaves_model_and_generator_alone():
    model, x = randomised(Untraceable()), example()
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    analog = from_torch(model.train(), hardware(), fuse_batchnorm=True, seed=1, example=x)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(module.training for module in (*model.modules(), *analog.modules()))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in (*model.modules(),))


def test_calibration_observes_its_data():
    model, x = randomised(Untraceable()).float(), example().float()
    found = calibrate(model, x.numpy(), hardware())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        analog = from_torch(model, found.hardware, seed=1, example=x)
    assert norms(analog) == []
    assert relative_error(analog(x), model(x)) < 1e-5


class NormAct2d(nn.BatchNorm2d):
    """As timm's BatchNormAct2d: normalisation, drop and activation are one module."""

    def __init__(self, channels: int, act: nn.Module) -> None:
        super().__init__(channels)
        self.drop, self.act = nn.Identity(), act

    def forward(self, x: Tensor) -> Tensor:
        torch._assert(x.ndim == 4, f"expected 4D input (got {x.ndim}D input)")
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        found = F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, self.training, self.momentum, self.eps
        )
        return self.act(self.drop(found))


class SuperThenAct(NormAct2d):
    """Calls the forward it is derived from."""

    def forward(self, x: Tensor) -> Tensor:
        return self.act(nn.BatchNorm2d.forward(self, x))


class Inheriting(nn.BatchNorm2d):
    """Only the name is new."""

    def __init__(self, channels: int, act: nn.Module) -> None:
        super().__init__(channels)


class Doubling(NormAct2d):
    """What stands behind the normalisation is no module."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


class Leading(NormAct2d):
    """Something comes before the normalisation."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.relu())


@pytest.mark.parametrize("act", [nn.ReLU(inplace=True), nn.SiLU(), nn.PReLU(3)], ids=lambda act: type(act).__name__)
@pytest.mark.parametrize("kind", [NormAct2d, SuperThenAct, Inheriting])
@pytest.mark.parametrize("traced", [True, False])
def test_what_a_normalisation_does_besides_stays(kind, act, traced):
    model = Untraceable() if not traced else nn.Sequential(nn.Conv2d(2, 3, 3), nn.Identity())
    name = "1" if traced else "norm"
    setattr(model, name, kind(3, copy.deepcopy(act)))
    model, x = randomised(model), example()
    analog = from_torch(model, hardware(), fuse_batchnorm=True, seed=1, example=x)
    assert norms(analog) == []
    assert relative_error(analog(x), model(x)) < 1e-12
    assert relative_error(to_torch(analog)(x), model(x)) < 1e-12
    assert relative_error(pickle.loads(pickle.dumps(analog))(x), model(x)) < 1e-12


class NamedConv2d(nn.Conv2d):
    """Works as torch's, as torchvision's Conv3DSimple does."""


@pytest.mark.parametrize("traced", [True, False])
def test_layers_that_inherit_their_forward_take_a_normalisation(traced):
    model = nn.Sequential(NamedConv2d(2, 3, 3), nn.BatchNorm2d(3)) if traced else Untraceable()
    if not traced:
        model.conv = NamedConv2d(2, 3, 3)
    model, x = randomised(model), example()
    analog = from_torch(model, hardware(), fuse_batchnorm=True, seed=1, example=x)
    assert norms(analog) == []
    assert relative_error(analog(x), model(x)) < 1e-12


class Frozen(nn.Module):
    """As torchvision's FrozenBatchNorm2d: all in buffers, written out."""

    def __init__(self, channels: int, power: int = 1) -> None:
        super().__init__()
        self.eps, self.power = 1e-5, power
        for name in ("running_mean", "running_var", "weight", "bias"):
            self.register_buffer(name, torch.rand(channels) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        scale = (self.weight * (self.running_var + self.eps).rsqrt()).reshape(1, -1, 1, 1)
        return (
            x * scale + self.bias.reshape(1, -1, 1, 1) - self.running_mean.reshape(1, -1, 1, 1) * scale
        ) ** self.power


@pytest.mark.parametrize("power", [1, 2])
def test_frozen_normalisation_folds(power):
    model, x = randomised(nn.Sequential(nn.Conv2d(2, 3, 3), Frozen(3, power), nn.ReLU())), example()
    (norm,) = conversion_report(model, x).norms
    assert bool(norm.reason) == (power == 2)
    if power == 1:
        analog = from_torch(model, hardware(), fuse_batchnorm=True, seed=1)
        assert not any(isinstance(module, Frozen) for module in analog.modules())
        assert relative_error(analog(x), model(x)) < 1e-12


@pytest.mark.parametrize("kind", [Doubling, Leading])
def test_a_normalisation_that_does_more_stays(kind):
    model, x = randomised(nn.Sequential(nn.Conv2d(2, 3, 3), kind(3, nn.ReLU()))), example()
    with pytest.warns(RuntimeWarning, match=f"1: the forward of {kind.__name__} does more than normalise"):
        analog = from_torch(model, hardware(), fuse_batchnorm=True, seed=1)
    assert norms(analog) == ["1"]
    assert relative_error(analog(x), model(x)) < 1e-12


def test_the_report_says_what_folds_and_what_speaks_against_it():
    x = example()
    (folds,) = conversion_report(randomised(Untraceable()), x).norms
    (branch,) = conversion_report(randomised(Branch()), x).norms
    assert (folds.name, folds.reason, branch.name) == ("norm", "", "norm")
    assert "conv or its output is also used elsewhere" in str(branch)
    (late,) = conversion_report(from_torch(randomised(Untraceable()), seed=1), x).norms
    assert "conv is in arrays already" in late.reason
