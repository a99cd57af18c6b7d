"""Resistance-aware gradients: through the wires of the arrays to the weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from crossohm import AnalogCore, CrossSimParameters, UnsupportedError
from crossohm.layers.wires import through_wires
from crossohm.testing.hardware import PLAIN, STYLES
from crossohm.torch import from_torch

RNG = np.random.default_rng(5)
MATRIX = RNG.uniform(-0.9, 0.9, (5, 7))
WIRES = {
    "xbar.array.parasitics.enable": True,
    "xbar.array.parasitics.Rp_row": 20.0,
    "xbar.array.parasitics.Rp_col": 30.0,
    "xbar.array.parasitics.Rp_col_terminal": 100.0,
    "core.mapping.weights.percentile": None,
    "core.mapping.weights.min": -1.0,
    "core.mapping.weights.max": 1.0,
    "xbar.device.infinite_on_off_ratio": False,
}
PARTITIONS = {"core.rows_max": 3, "core.cols_max": 2}
HARDWARE = {**{name: STYLES[name] for name in PLAIN}, "partitions": PARTITIONS}


def _met(core: AnalogCore, matrix: torch.Tensor) -> torch.Tensor:
    """The matrix that inputs meet through the wires of a core."""
    return through_wires(lambda: core, matrix)


def core_of(matrix: Any, *changes: dict[str, Any]) -> AnalogCore:
    params = CrossSimParameters()
    for change in (WIRES, *changes):
        params.update(change)
    return AnalogCore(matrix, params, seed=1)


@pytest.mark.parametrize("style", HARDWARE)
def test_the_gradient_is_that_of_the_networks(style: str) -> None:
    weight, step = RNG.normal(size=MATRIX.shape), 1e-5

    def loss(matrix: np.ndarray) -> float:
        return float((weight * core_of(matrix, HARDWARE[style]).effective_matrix()).sum())

    matrix = torch.tensor(MATRIX, requires_grad=True)
    (torch.as_tensor(weight) * _met(core_of(MATRIX, HARDWARE[style]), matrix)).sum().backward()
    direction = RNG.normal(size=MATRIX.shape)
    slope = (loss(MATRIX + step * direction) - loss(MATRIX - step * direction)) / (2 * step)
    assert matrix.grad is not None
    assert (matrix.grad.numpy() * direction).sum() == pytest.approx(slope, rel=1e-6)
    assert np.abs(matrix.grad.numpy() - weight).max() > 1e-2  # the wires matter


@pytest.mark.parametrize("style", ["BALANCED", "OFFSET"])
def test_slices_share_the_gradient(style: str) -> None:
    """With hardly any resistance the gradient of sliced weights is that of their sum."""
    sliced = {"core.style": "BITSLICED", "core.bit_sliced.num_slices": 2, "core.weight_bits": 8}
    sliced["core.bit_sliced.style"] = style
    weak = {f"xbar.array.parasitics.{name}": 1e-6 for name in ("Rp_row", "Rp_col", "Rp_col_terminal")}
    weight, matrix = torch.as_tensor(RNG.normal(size=MATRIX.shape)), torch.tensor(MATRIX, requires_grad=True)
    (weight * _met(core_of(MATRIX, sliced, weak), matrix)).sum().backward()
    torch.testing.assert_close(matrix.grad, weight, rtol=0, atol=1e-6)


def test_clipped_weights_have_no_gradient() -> None:
    matrix = torch.tensor(MATRIX, requires_grad=True)
    clipped = {"core.mapping.weights.min": -0.5, "core.mapping.weights.max": 0.5}
    _met(core_of(MATRIX, clipped), matrix).sum().backward()
    assert matrix.grad is not None
    np.testing.assert_array_equal(matrix.grad.numpy() == 0, np.abs(MATRIX) > 0.5)


def test_weights_beyond_an_unclipped_range_keep_their_gradient() -> None:
    stored = {"core.mapping.weights.clipping": False, "core.mapping.weights.min": -0.5, "core.mapping.weights.max": 0.5}
    matrix = torch.tensor(MATRIX, requires_grad=True)
    _met(core_of(MATRIX, stored), matrix).sum().backward()
    assert matrix.grad is not None
    assert torch.all(matrix.grad != 0)


def test_networks_of_every_vector_are_refused() -> None:
    noisy = {
        "xbar.device.read_noise.enable": True,
        "xbar.device.read_noise.model": "NormalIndependentDevice",
        "xbar.device.read_noise.magnitude": 0.01,
    }
    with pytest.raises(UnsupportedError, match="no one effective matrix"):
        core_of(MATRIX, noisy).effective_matrix()


def test_the_effective_matrix_is_what_the_core_multiplies_with() -> None:
    core = core_of(MATRIX, STYLES["unit-column"], PARTITIONS)
    np.testing.assert_allclose(core @ np.eye(7), core.effective_matrix(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("bias_rows", [0, 2])
@pytest.mark.parametrize("kind", ["linear", "conv", "arrays per group"])
def test_layers_train_through_their_wires(kind: str, bias_rows: int) -> None:
    torch.manual_seed(0)
    layer: nn.Module = nn.Linear(6, 4) if kind == "linear" else nn.Conv2d(4, 4, 2, groups=2)
    layer, x = layer.double(), torch.randn((3, 6) if kind == "linear" else (2, 4, 3, 3), dtype=torch.float64)
    grouping = {"grouping": "per_group"} if kind == "arrays per group" else {}
    params = CrossSimParameters()
    params.update(WIRES)
    analog = from_torch(layer, params, bias_rows, seed=1, gradient="wires", **grouping)
    x.requires_grad_()
    inputs = [x, analog.weight, analog.bias]
    weight = torch.randn_like(analog(x))

    def loss() -> torch.Tensor:
        return (weight * analog(x)).sum()

    gradients = torch.autograd.grad(loss(), inputs)
    step = 1e-5
    for value, gradient in zip(inputs, gradients, strict=True):
        direction = torch.randn_like(value)
        around = []
        for sign in (1, -2, 1):  # there and back again
            with torch.no_grad():
                value += sign * step * direction
            around.append(loss().item())
        assert (gradient * direction).sum().item() == pytest.approx((around[0] - around[1]) / (2 * step), rel=1e-6)


def test_wires_inside_transforms_are_refused() -> None:
    params = CrossSimParameters()
    params.update(WIRES)
    analog = from_torch(nn.Linear(3, 2), params, seed=1, gradient="wires")
    with pytest.raises(UnsupportedError, match="transforms"):
        torch.func.vmap(analog)(torch.ones(4, 3))
