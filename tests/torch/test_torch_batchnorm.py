"""BatchNorm is folded where the data flow proves it right, and only there."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch_cases import hardware, inputs, relative_error, resnet

from crossohm.torch import from_torch


def randomised(model: nn.Module) -> nn.Module:
    """In double precision and eval mode, with statistics unlike those of a fresh network."""
    torch.manual_seed(6)
    model = model.double().eval()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            if module.running_mean is not None:
                module.running_mean.uniform_(-1, 1)
                module.running_var.uniform_(0.3, 3)
            if module.affine:
                nn.init.uniform_(module.weight, -2, 2)
                nn.init.uniform_(module.bias, -1, 1)
    return model


def norms(model: nn.Module) -> list[str]:
    return [name for name, m in model.named_modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_folding_is_exact(bias, affine, training):
    model = randomised(
        nn.Sequential(
            nn.Conv2d(2, 4, 3, groups=2, bias=bias),
            nn.BatchNorm2d(4, affine=affine),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(36, 5, bias=bias),
            nn.BatchNorm1d(5, affine=affine),
        )
    )
    x = inputs((3, 2, 5, 5))
    expected = model(x)
    analog = from_torch(model.train(training), hardware(), bias_rows=1, fuse_batchnorm=True, seed=1)
    assert norms(analog) == []
    assert norms(model) == ["1", "5"]
    assert all(module.training == training for module in analog.modules())
    assert relative_error(analog(x), expected) < 1e-12


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_every_convolution_folds(rank, bias):
    plain, transposed, norm = (
        (nn.Conv1d, nn.ConvTranspose1d, nn.BatchNorm1d),
        (nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d),
        (nn.Conv3d, nn.ConvTranspose3d, nn.BatchNorm3d),
    )[rank - 1]
    layers = [plain(4, 6, 2, groups=2, bias=bias), norm(6), transposed(6, 4, 2, stride=2, groups=2, bias=bias), norm(4)]
    model, x = randomised(nn.Sequential(*layers)), inputs((2, 4, *(4, 3, 3)[:rank]))
    analog = from_torch(model, hardware(), fuse_batchnorm=True, seed=1)
    assert norms(analog) == []
    assert relative_error(analog(x), model(x)) < 1e-12


def test_residual_network_folds_completely():
    model, x = resnet(), inputs((2, 3, 8, 8))
    analog = from_torch(model, hardware(), fuse_batchnorm=True, seed=1)
    assert norms(analog) == []
    assert relative_error(analog(x), model(x)) < 1e-12


class Functional(nn.Module):
    """A functional activation hides between layer and norm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(torch.relu(self.conv(x)))


class Branch(Functional):
    """The convolution's output is used twice."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return self.norm(y) + y


class Twice(Functional):
    """The norm sees two layers' outputs."""

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)) + self.norm(self.conv(2 * x))


class Reused(Functional):
    """The kernel is also used on its own."""

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)) + nn.functional.conv2d(x, self.conv.weight)


class Leading(Functional):
    """The norm comes first."""

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.norm(torch.cat([x, x[:, :1]], 1))[:, :2])


class Dynamic(Functional):
    """Control flow depends on values."""

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)) if x.sum() > -1e9 else x


class Tied(nn.Module):
    """Two convolutions share a kernel, one of them is normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.other, self.norm = nn.Conv2d(2, 3, 3), nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)
        self.other.weight = self.conv.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)) + self.other(x)


def _hooked() -> nn.Module:
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3))
    model[0].register_forward_hook(lambda module, args, y: y.relu())
    return model


REFUSED = {
    "functional": (Functional, "norm: does not directly follow"),
    "branch": (Branch, "also used elsewhere"),
    "twice": (Twice, "norm: used 2 times"),
    "reused": (Reused, "shared weights"),
    "leading": (Leading, "does not directly follow"),
    "dynamic": (Dynamic, "cannot be traced"),
    "tied": (Tied, "shared weights"),
    "hooked": (_hooked, "hooks"),
    "no-statistics": (
        lambda: nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3, track_running_stats=False)),
        "no running statistics",
    ),
    "activation": (
        lambda: nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.BatchNorm2d(3)),
        "1|2: does not directly follow",
    ),
}


@pytest.mark.parametrize("build", REFUSED)
def test_doubtful_cases_stay_digital_with_a_reason(build):
    make, reason = REFUSED[build]
    model, x = randomised(make()), inputs((3, 2, 5, 5))
    with pytest.warns(RuntimeWarning, match=reason) as caught:
        analog = from_torch(model, hardware(), fuse_batchnorm=True, seed=1)
    assert caught[0].filename == __file__
    assert len(norms(analog)) == 1
    assert relative_error(analog(x), model(x)) < 1e-12
