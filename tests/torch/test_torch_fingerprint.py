"""Fingerprints see every change of one element, whatever its bits were and become."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch_cases import PROGRAMMING_ERROR, hardware

from crossohm.backends.fingerprint import CHUNK
from crossohm.backends.torch_fingerprint import fingerprint
from crossohm.layers.saved_chip import SavedChip
from crossohm.torch import AnalogLinear, from_torch

#: Dtypes of parameters, and integers of their size.
DTYPES = {
    torch.float64: torch.int64,
    torch.float32: torch.int32,
    torch.bfloat16: torch.int16,
    torch.float16: torch.int16,
}


def from_bits(bits: list[int], dtype: torch.dtype) -> Tensor:
    """A tensor of these patterns, given as integers without sign."""
    size = 8 * dtype.itemsize
    signed = [pattern - (1 << size) if pattern >> (size - 1) else pattern for pattern in bits]
    return torch.tensor(signed, dtype=DTYPES[dtype]).view(dtype)


@settings(max_examples=200, deadline=None)
@given(data=st.data(), dtype=st.sampled_from(list(DTYPES)))
def test_any_change_of_one_element_is_seen(data, dtype):
    size = 8 * dtype.itemsize
    patterns = st.integers(0, (1 << size) - 1)
    bits = data.draw(st.lists(patterns, min_size=1, max_size=19))
    position, new = data.draw(st.integers(0, len(bits) - 1)), data.draw(patterns)
    changed = [*bits[:position], new, *bits[position + 1 :]]
    assert (fingerprint(from_bits(changed, dtype)) == fingerprint(from_bits(bits, dtype))) == (changed == bits)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("neighbours", [0, 1, 2, 3, 4, 7])
def test_all_numbers_of_16_bits_are_told_apart(dtype, neighbours):
    values = torch.arange(1 << 16).to(torch.int16).view(dtype)
    others = torch.full((neighbours,), 1.5, dtype=dtype)
    if neighbours:
        values = values[::37]
    assert len({fingerprint(torch.cat([value[None], others])) for value in values}) == len(values)


@pytest.mark.parametrize("dtype", DTYPES)
def test_inverted_bits_and_signs_are_seen(dtype):
    value = torch.randn(67, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)
    own = fingerprint(value)
    for position in range(67):
        inverted = value.clone().view(DTYPES[dtype])
        inverted[position] = ~inverted[position]
        assert fingerprint(inverted.view(dtype)) != own
        negative = value.clone()
        negative[position] *= -1
        assert fingerprint(negative) != own


@pytest.mark.parametrize("dtype", DTYPES)
def test_zeros_of_both_signs_differ(dtype):
    assert fingerprint(torch.zeros(3, dtype=dtype)) != fingerprint(-torch.zeros(3, dtype=dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_place_in_storage_does_not_matter(dtype):
    stored = torch.randn(80, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)
    for start in range(9):
        for length in (0, 1, 2, 3, 4, 5, 7, 8, 63):
            part = stored[start : start + length]
            assert fingerprint(part) == fingerprint(part.clone())
    spread = stored.clone().reshape(2, 40).T
    assert fingerprint(spread) == fingerprint(spread.contiguous())
    assert fingerprint(stored[5]) == fingerprint(stored[5].clone())


@pytest.mark.parametrize("dtype", DTYPES)
def test_lengths_and_dtypes_are_told_apart(dtype):
    zeros = [torch.zeros(length, dtype=other) for other in DTYPES for length in range(12)]
    assert len({fingerprint(value) for value in zeros}) == len(zeros)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("extra", [-1, 0, 1, 5])
def test_single_changes_are_seen_in_large_tensors(dtype, extra):
    length = 2 * CHUNK * 8 // dtype.itemsize + extra
    value = torch.zeros(length, dtype=dtype)
    seen = {fingerprint(value)}
    for position in (0, 1, length // 2, length - 2, length - 1):
        value[position] = 1
        seen.add(fingerprint(value))
        value[position] = 0
    assert len(seen) == 6


@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_follow_a_change_that_inverts_all_bits(dtype):
    layer = from_torch(nn.Linear(4, 3, dtype=dtype), seed=1)
    with torch.no_grad():
        layer.weight[1, 2] = 1.0
        layer.core  # noqa: B018 - the arrays are written
        layer.weight.data.view(DTYPES[dtype])[1, 2].bitwise_not_()
    assert layer.weight[1, 2] < -3.9
    torch.testing.assert_close(layer.get_matrix(), layer.weight)


#: Changes of a weight that torch's version counter does not see, and one that it does.
CHANGES = {
    "data": lambda weight: weight.data.mul_(0.5),
    "data of long ago": None,
    "numpy": lambda weight: np.multiply(weight.detach().numpy(), 0.5, out=weight.detach().numpy()),
    "exchanged": lambda weight: setattr(weight, "data", weight.detach() * 0.5),
    "fused optimizer": lambda weight: torch.optim.SGD([weight], lr=0.5, fused=True).step(),
    "counted": lambda weight: weight.detach().mul_(0.5),
}


@pytest.mark.parametrize("how", CHANGES)
def test_products_follow_changes_that_torch_does_not_count(how):
    """Again and again: what was found once must not be taken for the present values later."""
    digital = nn.Linear(4, 3, bias=False)
    alias = digital.weight.data
    layer = AnalogLinear.from_torch(digital, hardware(), seed=1)
    change = CHANGES[how] or (lambda _: alias.mul_(0.5))
    x = torch.rand(5, 4)
    for _ in range(3):
        for _ in range(2):
            with torch.no_grad():
                torch.testing.assert_close(layer(x), digital(x))
        digital.weight.grad = digital.weight.detach().clone()
        with torch.no_grad():
            change(layer.weight)


def test_chips_saved_with_other_fingerprints_stay_as_they_are():
    analog = from_torch(nn.Linear(4, 3), hardware(PROGRAMMING_ERROR), seed=1)
    x, state = torch.rand(5, 4), analog.state_dict()
    (key,) = (key for key in state if key.endswith("_extra_state"))
    state[key] = _as_of_before(state[key])
    other = from_torch(nn.Linear(4, 3), hardware(), seed=2)
    other.load_state_dict(state)
    assert torch.equal(other(x), analog(x))


def _as_of_before(chip: Tensor) -> Tensor:
    """The saved chip as it was before fingerprints had a version."""
    saved = SavedChip.from_bytes(chip.numpy().tobytes(), "test")
    before = replace(saved, fingerprints=None, written=tuple((1,) * len(stamps) for stamps in saved.written))
    return torch.from_numpy(np.frombuffer(before.to_bytes(), dtype=np.uint8).copy())
