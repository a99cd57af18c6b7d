"""The same bits of the same dtype have the same fingerprint in every array library."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossohm.backends import backend_of
from crossohm.backends.fingerprint import CHUNK


def stamp(value: Any) -> int:
    return backend_of(value).fingerprint(value)


@settings(max_examples=60, deadline=None)
@given(
    dtype=st.sampled_from(["float16", "float32", "float64", "int32"]),
    shape=st.sampled_from([(), (1,), (3,), (5, 3), (2, 4, 4), (0, 3)]),
    seed=st.integers(0, 99),
)
def test_libraries_agree(dtype, shape, seed):
    torch = pytest.importorskip("torch")
    value = np.asarray(np.random.default_rng(seed).normal(size=shape) * 9).astype(dtype)
    assert stamp(value) == stamp(torch.tensor(value))
    jax = pytest.importorskip("jax")
    if dtype != "float64" or jax.config.jax_enable_x64:
        assert stamp(value) == stamp(jax.numpy.asarray(value))
    assert stamp(value) == stamp(pytest.importorskip("tensorflow").constant(value))


@pytest.mark.parametrize("extra", [-1, 0, 1, CHUNK])
def test_they_agree_on_arrays_of_several_chunks(extra):
    torch = pytest.importorskip("torch")
    value = np.random.default_rng(3).normal(size=2 * CHUNK + extra).astype(np.float32)
    assert stamp(value) == stamp(torch.tensor(value))
    changed = value.copy()
    changed[-1] = -changed[-1]
    assert stamp(changed) != stamp(value)


def test_the_layout_in_memory_does_not_matter():
    value = np.random.default_rng(4).normal(size=(7, 5))
    assert stamp(value) == stamp(np.asfortranarray(value)) != stamp(value.T)


def test_half_precision_of_every_library():
    torch, jax, tf = map(pytest.importorskip, ("torch", "jax", "tensorflow"))
    value = np.linspace(-2, 2, 13, dtype=np.float32)
    ours, theirs = torch.tensor(value).bfloat16(), jax.numpy.asarray(value, dtype="bfloat16")
    assert stamp(ours) == stamp(theirs) == stamp(tf.constant(value, tf.bfloat16)) != stamp(ours.half())
