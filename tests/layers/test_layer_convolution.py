"""A convolution is the linear map that torch computes, in every array library, whole and in pieces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import torch
import torch.nn.functional as F

from crossohm import AnalogCore, CrossSimParameters
from crossohm.backends import backend_of
from crossohm.backends.convolution import Steps
from crossohm.layers.maps.convolution import Convolution, block_diagonal, diagonal_blocks
from crossohm.layers.maps.grouped import GroupedConvolution

jax = pytest.importorskip("jax")
NATIVE = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
RNG = np.random.default_rng(4)


@dataclass(frozen=True)
class Case:
    taps: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[int, ...]
    groups: int
    size: tuple[int, ...]
    own_channels: int = 2

    @property
    def channels(self) -> int:
        return self.own_channels * self.groups

    @property
    def steps(self) -> Steps:
        return Steps(self.stride, self.dilation, self.padding, self.groups)

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        kernel = RNG.normal(size=(3 * self.groups, self.own_channels, *self.taps))
        return RNG.normal(size=(2, self.channels, *self.size)), kernel


CASES = [
    Case((3,), (1,), (1,), (), 1, (7,)),
    Case((2,), (3,), (2,), (1,), 2, (9,)),
    Case((3, 2), (2, 1), (1, 3), (2, 1), 1, (6, 8)),
    Case((1, 1), (2, 2), (1, 1), (), 3, (5, 5)),
    Case((2, 3, 2), (1, 2, 2), (2, 1, 1), (1, 0, 2), 2, (5, 6, 4)),
    Case((3,), (2,), (1,), (1,), 3, (7,), own_channels=1),
    Case((2, 2), (1, 1), (2, 1), (), 2, (6, 5), own_channels=1),
    Case((2, 2), (1, 2), (1, 1), (1, 0), 2, (5, 6), own_channels=1),
]


def in_every_library(*values: np.ndarray) -> Iterator[tuple[Any, ...]]:
    yield values
    yield tuple(map(torch.tensor, values))
    yield tuple(map(tf.constant, values))
    with jax.enable_x64(True) if hasattr(jax, "enable_x64") else jax.experimental.enable_x64():
        yield tuple(map(jax.numpy.asarray, values))


def expected_of(case: Case, x: np.ndarray, kernel: np.ndarray) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    inputs, weight = torch.tensor(x, requires_grad=True), torch.tensor(kernel, requires_grad=True)
    margin = case.padding or 0
    return inputs, weight, NATIVE[len(case.taps)](inputs, weight, None, case.stride, margin, case.dilation, case.groups)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_library_convolves_as_torch(case: Case) -> None:
    x, kernel = case.arrays()
    inputs, weight, wanted = expected_of(case, x, kernel)
    grad = RNG.normal(size=wanted.shape)
    wanted.backward(torch.tensor(grad))
    bias = RNG.normal(size=len(kernel))
    for own_x, own_kernel, own_grad, own_bias in in_every_library(x, kernel, grad, bias):
        backend = backend_of(own_x)
        y = backend.convolve(own_x, own_kernel, case.steps)
        np.testing.assert_allclose(backend.to_numpy(y), wanted.detach(), atol=1e-12)
        shifted = backend.convolve(own_x, own_kernel, case.steps, own_bias)
        column = bias.reshape(-1, *(1,) * len(case.taps))
        np.testing.assert_allclose(backend.to_numpy(shifted), wanted.detach().numpy() + column, atol=1e-12)
        found = backend.convolution_input_gradient(own_grad, own_kernel, x.shape, case.steps)
        np.testing.assert_allclose(backend.to_numpy(found), inputs.grad, atol=1e-12)
        found = backend.convolution_kernel_gradient(own_grad, own_x, kernel.shape, case.steps)
        np.testing.assert_allclose(backend.to_numpy(found), weight.grad, atol=1e-12)


def contraction_of(case: Case, bias_columns: int, per_group: bool) -> Any:
    whole = Convolution(case.channels, case.taps, case.stride, case.dilation, bias_columns, case.groups, case.padding)
    return GroupedConvolution(whole) if per_group else whole


@pytest.mark.parametrize("per_group", [False, True])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_pieces_of_the_matrix_add_up_to_the_convolution(case: Case, per_group: bool) -> None:
    x, kernel = case.arrays()
    _, _, wanted = expected_of(case, x, kernel)
    flat = kernel.reshape(len(kernel), -1)
    matrix = flat if per_group else block_diagonal(flat, case.groups)
    contraction = contraction_of(case, 0, per_group)
    for own_x, own_matrix in in_every_library(x, matrix):
        backend = backend_of(own_x)
        cuts = [0, 1, matrix.shape[1] // 2, matrix.shape[1]]
        total = sum(
            backend.to_numpy(contraction.contract(own_x, contraction.prepare(own_matrix[:, first:last], first)))
            for first, last in pairwise(cuts)
            if first < last
        )
        np.testing.assert_allclose(total, wanted.detach(), atol=1e-12)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_windows_times_the_matrix_are_the_convolution(case: Case) -> None:
    x, kernel = case.arrays()
    _, _, wanted = expected_of(case, x, kernel)
    matrix = block_diagonal(kernel.reshape(len(kernel), -1), case.groups)
    contraction = contraction_of(case, 0, per_group=False)
    for own_x, own_matrix in in_every_library(x, matrix):
        transposed = backend_of(own_matrix).transposed(own_matrix)
        y = contraction.fold(contraction.windows(own_x) @ transposed, own_x)
        np.testing.assert_allclose(backend_of(y).to_numpy(y), wanted.detach(), atol=1e-12)


@pytest.mark.parametrize("per_group", [False, True])
@pytest.mark.parametrize("case", [case for case in CASES if not case.padding], ids=str)
def test_bias_columns_and_gradients_are_those_of_torch(case: Case, per_group: bool) -> None:
    x, kernel = case.arrays()
    bias = RNG.normal(size=(len(kernel), 2))
    inputs, weight, wanted = expected_of(case, x, kernel)
    shift = torch.tensor(bias.sum(axis=1).reshape(-1, *(1,) * len(case.taps)), requires_grad=True)
    wanted = wanted + shift
    grad = RNG.normal(size=wanted.shape)
    wanted.backward(torch.tensor(grad))
    flat = kernel.reshape(len(kernel), -1)
    matrix = np.concatenate([flat if per_group else block_diagonal(flat, case.groups), bias], axis=1)
    own_gradient = np.asarray(weight.grad).reshape(flat.shape)
    wanted_gradient = np.concatenate(
        [
            own_gradient if per_group else block_diagonal(own_gradient, case.groups),
            np.repeat(np.asarray(shift.grad).reshape(-1, 1), 2, axis=1),
        ],
        axis=1,
    )
    driven = np.concatenate([x, np.ones_like(x[:, :1])], axis=1)
    contraction = contraction_of(case, 2, per_group)
    for own_x, own_matrix, own_grad in in_every_library(driven, matrix, grad):
        backend = backend_of(own_x)
        y = contraction.contract(own_x, contraction.prepare(own_matrix, 0))
        np.testing.assert_allclose(backend.to_numpy(y), wanted.detach(), atol=1e-12)
        found = backend.to_numpy(contraction.matrix_gradient(own_grad, own_x))
        np.testing.assert_allclose(found, wanted_gradient, atol=1e-12)
        found = backend.to_numpy(contraction.input_gradient(own_grad, own_matrix, driven.shape))
        np.testing.assert_allclose(found[:, :-1], inputs.grad, atol=1e-12)
        assert not found[:, -1].any()


@pytest.mark.parametrize("groups", [1, 2, 5])
def test_block_diagonals_have_an_inverse(groups: int) -> None:
    flat = RNG.normal(size=(groups * 3, 4))
    for (own,) in in_every_library(flat):
        full = block_diagonal(own, groups)
        blocks = [torch.tensor(block) for block in np.split(flat, groups)]
        np.testing.assert_array_equal(backend_of(own).to_numpy(full), torch.block_diag(*blocks))
        np.testing.assert_array_equal(backend_of(own).to_numpy(diagonal_blocks(full, groups)), flat)


@pytest.mark.parametrize("per_group", [False, True])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_core_convolves_alike_in_every_library(case: Case, per_group: bool) -> None:
    x, kernel = case.arrays()
    params = CrossSimParameters()
    params.core.rows_max = 7  # cuts fall inside channels
    params.xbar.device.programming_error.update({"enable": True, "model": "NormalIndependentDevice", "magnitude": 0.1})
    params.xbar.dac.mvm.update({"model": "QuantizerDAC", "bits": 6})
    params.core.mapping.inputs.mvm.update({"min": -4, "max": 4})
    flat = kernel.reshape(len(kernel), -1)
    matrix = flat if per_group else block_diagonal(flat, case.groups)
    core = AnalogCore(matrix, params, seed=3, row_groups=case.groups if per_group else 1)
    contraction = contraction_of(case, 0, per_group)
    found = [backend_of(own).to_numpy(core.apply(own, contraction)) for (own,) in in_every_library(x)]
    _, _, wanted = expected_of(case, x, kernel)
    assert 1e-6 < np.abs(found[0] - wanted.detach().numpy()).mean() < 1
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], atol=1e-12)
