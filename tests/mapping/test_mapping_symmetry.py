"""How conductances follow weights: order, symmetry, superposition, slopes, and what an error of one cell costs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from test_mapping_laws import RHOS, SCHEMES, WEIGHTS, full_code, read_back, scheme

from crossohm.mapping import expand_complex, region_blocks

PAIRS = ["one-sided", "two-sided", "sliced"]
CONTINUOUS = SCHEMES[:4]
BITS, SLICES = st.integers(2, 8), st.integers(1, 3)


def conductances(shape: tuple[int, ...], rho: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(rho, 1, shape)


@pytest.mark.parametrize("name", SCHEMES)
@given(weights=arrays(np.float64, 12, elements=st.floats(-1, 1)), rho=RHOS, bits=BITS, slices=SLICES)
def test_a_larger_weight_never_reads_back_smaller(name, weights, rho, bits, slices):
    mapping = scheme(name, rho, bits, min(slices, bits - 1))
    found = read_back(mapping, mapping.targets(np.sort(weights)[None]))[0]
    assert np.all(np.diff(found) >= -1e-12)


@pytest.mark.parametrize("name", SCHEMES)
@given(w=WEIGHTS, rho=RHOS, bits=BITS, slices=SLICES)
def test_the_opposite_weight_reads_back_as_the_opposite(name, w, rho, bits, slices):
    """Up to one code where a weight lies halfway between two: offset codes break such ties in one direction."""
    mapping = scheme(name, rho, bits, min(slices, bits - 1))
    there, back = read_back(mapping, mapping.targets(w)), read_back(mapping, mapping.targets(-w))
    halfway = np.abs(w * full_code(name, bits) % 1 - 0.5) < 1e-9
    np.testing.assert_allclose(there[~halfway], -back[~halfway], atol=1e-12)


@pytest.mark.parametrize("name", PAIRS)
@given(w=WEIGHTS, rho=RHOS, bits=BITS, slices=SLICES)
def test_the_opposite_weight_swaps_the_cells_of_a_pair(name, w, rho, bits, slices):
    mapping = scheme(name, rho, bits, min(slices, bits - 1))
    assume(name != "two-sided" or not np.any(np.abs(w * full_code(name, bits) % 1 - 0.5) < 1e-9))
    there, back = mapping.targets(w), mapping.targets(-w)
    step = mapping.step if name == "two-sided" else 0.0  # an odd difference of levels has its half step on one side
    assert np.abs(there - back[:, ::-1]).max() <= step + 1e-12


@pytest.mark.parametrize("name", ["one-sided", "sliced"])
@given(w=WEIGHTS, rho=RHOS, bits=BITS, slices=SLICES)
def test_one_cell_of_a_pair_stays_at_the_lowest_conductance(name, w, rho, bits, slices):
    g = scheme(name, rho, bits, min(slices, bits - 1)).targets(w)
    np.testing.assert_allclose(g.min(axis=1), rho, atol=1e-12)


@given(w=WEIGHTS, rho=RHOS)
def test_the_cells_of_a_two_sided_pair_add_up_to_a_constant(w, rho):
    np.testing.assert_allclose(scheme("two-sided", rho, 0).targets(w).sum(axis=1), 1 + rho, atol=1e-12)


@pytest.mark.parametrize("name", SCHEMES)
@given(rho=RHOS, bits=BITS, slices=SLICES, seed=st.integers(0, 99), share=st.floats(0, 1))
def test_decoding_superposes(name, rho, bits, slices, seed, share):
    """Weights of a mixture of conductances are the mixture of their weights."""
    mapping = scheme(name, rho, bits, min(slices, bits - 1))
    one, other = (conductances((mapping.slices, mapping.signs, 3, 4), rho, seed + i) for i in range(2))
    mixed = mapping.decode(share * one + (1 - share) * other)
    np.testing.assert_allclose(
        mixed, share * mapping.decode(one) + (1 - share) * mapping.decode(other), atol=1e-11 * (1 + np.abs(mixed).max())
    )


@pytest.mark.parametrize("name", SCHEMES)
@given(rho=RHOS, bits=BITS, slices=SLICES, seed=st.integers(0, 99), error=st.floats(-0.1, 0.1))
def test_an_error_of_one_cell_acts_with_its_coefficient(name, rho, bits, slices, seed, error):
    mapping = scheme(name, rho, bits, min(slices, bits - 1))
    g = conductances((mapping.slices, mapping.signs, 3, 4), rho, seed)
    s, k = seed % mapping.slices, seed % mapping.signs
    disturbed = g.copy()
    disturbed[s, k, 1, 2] += error
    expected = np.zeros((3, 4))
    expected[1, 2] = mapping.coefficients[s, k] * error
    np.testing.assert_allclose(mapping.decode(disturbed) - mapping.decode(g), expected, atol=1e-10)


@pytest.mark.parametrize("name", ["unit", "sliced-unit"])
@given(rho=RHOS, bits=BITS, slices=SLICES, seed=st.integers(0, 99))
def test_an_error_common_to_unit_line_and_cells_cancels(name, rho, bits, slices, seed):
    """Why the unit line stands in the array: what shifts all its cells shifts no weight."""
    mapping = scheme(name, rho, bits, min(slices, bits - 1))
    w = np.random.default_rng(seed).uniform(-1, 1, (3, 4))
    shift = np.random.default_rng(seed + 1).normal(size=(mapping.slices, 1, 1, 1))
    units = np.broadcast_to(mapping.unit_targets[:, None, None], (mapping.slices, 3, 4))
    shifted = mapping.decode(mapping.targets(w) + shift, units + shift[:, 0])
    plain = mapping.decode(mapping.targets(w), units)
    np.testing.assert_allclose(shifted, plain, atol=1e-10)


@pytest.mark.parametrize("name", CONTINUOUS)
@given(size=arrays(np.float64, (2, 3), elements=st.floats(1e-3, 0.9)), seed=st.integers(0, 99), rho=RHOS)
def test_slopes_are_the_derivatives_of_the_conductances(name, size, seed, rho):
    """Away from zero, where one-sided pairs have a kink."""
    w = size * np.random.default_rng(seed).choice([-1.0, 1.0], size.shape)
    mapping, small = scheme(name, rho, 0), 1e-6
    found = (mapping.targets(w + small) - mapping.targets(w - small)) / (2 * small)
    np.testing.assert_allclose(mapping.slopes(w), found, atol=1e-8)


@pytest.mark.parametrize("name", SCHEMES)
@pytest.mark.parametrize("rho", [0.0, 0.1])
def test_the_largest_weights_span_the_cells(name, rho):
    """Weights of +1 and -1 use the highest conductance, and the lowest unless a level is left out for zero."""
    mapping = scheme(name, rho, 4, 2)
    g = mapping.targets(np.array([[-1.0, 1.0]]))
    assert g.max() == pytest.approx(1.0) or name.startswith("sliced-")
    assert g.min() == pytest.approx(rho, abs=(1 - rho) / 15 + 1e-12)


@given(shape=st.tuples(st.integers(1, 4), st.integers(1, 5)), seed=st.integers(0, 99), cut=st.integers(0, 3))
def test_a_region_of_a_complex_matrix_has_four_images(shape, seed, cut):
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    rows, columns = np.arange(shape[0])[cut % shape[0] :], np.arange(shape[1])[cut % shape[1] :]
    changed = matrix.copy()
    changed[np.ix_(rows, columns)] += 1 + 2j
    images = np.ix_(*region_blocks(rows, columns, shape))
    inside = np.zeros((2 * shape[0], 2 * shape[1]), dtype=bool)
    inside[images] = True
    np.testing.assert_array_equal(expand_complex(changed) != expand_complex(matrix), inside)
