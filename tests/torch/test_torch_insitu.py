"""Layers trained on their own devices: ideal ones learn as torch does, and a saved run goes on as if not stopped."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crossohm.errors import DataError, ParameterError, UnsupportedError
from crossohm.torch import AnalogSGD, InSituConv2d, InSituLinear, from_in_situ, to_in_situ
from crossohm.training.arrays.settings import ArraySettings
from crossohm.training.updates.analytic import AnalyticUpdate
from crossohm.training.updates.converting import table_of
from crossohm.training.updates.ideal import IdealUpdate
from crossohm.training.updates.lookup import LookupUpdate
from crossohm.training.updates.pulsed import SoftBounds

IDEAL = ArraySettings(model=IdealUpdate(), dtype="float64")
NOISY = ArraySettings(model=AnalyticUpdate(nonlinearity=1.0, write_noise=0.05))


def _network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, stride=2, padding=1), nn.Tanh(), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(48, 5)
    ).double()


def _batches(count: int, size: int = 4) -> list[tuple[Tensor, Tensor]]:
    torch.manual_seed(1)
    return [(torch.randn(size, 1, 8, 8).double(), torch.randint(5, (size,))) for _ in range(count)]


def _train(network: nn.Module, optimizer: torch.optim.Optimizer, batches: list[tuple[Tensor, Tensor]]) -> None:
    for x, labels in batches:
        optimizer.zero_grad()
        F.cross_entropy(network(x), labels).backward()
        optimizer.step()


@pytest.mark.parametrize("weights", ["balanced", "offset"])
@pytest.mark.parametrize("semantics", ["minibatch_sequential", "burst"])
def test_ideal_devices_learn_as_torch_does(weights: str, semantics: str) -> None:
    """Forward, transposed read and writes, with a digital layer between: the same weights after some steps."""
    settings = ArraySettings(model=IdealUpdate(), dtype="float64", weights=weights)
    plain, batches = _network(), _batches(5)
    arrays = to_in_situ(plain, settings, headroom=20.0)
    _train(plain, torch.optim.SGD(plain.parameters(), lr=0.1), batches)
    _train(arrays, AnalogSGD(arrays, lr=0.1, semantics=semantics), batches)
    back = from_in_situ(arrays.double())
    for mine, others in zip(back.state_dict().values(), plain.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, others, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(arrays(batches[0][0]), plain(batches[0][0]), rtol=1e-9, atol=1e-9)


def test_a_saved_run_goes_on_bit_for_bit() -> None:
    """Devices, what was drawn once, and where the draws stand are part of ``state_dict``."""
    batches = _batches(8)
    whole = to_in_situ(_network(), NOISY, seed=3)
    _train(whole, AnalogSGD(whole, lr=0.05), batches)
    first = to_in_situ(_network(), NOISY, seed=3)
    _train(first, AnalogSGD(first, lr=0.05), batches[:4])
    second = to_in_situ(_network(), NOISY, seed=4)
    second.load_state_dict(first.state_dict())
    _train(second, AnalogSGD(second, lr=0.05), batches[4:])
    for mine, others in zip(second.state_dict().values(), whole.state_dict().values(), strict=True):
        assert torch.equal(mine, others)


def test_a_saved_run_goes_on_where_its_tables_are_absent(tmp_path: Path) -> None:
    """Models of devices are part of ``state_dict``, through a file without code."""
    batches = _batches(4)
    tables = [table_of(SoftBounds(step_size=size)) for size in (0.01, 0.02)]
    whole = to_in_situ(_network(), ArraySettings(model=LookupUpdate(tables)))
    _train(whole, AnalogSGD(whole, lr=0.1), batches[:2])
    torch.save(whole.state_dict(), tmp_path / "saved.pt")
    other = to_in_situ(_network())
    other.load_state_dict(torch.load(tmp_path / "saved.pt", weights_only=True))
    for network in (whole, other):
        _train(network, AnalogSGD(network, lr=0.1), batches[2:])
    for mine, others in zip(other.state_dict().values(), whole.state_dict().values(), strict=True):
        assert torch.equal(mine, others)


def test_a_copy_goes_on_by_itself() -> None:
    """Training a copy leaves the original as it is."""
    original, batches = to_in_situ(_network(), NOISY), _batches(2)
    before = copy.deepcopy(original.state_dict())
    copied = copy.deepcopy(original)
    _train(copied, AnalogSGD(copied, lr=0.05), batches)
    assert all(torch.equal(before[name], value) for name, value in original.state_dict().items() if "extra" in name)


def test_backward_passes_add_up_and_zero_grad_forgets_them() -> None:
    """As gradients do."""
    torch.manual_seed(0)
    x = torch.randn(3, 4)
    settings = ArraySettings(model=IdealUpdate())
    layers = [InSituLinear(4, 2, settings=settings, limit=20.0) for _ in range(2)]
    layers[1].set_weights(layers[0].weights)
    for layer, losses in zip(layers, ((1.0, 2.0), (3.0,)), strict=True):
        optimizer = AnalogSGD(layer, lr=0.1)
        layer(x).sum().backward()
        optimizer.zero_grad()
        for scale in losses:
            (scale * layer(x).sum()).backward()
        optimizer.step()
        optimizer.step()
    torch.testing.assert_close(layers[0].weights, layers[1].weights, rtol=1e-5, atol=1e-5)


def test_learning_rates_follow_a_schedule() -> None:
    """The optimizer is one of torch's."""
    layer = InSituLinear(4, 2)
    optimizer = AnalogSGD(layer, lr=0.1)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    before = layer.weights
    layer(torch.ones(1, 4)).sum().backward()
    optimizer.step()
    schedule.step()
    first, middle = layer.weights - before, layer.weights
    optimizer.zero_grad()
    layer(torch.ones(1, 4)).sum().backward()
    optimizer.step()
    torch.testing.assert_close(layer.weights - middle, first / 2, rtol=1e-3, atol=1e-6)


def test_convolutions_are_torchs() -> None:
    """Strides, padding and dilation."""
    torch.manual_seed(0)
    plain = nn.Conv2d(2, 3, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2)).double()
    arrays = to_in_situ(plain, IDEAL)
    assert isinstance(arrays, InSituConv2d)
    x = torch.randn(2, 2, 9, 11).double()
    torch.testing.assert_close(arrays(x), plain(x), rtol=1e-9, atol=1e-2)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: AnalogSGD(nn.Linear(2, 2), lr=0.1), UnsupportedError, "to_in_situ"),
        (lambda: AnalogSGD(iter([]), lr=0.1), UnsupportedError, r"AnalogSGD\(model, lr\)"),
        (lambda: AnalogSGD(InSituLinear(2, 2), lr=-1.0), ParameterError, "lr"),
        (lambda: AnalogSGD(InSituLinear(2, 2), lr=0.1, semantics="batch"), ParameterError, "burst"),
        (lambda: to_in_situ(nn.ReLU()), UnsupportedError, "Linear"),
        (lambda: to_in_situ(nn.Conv2d(2, 2, 1, groups=2)), UnsupportedError, "groups"),
        (lambda: InSituLinear(2, 2, limit=0.0), ParameterError, "limit"),
    ],
)
def test_what_cannot_be_is_said(make: Callable[[], object], error: type[Exception], words: str) -> None:
    """With what to do."""
    with pytest.raises(error, match=words):
        make()


def test_a_batch_has_no_fresh_errors_per_sample() -> None:
    """One convolution has several writes of one sample."""
    layer = InSituConv2d(1, 2, 2)
    optimizer = AnalogSGD(layer, lr=0.1, semantics="per_sample")
    layer(torch.ones(1, 1, 4, 4)).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    layer(torch.ones(2, 1, 4, 4)).sum().backward()
    with pytest.raises(ParameterError, match="2 samples"):
        optimizer.step()


def test_damaged_devices_are_refused() -> None:
    """And change nothing."""
    layer = InSituLinear(3, 2)
    before, state = layer.weights, layer.state_dict()
    state["_extra_state"] = state["_extra_state"][:100]
    with pytest.raises(DataError, match="damaged"):
        layer.load_state_dict(state)
    with pytest.raises(DataError, match="shape"):
        layer.load_state_dict(InSituLinear(4, 2).state_dict())
    np.testing.assert_array_equal(layer.weights, before)
