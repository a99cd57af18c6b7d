"""Layers with several matrices: each in arrays of its own, formed from parameters, trained through its expression."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch_cases import PROGRAMMING_ERROR, hardware, inputs
from torch_pair import AnalogPair, Pair

from crossohm.chain import Dense
from crossohm.torch import HeldMatrix, profile


@pytest.fixture
def pair() -> AnalogPair:
    return AnalogPair.from_torch(Pair(), hardware(PROGRAMMING_ERROR), 2, seed=1, name="pair")


def test_every_matrix_has_a_name_and_a_chip(pair):
    assert [type(matrix) for matrix in pair.matrices] == [HeldMatrix, HeldMatrix]
    assert [matrix.name for matrix in pair.matrices] == ["pair.first", "pair.second"]
    assert [tuple(m.shape) for m in pair.form_matrix()] == [(4, 8), (2, 4)]
    errors = [held - ideal for held, ideal in zip(pair.get_matrix(), pair.form_matrix(), strict=True)]
    assert all(error.abs().max() > 1e-3 for error in errors)
    assert pair.core is pair.matrices[0].core


def test_gradients_reach_all_parameters():
    digital, x = Pair(), inputs((5, 6))
    analog = AnalogPair.from_torch(copy.deepcopy(digital), hardware(), 2, seed=1)
    for module in (digital, analog):
        module(x).square().sum().backward()
    for ours, theirs in zip(analog.parameters(), digital.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-11, atol=1e-12)


def test_only_the_matrix_of_a_changed_parameter_is_written_again(pair):
    before = pair.get_matrix()
    nn.init.normal_(pair.out)
    after = pair.get_matrix()
    assert torch.equal(before[0], after[0])
    assert not torch.equal(before[1], after[1])


def test_copies_follow_their_own_parameters(pair):
    twin = copy.deepcopy(pair)
    for ours, theirs in zip(pair.get_matrix(), twin.get_matrix(), strict=True):
        assert torch.equal(ours, theirs)
    nn.init.constant_(twin.v, 9.0)
    assert twin.get_matrix()[0][:, 3:6].min() > 6
    assert pair.get_matrix()[0][:, 3:6].max() < 6


def test_reinitialize_moves_all_matrices_to_one_chip(pair):
    pair.reinitialize()
    assert pair.seed != 1
    assert len({matrix.seed for matrix in pair.matrices}) == 1


def test_profiles_name_layer_and_matrix(pair):
    with profile(nn.Sequential(pair)) as seen:
        pair(inputs((5, 6)))
    assert {name: found.inputs["mvm"].total for name, found in seen.items()} == {"0.first": 5 * 8, "0.second": 5 * 4}


def test_a_multiplier_forms_its_matrix_once(pair):
    product = pair.matrices[0].multiplier(Dense(8, 2))
    x = inputs((3, 8))
    first, second = (set(product(x).grad_fn.next_functions) - {(None, 0)} for _ in range(2))
    assert first == second
    assert first
