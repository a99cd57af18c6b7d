"""Products of a module's own code run on arrays: with parameters themselves, and with what is computed from them."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from product_cases import PRODUCTS, UNHELD, Reader
from torch import Tensor, nn
from torch_cases import hardware

from crossohm.torch import conversion_report, from_torch, to_torch

#: Two bits per cell: what runs on arrays is not exact.
COARSE = hardware({"xbar.device.cell_bits": 2})


def converted(model: nn.Module, example: Any, params: Any = None, **choices: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return from_torch(model, params, seed=1, example=example, **choices)


def gradients(model: nn.Module, *inputs: Tensor) -> list[Tensor]:
    model(*inputs).square().sum().backward()
    return [parameter.grad for parameter in model.parameters() if parameter.grad is not None]


@pytest.mark.parametrize("kind", [kind for kind in PRODUCTS if kind not in UNHELD])
def test_a_product_of_own_code_runs_on_arrays_and_is_trained(kind):
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Tanh(), Reader(nn.Linear(4, 4), PRODUCTS[kind])), torch.rand(5, 4)
    noisy = kind == "noise"
    ideal, coarse = converted(model, x), converted(model, x, COARSE)
    torch.manual_seed(1)
    wanted = model(x)
    torch.manual_seed(1)
    torch.testing.assert_close(ideal(x), wanted)
    torch.manual_seed(1)
    assert not torch.allclose(coarse(x), wanted)
    torch.manual_seed(1)
    assert torch.equal(to_torch(coarse)(x), wanted)
    if not noisy and wanted.requires_grad:
        torch.testing.assert_close(gradients(ideal, x), gradients(model, x))
    assert all(not layer.readers for layer in conversion_report(coarse, x).layers)
