"""Laws every mapping scheme obeys: what is written reads back, codes lie on the grid, cells stay in range."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from crossohm import CrossSimParameters
from crossohm.mapping import Mapping, build_mapping, expand_complex, join_complex, magnitude_limit, weight_limits

WEIGHTS = arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 5)), elements=st.floats(-1, 1))
RHOS = st.sampled_from([0.0, 1e-3, 0.1, 0.4])
SCHEMES = ["one-sided", "two-sided", "offset", "unit", "sliced", "sliced-offset", "sliced-unit"]


def scheme(name: str, rho: float, bits: int, slices: int = 1) -> Mapping:
    params = CrossSimParameters()
    changes: dict[str, Any] = {
        "xbar.device.infinite_on_off_ratio": rho == 0,
        "xbar.device.Rmin": 1000.0,
        "xbar.device.Rmax": 1000.0 / rho if rho else 1e4,
    }
    if name.startswith("sliced"):
        changes |= {"core.style": "BITSLICED", "core.weight_bits": bits, "core.bit_sliced.num_slices": slices}
        changes["core.bit_sliced.style"] = "BALANCED" if name == "sliced" else "OFFSET"
    else:
        changes["xbar.device.cell_bits"] = bits
        changes["core.style"] = "BALANCED" if name.endswith("-sided") else "OFFSET"
    if name == "two-sided":
        changes["core.balanced.style"] = "TWO_SIDED"
    if name.endswith("unit"):
        changes["core.offset.style"] = "UNIT_COLUMN_SUBTRACTION"
    params.update(changes)
    return build_mapping(params)


def read_back(mapping: Mapping, g: np.ndarray) -> np.ndarray:
    units = mapping.unit_targets
    return mapping.decode(g, None if units is None else np.broadcast_to(units[:, None, None], (len(g), *g.shape[2:])))


@pytest.mark.parametrize("name", SCHEMES[:4])
@given(w=WEIGHTS, rho=RHOS)
def test_continuous_cells_hold_every_weight(name: str, w: np.ndarray, rho: float) -> None:
    mapping = scheme(name, rho, 0)
    g = mapping.targets(w)
    assert g.shape == (mapping.slices, mapping.signs, *w.shape)
    assert g.min() >= rho - 1e-15
    assert g.max() <= 1 + 1e-15
    np.testing.assert_allclose(read_back(mapping, g), w, atol=1e-13)


def full_code(name: str, bits: int) -> int:
    """Signed codes of a weight of 1: pairs of n-bit cells hold 2**(n+1) - 1 levels, the other codes 2**n - 1."""
    return 2**bits - 1 if name.endswith("-sided") else 2 ** (bits - 1) - 1


@pytest.mark.parametrize("name", SCHEMES)
@given(w=WEIGHTS, rho=RHOS, bits=st.integers(2, 9), slices=st.integers(1, 3))
def test_weights_are_rounded_to_the_nearest_code(name: str, w: np.ndarray, rho: float, bits: int, slices: int) -> None:
    if slices >= bits:
        slices = 1
    mapping = scheme(name, rho, bits, slices)
    g = mapping.targets(w)
    assert g.min() >= rho - 1e-12
    assert g.max() <= 1 + 1e-12
    codes = read_back(mapping, g) * full_code(name, bits)
    np.testing.assert_allclose(codes, np.rint(codes), atol=1e-8)
    assert np.max(np.abs(codes - w * full_code(name, bits))) <= 0.5 + 1e-8


@pytest.mark.parametrize("name", SCHEMES)
@given(rho=RHOS, bits=st.integers(2, 8), slices=st.integers(1, 3), seed=st.integers(0, 99))
def test_cells_lie_on_their_grid(name: str, rho: float, bits: int, slices: int, seed: int) -> None:
    if slices >= bits:
        slices = 1
    mapping = scheme(name, rho, bits, slices)
    steps = 2 ** (mapping.slice_bits or bits) - 1
    w = np.random.default_rng(seed).uniform(-1, 1, (5, 6))
    index = (mapping.targets(w) - rho) / (1 - rho) * steps
    np.testing.assert_allclose(index, np.rint(index), atol=1e-9)
    assert mapping.step == pytest.approx((1 - rho) / steps)


@pytest.mark.parametrize("name", SCHEMES)
@given(rho=RHOS, bits=st.integers(2, 9), slices=st.integers(1, 3))
@pytest.mark.reference_defect("Q29")
def test_zero_weight_is_exact(name: str, rho: float, bits: int, slices: int) -> None:
    """Also with a unit line whose slices do not share the bits evenly."""
    mapping = scheme(name, rho, bits, min(slices, bits - 1))
    zero = read_back(mapping, mapping.targets(np.zeros((2, 3))))
    np.testing.assert_allclose(zero, 0, atol=1e-12)


@given(WEIGHTS, st.floats(0.5, 1.5))
def test_magnitude_limit_follows_the_rule(values: np.ndarray, fraction: float) -> None:
    limit = magnitude_limit(values, fraction)
    assert limit > 0
    if fraction >= 1:
        expected = fraction * np.abs(values).max()
    else:
        expected = np.abs(np.percentile(values, [100 * fraction, 100 - 100 * fraction])).max()
    assert limit == expected or (expected == 0 and limit == np.finfo(float).eps)


def test_weight_limits_mirror_a_missing_side() -> None:
    matrix = np.array([[0.5, -2.0]])
    assert weight_limits(matrix, -3.0, None, None) == (-3.0, 3.0)
    assert weight_limits(matrix, None, 0.5, None) == (-0.5, 0.5)
    assert weight_limits(matrix, -0.5, 1.0, None) == (-0.5, 1.0)
    assert weight_limits(matrix, None, None, 1.0) == (-2.0, 2.0)


@given(WEIGHTS, WEIGHTS)
def test_complex_expansion_multiplies_like_the_complex_matrix(real: np.ndarray, imag: np.ndarray) -> None:
    matrix = real + 1j * np.resize(imag, real.shape)
    expanded = expand_complex(matrix)
    np.testing.assert_array_equal(join_complex(expanded), matrix)
    x = np.linspace(-1, 1, matrix.shape[1]) + 0.3j
    y = expanded @ np.concatenate([x.real, x.imag])
    np.testing.assert_allclose(y[: len(real)] + 1j * y[len(real) :], matrix @ x, atol=1e-12)


@pytest.mark.parametrize("name", SCHEMES)
@given(w=WEIGHTS, rho=RHOS)
def test_slopes_decode_to_one(name: str, w: np.ndarray, rho: float) -> None:
    mapping = scheme(name, rho, 8, 2)
    slopes = mapping.slopes(w)
    assert slopes.shape == mapping.targets(w).shape
    np.testing.assert_allclose(np.tensordot(mapping.coefficients, slopes, axes=([0, 1], [0, 1])), 1, rtol=1e-12)
