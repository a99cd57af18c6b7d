"""Training in the loop: arrays are written when the schedule says, on the chip it says."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch_cases import PROGRAMMING_ERROR, hardware, inputs

from crossohm import ParameterError
from crossohm.torch import analog_modules, from_torch, reprogramming


@pytest.fixture
def analog() -> nn.Module:
    torch.manual_seed(2)
    network = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    model = from_torch(network, hardware(PROGRAMMING_ERROR), 1, seed=1)
    model[0].sync = "error"
    return model


def states(model: nn.Module) -> list[bytes]:
    return [layer.matrices[0].built.blocks[0].record.conductance.tobytes() for layer in analog_modules(model)]


def train(model: nn.Module, steps: int, after=lambda: None, **options) -> list[list[bytes]]:
    """The conductances each step multiplied with."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, labels, seen = inputs((12, 6)), torch.arange(12) % 3, []
    with reprogramming(model, optimizer, **options):
        for _ in range(steps):
            optimizer.zero_grad()
            F.cross_entropy(model(x), labels).backward()
            seen.append(states(model))
            optimizer.step()
            after()
    return seen


@pytest.mark.parametrize("every", [1, 3])
def test_arrays_are_written_at_every_nth_step_only(analog, every):
    seen = train(analog, 9, every=every)
    changed = [old[0] != new[0] and old[1] != new[1] for old, new in itertools.pairwise(seen)]
    same = [old == new for old, new in itertools.pairwise(seen)]
    assert changed == [step % every == 0 for step in range(1, 9)]
    assert same == [step % every != 0 for step in range(1, 9)]
    assert {layer.seed for layer in analog_modules(analog)} == {1}


def test_frozen_layers_have_fresh_errors_too(analog):
    analog[0].requires_grad_(False)
    seen = train(analog, 3)
    assert len({state[0] for state in seen}) == 3


def test_every_write_may_be_another_chip(analog):
    seeds = []
    train(analog, 4, after=lambda: seeds.append(analog[0].seed), every=2, other_chips=True)
    assert seeds[0] == 1
    assert seeds[1] == seeds[2] != 1
    assert seeds[3] not in (1, seeds[2])


def test_what_is_done_after_the_step_is_followed(analog):
    def clip():
        for parameter in analog.parameters():
            parameter.data.clamp_(-0.1, 0.1)

    optimizer = torch.optim.SGD(analog.parameters(), lr=0.1)
    with reprogramming(analog, optimizer):
        analog(inputs((2, 6))).sum().backward()
        optimizer.step()
        clip()
        analog(inputs((2, 6)))
    assert all(layer.matrices[0].built.max <= 0.1 for layer in analog_modules(analog))


@pytest.mark.parametrize("every", [1, 4])
def test_it_learns(analog, every):
    optimizer = torch.optim.Adam(analog.parameters(), lr=0.02)
    x = inputs((60, 6))
    labels = (x[:, 0] > 0).long() + (x[:, 1] > 0).long()
    losses = []
    with reprogramming(analog, optimizer, every):
        for _ in range(60):
            optimizer.zero_grad()
            loss = F.cross_entropy(analog(x), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert sum(losses[-5:]) < 0.6 * sum(losses[:5])


def test_policies_come_back_whatever_happens(analog):
    optimizer = torch.optim.SGD(analog.parameters(), lr=0.1)
    with pytest.raises(RuntimeError, match="interrupted"), reprogramming(analog, optimizer, 5):
        analog(inputs((2, 6))).sum().backward()
        optimizer.step()
        assert [layer.sync for layer in analog_modules(analog)] == ["manual", "manual"]
        raise RuntimeError("interrupted")
    assert [layer.sync for layer in analog_modules(analog)] == ["error", "auto"]
    before = states(analog)
    optimizer.step()
    assert [layer.sync for layer in analog_modules(analog)] == ["error", "auto"]
    assert states(analog) == before


@pytest.mark.parametrize("every", [0, -1, 1.5, True])
def test_the_schedule_is_a_number_of_steps(analog, every):
    optimizer = torch.optim.SGD(analog.parameters(), lr=0.1)
    with pytest.raises(ParameterError, match="every"), reprogramming(analog, optimizer, every):
        pass
