"""Gradients: those of torch on ideal hardware; of the programmed weights on real hardware; in train and eval mode."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch_cases import (
    CASES,
    CONVERTERS,
    NAMES,
    PROGRAMMING_ERROR,
    digital,
    hardware,
    inputs,
    relative_error,
    resnet,
)

from crossohm.torch import analog_modules, from_torch


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_backward_is_straight_through_with_the_programmed_weights(case):
    analog = case.analog(hardware(PROGRAMMING_ERROR, CONVERTERS), 1)
    (x,) = (value.requires_grad_() for value in case.inputs())
    analog(x).square().sum().backward()
    grad = 2 * analog(x).detach()

    plain, twin = analog.to_torch(physical_weights=True), case.inputs()[0].requires_grad_()
    plain(twin).backward(grad)
    assert relative_error(x.grad, twin.grad) < 1e-11
    for ours, theirs in zip(analog.parameters(), plain.parameters(), strict=True):
        assert relative_error(ours.grad, theirs.grad) < 1e-11


def test_only_what_needs_a_gradient_gets_one():
    analog = from_torch(digital(nn.Linear, {"in_features": 4, "out_features": 2}), hardware(), bias_rows=1, seed=1)
    analog.weight.requires_grad_(False)
    analog(inputs((3, 4))).sum().backward()
    assert analog.weight.grad is None
    assert torch.equal(analog.bias.grad, torch.full((2,), 3.0, dtype=torch.float64))
    assert not from_torch(analog.to_torch().requires_grad_(False), hardware(), seed=1)(inputs((3, 4))).requires_grad
    with torch.no_grad():
        assert not analog(inputs((3, 4))).requires_grad


def test_backward_uses_the_weights_of_its_own_forward():
    analog = from_torch(digital(nn.Linear, {"in_features": 4, "out_features": 2}), hardware(PROGRAMMING_ERROR), seed=1)
    x = inputs((3, 4)).requires_grad_()
    y, held = analog(x), analog.get_core_weights()[0]
    analog.reinitialize()
    analog(x)
    y.sum().backward()
    torch.testing.assert_close(x.grad, held.sum(0).expand(3, 4))


def test_half_precision_trains():
    analog = from_torch(digital(nn.Linear, {"in_features": 4, "out_features": 2}, torch.bfloat16), hardware(), seed=1)
    x = inputs((3, 4), torch.bfloat16).requires_grad_()
    analog(x).sum().backward()
    assert x.grad.dtype == analog.weight.grad.dtype == torch.bfloat16


def test_training_in_the_loop_learns_and_follows_the_optimizer():
    model = resnet(torch.float32).train()
    analog = from_torch(model, hardware(PROGRAMMING_ERROR, {"core.rows_max": 16}), bias_rows=1, seed=1)
    optimizer = torch.optim.SGD(analog.parameters(), lr=0.05, momentum=0.9)
    x, labels = inputs((16, 3, 8, 8), torch.float32), torch.arange(16) % 4
    losses = []
    for _ in range(25):
        optimizer.zero_grad()
        loss = F.cross_entropy(analog(x), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < 0.6 * sum(losses[:5])
    for layer in analog_modules(analog):
        expected = layer.form_matrix()
        assert (layer.get_matrix() - expected).abs().max() < 0.4 * expected.abs().max()
