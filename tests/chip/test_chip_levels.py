"""Levels of programmed cells: their number, order, both ends, and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from crossohm.chip import SaturatingLaw, uniform_levels
from crossohm.errors import ParameterError

LAWS = [
    SaturatingLaw(g_inf, g_min, tau, bits, spacing)  # type: ignore[arg-type]
    for g_inf, g_min, tau, bits in ((1.0, 1e-5, 0.2, 8), (2.0, 0.1, 0.75, 4), (1.0, 1e-3, 0.5, 1))
    for spacing in ("linear", "log")
]


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("w_max", [0.5, 1.0, 3.0])
def test_pairs_have_twice_the_levels_less_one(bits: int, w_max: float) -> None:
    quantised = uniform_levels(bits, w_max)
    w = np.linspace(-1.5 * w_max, 1.5 * w_max, 20_001)
    found = quantised(w.copy())
    assert len(np.unique(found.round(9))) == 2 ** (bits + 1) - 1
    assert (np.diff(found) >= -1e-12).all()
    np.testing.assert_allclose(found[[0, -1]], [-w_max, w_max])
    np.testing.assert_allclose(quantised(quantised.values.copy()), quantised.values)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_single_cells_start_at_zero(bits: int) -> None:
    found = uniform_levels(bits, 2.0, "nonnegative")(np.linspace(-1, 3, 20_001))
    assert len(np.unique(found.round(9))) == 2**bits
    np.testing.assert_allclose(found[[0, -1]], [0, 2])


def test_halves_go_to_even_levels() -> None:
    np.testing.assert_allclose(uniform_levels(2, 3.0)(np.array([-1.5, -0.5, 0.5, 1.5, 2.5])), [-2, 0, 0, 2, 2])


@pytest.mark.parametrize("law", LAWS)
def test_a_saturating_cell_holds_the_largest_level_not_above(law: SaturatingLaw) -> None:
    x = np.linspace(0, 2 * law.g_inf, 50_001)
    found, exact = law(x), law.conductance(x)
    expected = [max([level for level in law.levels if level <= g], default=law.levels[0]) for g in exact[::500]]
    np.testing.assert_array_equal(found[::500], expected)
    assert (np.diff(found) >= 0).all()
    assert len(np.unique(law.levels)) == 2**law.bits


@pytest.mark.parametrize("law", LAWS)
def test_beyond_both_ends_are_the_end_levels(law: SaturatingLaw) -> None:
    # A later helper of the notebook let the largest values fall to the lowest level (D18).
    np.testing.assert_array_equal(law(np.array([1e3, law.g_inf])), law.levels[[-1, -1]])
    np.testing.assert_array_equal(law(np.array([-1.0, 0.0])), law.levels[[0, 0]])


def test_the_gradient_of_a_saturating_cell_is_that_of_its_law() -> None:
    jax = pytest.importorskip("jax")
    law, x = SaturatingLaw(), np.array([-0.5, 0.0, 0.3, 2.0], dtype=np.float32)
    found = jax.jit(jax.grad(lambda x: law(x).sum()))(x)
    np.testing.assert_allclose(found, (law.g_inf - law.g_min) / law.tau * np.exp(-x / law.tau), rtol=1e-5)
    np.testing.assert_allclose(jax.jit(law)(x), law(x.astype(np.float64)), rtol=1e-5)


@pytest.mark.parametrize("numbers", [{"g_min": 0.0}, {"g_min": 2.0}, {"tau": 0.0}, {"bits": 0}, {"spacing": "even"}])
def test_laws_that_no_cell_has_are_refused(numbers: Any) -> None:
    with pytest.raises(ParameterError, match="allowed: "):
        SaturatingLaw(**numbers)


@pytest.mark.parametrize("numbers", [{"bits": 0}, {"bits": 2, "w_max": 0.0}])
def test_ranges_without_levels_are_refused(numbers: Any) -> None:
    with pytest.raises(ParameterError, match="allowed: "):
        uniform_levels(**numbers)
