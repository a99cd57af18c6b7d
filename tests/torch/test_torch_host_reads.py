"""How often a forward pass waits for numbers on the host: what an accelerator would stop for."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from crossohm.backends.torch import TorchBackend
from crossohm.errors import ShapeError
from crossohm.testing.hardware import CONVERTERS, PROGRAMMING_ERROR, READ_NOISE, STYLES, hardware
from crossohm.torch import analog_modules, conversion_report, from_torch, to_torch

WITHIN = {"core.mapping.inputs.mvm.min": -4.0, "core.mapping.inputs.mvm.max": 4.0}
SAR = {
    "xbar.adc.mvm": {
        "model": "SarADC", "bits": 6, "adc_range_option": "MAX", "sigma_capacitor": 0.05, "sigma_comparator": 0.02,
    }
}  # fmt: skip
CHAINS: dict[str, dict[str, Any]] = {
    "ideal": {},
    "converters": CONVERTERS | WITHIN,
    "circuit ADCs": SAR | WITHIN,
    "programming error": CONVERTERS | WITHIN | PROGRAMMING_ERROR,
    "read noise": READ_NOISE,
    "partitions": CONVERTERS | WITHIN | {"core.rows_max": 20},
}
X = torch.linspace(-1, 1, 2 * 3 * 8 * 8).reshape(2, 3, 8, 8)


class HostReads(TorchDispatchMode):
    """Counts operations whose answer is a number on the host."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.equal.default)
        return func(*args, **(kwargs or {}))


@contextmanager
def counted() -> Iterator[HostReads]:
    listed = torch.Tensor.tolist

    def tolist(value: torch.Tensor) -> Any:  # which is no operation that is dispatched
        reads.count += 1
        return listed(value)

    with HostReads() as reads, pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, "tolist", tolist)
        yield reads


def network() -> nn.Module:
    torch.manual_seed(2)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=2), nn.Flatten(), nn.Linear(8 * 36, 4)
    )


def analog_of(style: str, chain: str, sync: str) -> nn.Module:
    analog = from_torch(network(), hardware(STYLES[style], CHAINS[chain]), 1, seed=1)
    for layer in analog_modules(analog):
        layer.sync = sync
    analog(X)  # lowers, and looks at the first inputs
    return analog


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("chain", CHAINS)
def test_nothing_is_read_if_the_arrays_are_written_by_hand(style: str, chain: str) -> None:
    analog = analog_of(style, chain, "manual")
    with counted() as reads:
        analog(X)
    assert reads.count == 0


@pytest.mark.parametrize("style", STYLES)
def test_training_by_hand_reads_nothing_between_writes(style: str) -> None:
    analog = analog_of(style, "converters", "manual")
    for gradient in ("programmed", "chain"):
        for layer in analog_modules(analog):
            layer.gradient = gradient
        analog(X).sum().backward()
        with counted() as reads:
            analog(X).sum().backward()
        assert reads.count == 0, gradient


def reads_of_a_pass(analog: nn.Module) -> int:
    with counted() as reads:
        analog(X)
    return reads.count


@pytest.mark.parametrize("how", ["data", "optimizer", "numpy", "alias"])
def test_parameters_are_read_only_if_a_change_may_have_escaped(how: str) -> None:
    """Not while torch's counter tells; once where it cannot; always where memory was given away.

    A look at one parameter is a look at all that the same matrix holds.
    """
    analog = analog_of("balanced", "converters", "auto")
    first, matrix, model = analog[0].weight, len(list(analog[0].parameters())), len(list(analog.parameters()))
    assert reads_of_a_pass(analog) == 0
    if how == "data":
        first.data  # noqa: B018
    elif how == "optimizer":
        torch.optim.SGD([first]).step()
    else:
        alias = first.detach().numpy() if how == "numpy" else first.detach()
        assert reads_of_a_pass(analog) == matrix
        del alias
    once = {"data": matrix, "optimizer": model, "numpy": matrix, "alias": 0}
    assert reads_of_a_pass(analog) == once[how]
    assert reads_of_a_pass(analog) == (matrix if how == "numpy" else 0)


# --- on an accelerator ------------------------------------------------------------------------------------------------


@pytest.fixture
def accelerated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors on this machine's processor count as on an accelerator."""
    monkeypatch.setattr(TorchBackend, "on_accelerator", lambda self, value: True)


@pytest.mark.usefixtures("accelerated")
def test_a_pass_on_an_accelerator_waits_once() -> None:
    """Whatever the number of parameters; layers used by themselves look at theirs if these may have changed."""
    analog = analog_of("balanced", "converters", "auto")
    for _ in range(2):
        with counted() as reads:
            analog(X)
        assert reads.count == 1
    for expected in (0, 2):
        with counted() as reads:
            analog[0](X)
        assert reads.count == expected
        with torch.no_grad():
            analog[0].weight.mul_(0.5)


@pytest.mark.usefixtures("accelerated")
def test_looks_at_parameters_are_no_products() -> None:
    plain = network()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        from_torch(plain, seed=1)(X)
        analog = from_torch(plain, seed=1, example=X)
    assert conversion_report(analog, X).share == 1


@pytest.mark.usefixtures("accelerated")
@pytest.mark.parametrize("how", ["data", "in place", "exchanged", "during the pass"])
def test_what_is_seen_together_is_what_each_layer_would_see(how: str) -> None:
    """Changes between passes in any way, and during a pass by torch's own operations."""
    analog, plain = analog_of("balanced", "ideal", "auto"), network()

    def change(model: nn.Module) -> None:
        weight = model[-1].weight
        if how == "data":
            weight.data.mul_(0.5)
        elif how == "exchanged":
            model[-1].weight = nn.Parameter(weight.detach() * 0.5)
        else:
            with torch.no_grad():
                weight.mul_(0.5)

    if how == "during the pass":
        analog[0].register_forward_hook(lambda *_: change(analog))
    else:
        change(analog)
    change(plain)
    torch.testing.assert_close(analog(X), plain(X), rtol=1e-5, atol=1e-5)


@pytest.mark.usefixtures("accelerated")
def test_looking_together_survives_copies_and_leaves_nothing_behind() -> None:
    analog = analog_of("balanced", "ideal", "auto")
    twin = copy.deepcopy(analog)
    with torch.no_grad():
        twin[0].weight.mul_(0.5)
    assert not torch.equal(twin(X), analog(X))
    with counted() as reads:
        twin(X)
    assert reads.count == 1
    plain = to_torch(twin)
    assert not plain._forward_pre_hooks
    assert not plain._forward_hooks
    with pytest.raises(ShapeError):
        analog(X[:, :1])
    assert all(matrix.glance is None for layer in analog_modules(analog) for matrix in layer.matrices)
